"""`infmap-kit infer`."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from infmap_kit.cli.app import DEFAULT_URL, app
from infmap_kit.command import console, print_json_line
from infmap_kit.errors import InputRejected, Interrupted
from infmap_kit.progress import progress_bar
from infmap_kit.results.words.words import ENGLISH, languages

if TYPE_CHECKING:
    from infmap_kit.triton.infmap_model import InfmapModel


@app.command(epilog="Example: `infmap-kit infer chest.dcm more/ --output maps`")
def infer(
    files: Annotated[
        list[Path], typer.Argument(help="PNG, JPEG, TIFF or DICOM files, and folders.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for maps and JSON.")],
    format_: Annotated[
        str,
        typer.Option(
            "--format", help="What to write: some of png,json,view,dicom,sc,seg,sr,gsps,cam."
        ),
    ] = "png,json",
    secondary_capture: Annotated[
        bool,
        typer.Option("--secondary-capture", help="Read DICOM secondary captures of radiographs."),
    ] = False,
    identify: Annotated[
        bool,
        typer.Option(
            "--identify", help="Write UIDs, Patient ID, time and DICOM files' names as they are."
        ),
    ] = False,
    language: Annotated[
        str,
        typer.Option(help=f"Language of DICOM results' words: {', '.join(languages())}."),
    ] = ENGLISH,
    capture: Annotated[
        str,
        typer.Option(
            help="What a Secondary Capture shows: beside (radiograph and map with legend and words), map "
            "(without the radiograph), bare (the map at native size)."
        ),
    ] = "beside",
    url: Annotated[
        str | None,
        typer.Option(help="The server's gRPC endpoint, host:port; 127.0.0.1:8001 when not given."),
    ] = None,
    repository: Annotated[
        Path | None,
        typer.Option(
            "--repository",
            "-r",
            help="Ask no server: compute with the engines of this model repository, in this process.",
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume/--no-resume",
            help="Keep results that are there already, of the same file, model and options.",
        ),
    ] = True,
    json_: Annotated[
        bool,
        typer.Option(
            "--json",
            help="Print JSON Lines on stdout: a document a file, and the error if it fails.",
        ),
    ] = False,
) -> None:
    """Make an infection map and a JSON, or DICOM results, for every radiograph.

    `dicom` is a Secondary Capture, a Segmentation and a Structured Report; `gsps` adds a presentation
    state with the contour; `cam` a PNG of where a classifier looked, if one is served beside; `view` what
    `infmap-kit view` shows: the radiograph, the probabilities, the lungs, and what was rejected. UIDs are
    hashed, and results of DICOM files named by hash, unless --identify is given.

    With --repository no server is needed: the published engines are checked as `serve` does, opened in this
    process, and give the same answers.

    A file that is no suitable radiograph is rejected by name and the others go on; the exit code is 6
    when any was.

    Whoever interrupts it, by Ctrl-C or otherwise, gives the same command again: what is there already, made of
    the same content by the same model with the same options, is not done twice.
    """
    from infmap_kit.imaging.files import find_pictures
    from infmap_kit.results.folder import ResultOptions
    from infmap_kit.results.infer import InferenceRun
    from infmap_kit.results.tables import Tally

    options = ResultOptions(
        formats=tuple(name.strip().lower() for name in format_.split(",") if name.strip()),
        identify=identify,
        secondary_capture=secondary_capture,
        language=language,
        capture=capture,
    )
    pictures = find_pictures(files)
    tally = Tally()
    with progress_bar() as progress, _model(url, repository) as model:
        run = InferenceRun(pictures, output, model, options=options, resume=resume)
        try:
            with contextlib.closing(iter(run)) as outcomes:
                for outcome in outcomes:
                    tally.add(outcome)
                    progress("radiographs", tally.files, len(pictures))
                    if outcome.rejection is not None:
                        # Not wrapped: a path is copied, and searched for.
                        line = f"rejected  {outcome.rejection}"
                        console.print(line, highlight=False, soft_wrap=True)
                    if json_:
                        print_json_line(outcome.as_json())
        except KeyboardInterrupt:
            raise Interrupted(
                f"stopped after {run.done} of {len(pictures)} files, whose results in {output} are whole; "
                "give the same command again to go on"
            ) from None
    if not json_:
        console.print(tally.shown())
        console.print(f"Results are in {output}.")
    if tally.kept:
        console.print(
            f"{tally.kept} of {tally.files} were there already, of the same file, model and options; "
            "--no-resume makes them again.",
            soft_wrap=True,
        )
    if tally.rejected:
        raise InputRejected(
            "rejected",
            f"{tally.rejected} of {tally.files} files were rejected; the others are done",
        )


def _model(url: str | None, repository: Path | None) -> InfmapModel:
    """The model to ask: a server's, or one of a repository in this process."""
    from infmap_kit.serving.in_process import open_repository
    from infmap_kit.triton.client import InfmapClient

    if url is not None and repository is not None:
        raise typer.BadParameter("give either --url or --repository, not both")
    return InfmapClient(url or DEFAULT_URL) if repository is None else open_repository(repository)
