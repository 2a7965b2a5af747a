"""`infmap-kit cohort`."""

from __future__ import annotations

import contextlib
import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from infmap_kit.cli.app import Json, app
from infmap_kit.cli.options import Given, with_options
from infmap_kit.cluster import ClusterOptions
from infmap_kit.command import Application, console, print_json
from infmap_kit.errors import InputRejected, Interrupted
from infmap_kit.progress import log_teller, progress_bar

if TYPE_CHECKING:
    from infmap_kit.cohort.run import CohortTally
    from infmap_kit.cohort.start import Begun

cohort = Application(
    help="Evaluate whole cohorts of radiographs, on many workers.",
    epilog="Example: `infmap-kit cohort run /archive --repository model_repository --output cohort`",
    no_args_is_help=True,
)
app.add_typer(cohort, name="cohort")


@cohort.command(
    epilog="Example: `infmap-kit cohort run list.csv --repository model_repository --output cohort`"
)
@with_options(ClusterOptions)
def run(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT",
            help="Folders, pictures, lists (.csv, .parquet with a column `path`), a DICOMDIR, the root of a "
            "DICOMweb (https://…/dicom-web), or a URL such as s3://bucket/prefix.",
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="Folder for the results of this run; the same folder continues it.",
        ),
    ],
    repository: Annotated[
        Path | None,
        typer.Option("--repository", "-r", help="Model repository that each worker opens."),
    ] = None,
    url: Annotated[
        list[str] | None,
        typer.Option(
            help="A server's gRPC endpoint, host:port. May be given several times, for several servers of one "
            "model."
        ),
    ] = None,
    *,
    given: Given,
    task_size: Annotated[
        int,
        typer.Option(
            min=1,
            help="Number of radiographs in a task, which is also the number of rows in a part.",
        ),
    ] = 200,
    tag: Annotated[
        list[str] | None,
        typer.Option(
            help="DICOM keyword of a tag to keep as a column; may be given several times. AgeBand and "
            "TakenMonth are derived from other tags.",
        ),
    ] = None,
    maps: Annotated[
        str,
        typer.Option(
            help="Also write results for each radiograph: a comma-separated choice of png, sc, seg, sr, gsps "
            "and dicom."
        ),
    ] = "",
    date: Annotated[
        str,
        typer.Option(
            help="Study date to ask a DICOMweb input for: a day such as 20240131, or a range such as "
            "20200101-20241231."
        ),
    ] = "",
    modality: Annotated[
        str, typer.Option(help="Modalities to ask a DICOMweb input for, with commas between them.")
    ] = "CR,DX",
    body_part: Annotated[
        str, typer.Option(help="Body Part Examined to ask a DICOMweb input for.")
    ] = "",
    tries: Annotated[
        int,
        typer.Option(
            min=1, help="Number of times that a radiograph is tried when its worker dies."
        ),
    ] = 3,
    patience: Annotated[
        float,
        typer.Option(
            min=0, help="Seconds without an answer after which a server, store or PACS is given up."
        ),
    ] = 300.0,
    secondary_capture: Annotated[
        bool,
        typer.Option("--secondary-capture", help="Read DICOM secondary captures of radiographs."),
    ] = False,
    identify: Annotated[
        bool,
        typer.Option(
            "--identify",
            help="Write UIDs, Patient ID, time and every tag unchanged instead of hashed or left out.",
        ),
    ] = False,
    json_: Json = False,
) -> None:
    """Evaluate every radiograph of a cohort, and write one row for each into a Parquet data set.

    The first call lists the cohort's radiographs. After an interruption, by Ctrl-C or a power cut, the same
    command continues, also with other workers, and does nothing twice. Rows contain no patient's identity
    unless --identify is given. The list contains the files' paths, so only its owner can read it.

    A radiograph that is refused has a row with the reason. A radiograph whose worker dies repeatedly is set
    aside: its row says so, and the exit code is 6.
    """
    from infmap_kit.cohort.dicomweb import Query
    from infmap_kit.cohort.plan import USUAL_TAGS, CohortOptions
    from infmap_kit.cohort.run import SET_ASIDE, CohortTally
    from infmap_kit.cohort.start import Begun, CohortStart, conduct

    start = CohortStart(
        inputs=inputs,
        output=output,
        repository=repository,
        urls=tuple(url or ()),
        query=Query(date=date, modalities=_words(modality), body_part=body_part),
        options=CohortOptions(
            tags=tuple(tag or USUAL_TAGS),
            maps=_words(maps.lower()),
            identify=identify,
            secondary_capture=secondary_capture,
            task_size=task_size,
        ),
        cluster=given.options(ClusterOptions),
        tries=tries,
        patience_s=patience,
    )
    if start.cluster.warning:
        console.print(start.cluster.warning, soft_wrap=True)
    tally, tell = CohortTally(radiographs=0), log_teller()
    try:
        with (
            progress_bar() as progress,
            contextlib.closing(conduct(start, progress=progress)) as steps,
        ):
            for step in steps:
                if isinstance(step, Begun):
                    _tell(step)
                    tally = step.tally
                else:
                    tally = step
                progress(_state(tally), tally.done, tally.radiographs)
                tell(_state(tally))
    except KeyboardInterrupt:
        raise Interrupted(
            f"stopped after {tally.done} of {tally.radiographs} radiographs, whose rows in {output} are whole; "
            "give the same command again to go on"
        ) from None
    if json_:
        print_json(tally.as_json())
    else:
        console.print(f"{_state(tally)}. The rows are in {output}.", soft_wrap=True)
    if count := tally.rejected[SET_ASIDE]:
        named = f": numbers {', '.join(map(str, tally.set_aside[:20]))} of the plan" * bool(
            tally.set_aside
        )
        raise InputRejected(
            SET_ASIDE, f"{count} radiographs, over which their workers died, were set aside{named}"
        )


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _tell(begun: Begun) -> None:
    """The line that says what a run begins with, or continues from."""
    plan, done = begun.plan, begun.tally.done
    again = f", {plan.repeated:,} named more than once" if plan.repeated else ""
    console.print(
        f"{plan.radiographs:,} radiographs, as they were listed at {plan.made_at}{again}: "
        f"{done:,} are done already."
        if begun.was_there
        else f"{plan.radiographs:,} radiographs{again}, in {plan.tasks:,} tasks.",
        soft_wrap=True,
    )
    if begun.dashboard:
        console.print(f"Dask's dashboard: {begun.dashboard}")


