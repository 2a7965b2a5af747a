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
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the run.")],
    repository: Annotated[
        Path | None,
        typer.Option("--repository", "-r", help="Model repository that each worker opens."),
    ] = None,
    url: Annotated[
        list[str] | None,
        typer.Option(
            help="A server's gRPC endpoint, host:port; several times for several servers of one model."
        ),
    ] = None,
    *,
    given: Given,
    task_size: Annotated[
        int, typer.Option(min=1, help="Radiographs of one task, and rows of one part.")
    ] = 200,
    tag: Annotated[
        list[str] | None,
        typer.Option(
            help="A DICOM keyword that becomes a column; several times for several. AgeBand and TakenMonth "
            "are made of others.",
        ),
    ] = None,
    maps: Annotated[
        str, typer.Option(help="Write a map of each, too: some of png,sc,seg,sr,gsps,dicom.")
    ] = "",
    date: Annotated[
        str, typer.Option(help="For a DICOMweb input: 20240131, or a range 20200101-20241231.")
    ] = "",
    modality: Annotated[
        str, typer.Option(help="For a DICOMweb input: modalities, with commas.")
    ] = "CR,DX",
    body_part: Annotated[str, typer.Option(help="For a DICOMweb input: Body Part Examined.")] = "",
    tries: Annotated[
        int, typer.Option(min=1, help="How often a file is tried whose worker died.")
    ] = 3,
    patience: Annotated[
        float,
        typer.Option(min=0, help="Seconds for which a server, store or PACS may fail to answer."),
    ] = 300.0,
    secondary_capture: Annotated[
        bool,
        typer.Option("--secondary-capture", help="Read DICOM secondary captures of radiographs."),
    ] = False,
    identify: Annotated[
        bool,
        typer.Option("--identify", help="Write UIDs, Patient ID, time and any tag as they are."),
    ] = False,
    json_: Json = False,
) -> None:
    """Evaluate every radiograph of a cohort, into a Parquet data set with one row each.

    The first call writes down what the cohort is. Whoever interrupts it, by Ctrl-C or a power cut, gives the
    same command again, also with other workers: it goes on, and nothing is done twice. Rows name no patient
    unless --identify is given; the plan, which knows where each file lies, is for its owner alone.

    A radiograph that is refused has a row with the reason. One that takes its worker along, again and again, is
    set aside, with a row that says so, and the exit code is 6.
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
            SET_ASIDE, f"{count} radiographs took their workers along and were set aside{named}"
        )


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _tell(begun: Begun) -> None:
    """What a run begins with, or goes on from."""
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
    """How far it is, how fast, when it may end, and what was refused."""
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
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a run.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The page; DIR/report.html when not given."),
    ] = None,
    smallest: Annotated[
        int, typer.Option(min=1, help="Groups of fewer radiographs are left out.")
    ] = 10,
) -> None:
    """Make one HTML page of a run: what was taken and refused, who was in it, what drifted.

    It may be made while the run goes on. Pictures are named by hash, and groups that are too small are left
    out.
    """
    from infmap_kit.cohort.report.page import write_report

    path = output or folder / "report.html"
    figures = write_report(folder, path, smallest=smallest)
    console.print(f"{figures.rows:,} rows; the page is {path}.", soft_wrap=True)
