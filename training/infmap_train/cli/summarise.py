"""``infmap-train summarise``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from infmap_kit.errors import TrainingError
from infmap_kit.progress import progress_bar
from infmap_train.cli.app import AsJson, app, show, start


@app.command(epilog="Example: `infmap-train summarise runs --data qata --output summary`")
def summarise(
    runs: Annotated[
        list[Path],
        typer.Argument(
            help="Run folders, folders of cross-validations, or folders that contain them."
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(help="Folder for tables and, with --data, the curves of all networks."),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the data of all runs, needed to draw precision against recall."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Put all finished runs beside the paper's 24 rows of Tables I and III, and its Fig. 6."""
    if data and not output:
        raise TrainingError("--data is for the curves in --output: pass a folder for them")
    start(tensorflow=data is not None)
    from infmap_train.studies.summary import collect, summary, summary_tables, write_summary

    networks = collect(runs)
    if output:
        with progress_bar() as progress:
            write_summary(networks, output, data=data, progress=progress)
    show(summary(networks), summary_tables(networks), as_json=as_json)