def _state(tally: CohortTally) -> str:
    """The line of progress: counts, speed, estimated end, and rejections."""
    words = [f"{tally.done:,} of {tally.radiographs:,} radiographs"]
    if tally.a_second:
        words.append(f"{tally.a_second:.1f}/s")
        if left := tally.radiographs - tally.done:
            end = dt.datetime.now().astimezone() + dt.timedelta(seconds=left / tally.a_second)
            words.append(f"until about {end:%d %b %H:%M}")
    if tally.rejected:
        codes = ", ".join(f"{code} {count:,}" for code, count in tally.rejected.most_common(4))
        words.append(f"{tally.rejected.total():,} rejected ({codes})")
    if tally.deaths:
        words.append(f"{tally.deaths} workers lost")
    return ", ".join(words)


@cohort.command(epilog="Example: `infmap-kit cohort report cohort --output report.html`")
def report(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder of a run of `infmap-kit cohort run`.")
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="HTML file to write. The default is report.html in the folder of the run.",
        ),
    ] = None,
    smallest: Annotated[
        int, typer.Option(min=1, help="Smallest number of radiographs for which a group is shown.")
    ] = 10,
) -> None:
    """Write one HTML page about a run: what was accepted and refused, who was in the cohort, what drifted.

    The run may still be going on. Pictures are named by hash, and small groups are left out.
    """
    from infmap_kit.cohort.report.page import write_report

    path = output or folder / "report.html"
    figures = write_report(folder, path, smallest=smallest)
    console.print(f"{figures.rows:,} rows; the page is {path}.", soft_wrap=True)
