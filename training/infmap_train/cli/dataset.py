"""``infmap-train dataset``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from infmap_kit import command
from infmap_kit.progress import progress_bar
from infmap_train.cli.app import AsJson, app

datasets = typer.Typer(
    help="Compose training data.",
    epilog="Example: `infmap-train dataset build --help`",
    no_args_is_help=True,
)
app.add_typer(datasets, name="dataset")


@datasets.command(
    epilog="Example: `infmap-train dataset build --data QaTa-COV19-v2 --normal nih set`"
)
def build(
    output: Annotated[Path, typer.Argument(help="New folder to write.")],
    data: Annotated[
        list[Path] | None,
        typer.Option(help="QaTa-COV19, COVID-QU-Ex or a folder with index.csv; may be repeated."),
    ] = None,
    normal: Annotated[
        list[Path] | None,
        typer.Option(help="Folder of normal radiographs, DICOM too; may be repeated."),
    ] = None,
    keep_all: Annotated[
        bool, typer.Option("--keep-all", help="List repeated and poor radiographs, and keep them.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Compose a training set: repeated and poor radiographs are named and left out."""
    from infmap_train.data.build import build_dataset

    with progress_bar() as progress:
        report = build_dataset(
            data or [], normal or [], output, keep_all=keep_all, progress=progress
        )
    if as_json:
        command.print_json(report)
        return
    command.console.print(
        f"{output}: {report['covid']} COVID-19 and {report['normal']} normal radiographs of "
        f"{report['patient_groups']} patient groups; {report['listed']} listed in left_out.csv"
    )
