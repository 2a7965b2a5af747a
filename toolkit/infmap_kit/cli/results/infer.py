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
            "--format",
            help="Results to write: a comma-separated choice of png, json, view, dicom, sc, seg, sr, gsps and "
            "cam.",
        ),
    ] = "png,json",
    secondary_capture: Annotated[
        bool,
        typer.Option("--secondary-capture", help="Read DICOM secondary captures of radiographs."),
    ] = False,
    identify: Annotated[
        bool,
        typer.Option(
            "--identify",
            help="Write UIDs, Patient ID, time and the names of DICOM files unchanged instead of hashed or "
            "left out.",
        ),
    ] = False,
    mirror: Annotated[
        bool,
        typer.Option(
            "--mirror",
            help="Also ask about the mirror image, and write how well the two masks agree.",
        ),
    ] = False,
    language: Annotated[
        str,
        typer.Option(help=f"Language of DICOM results' words: {', '.join(languages())}."),
    ] = ENGLISH,
    capture: Annotated[
        str,
        typer.Option(
            help="Layout of a Secondary Capture: beside (radiograph and map with legend and text), map "
            "(without the radiograph), bare (the map at its native size)."
        ),
    ] = "beside",
    url: Annotated[
        str | None,
        typer.Option(help="The server's gRPC endpoint, host:port. The default is 127.0.0.1:8001."),
    ] = None,
    repository: Annotated[
        Path | None,
        typer.Option(
            "--repository",
            "-r",
            help="Model repository to open in this process; no server is asked.",
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume/--no-resume",
            help="Keep results of an earlier call that had the same files, model and options.",
        ),
    ] = True,
    json_: Annotated[
        bool,
        typer.Option(
            "--json",
            help="Print JSON Lines on stdout: one document for each file, and the error if the command fails.",
        ),
    ] = False,
) -> None:
    """Write an infection map and a JSON document, or DICOM results, for every radiograph.

    The format `dicom` stands for a Secondary Capture, a Segmentation and a Structured Report. `gsps` adds a
    presentation state with the contour. `cam` adds a PNG of where the classifier looked, if one is served.
    `view` adds what `infmap-kit view` needs: radiographs, probabilities, lungs, and rejected files. UIDs
    are hashed, and results of DICOM files are named by hash, unless --identify is given.

    --mirror asks twice and writes `mirror_agreement`, the Dice of the mask with that of the mirror image. 1
    means the same mask, or none in both; the lower it is, the less the mask can be relied on.

    --repository needs no server: the published engines are checked as by `serve`, opened in this process,
    and give the same answers.

    If the model has a familiarity, a warning `unfamiliar` names each picture that is unlike those of its
    training; its results are written all the same.

    A file that is not a suitable radiograph is rejected by name, the other files are processed, and the
    exit code is 6.

    After an interruption, by Ctrl-C or otherwise, the same command continues. Results of the same content,
    model and options are kept.
    """
    from infmap_kit.imaging.files import find_pictures
    from infmap_kit.results.folder import ResultOptions
    from infmap_kit.results.infer import InferenceRun
    from infmap_kit.results.tables import Tally

    options = ResultOptions(
        formats=tuple(name.strip().lower() for name in format_.split(",") if name.strip()),
        identify=identify,
        secondary_capture=secondary_capture,
        mirrored=mirror,
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
                    for doubt in outcome.doubts:
                        console.print(doubt, highlight=False, soft_wrap=True)
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
