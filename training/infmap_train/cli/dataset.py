"""``infmap-train dataset``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from infmap_kit import command
from infmap_kit.cli.options import Given, with_options
from infmap_kit.progress import progress_bar
from infmap_train.cli.app import AsJson, app, log_to_console
from infmap_train.options import ReadOptions

datasets = command.Application(
    help="Compose training data.",
    epilog="Example: `infmap-train dataset build --data QaTa-COV19-v2 set`",
    no_args_is_help=True,
)
app.add_typer(datasets, name="dataset")


@datasets.command(
    epilog="Example: `infmap-train dataset build --data QaTa-COV19-v2 --normal rsna --control-count 12544 set`"
)
@with_options(ReadOptions, leave_out=("negatives",))
def build(
    output: Annotated[Path, typer.Argument(help="New folder to write.")],
    data: Annotated[
        list[Path] | None,
        typer.Option(
            help="Folder with index.csv, or folder of a public data set; may be repeated."
        ),
    ] = None,
    normal: Annotated[
        list[Path] | None,
        typer.Option(
            help="Folder of which only the normal radiographs are taken; may be repeated."
        ),
    ] = None,
    keep_all: Annotated[
        bool,
        typer.Option(
            "--keep-all", help="Keep repeated and poor radiographs; they are listed all the same."
        ),
    ] = False,
    control_count: Annotated[
        int, typer.Option(help="Number of normal radiographs to draw; 0 takes all.")
    ] = 0,
    seed: Annotated[int, typer.Option(help="Seed of the draw of normal radiographs.")] = 0,
    *,
    given: Given,
    as_json: AsJson = False,
) -> None:
    """Compose a training set. Repeated and poor radiographs are listed and left out."""
    from infmap_train.data.build import BuildOptions, build_dataset

    log_to_console()
    options = BuildOptions(keep_all=keep_all, control_count=control_count, seed=seed)
    with progress_bar() as progress:
        report = build_dataset(
            *(data or [], normal or [], output),
            options=options,
            reading=given.options(ReadOptions),
            progress=progress,
        )
    if as_json:
        command.print_json(report)
        return
    for folder in report["folders"]:
        command.console.print(_folder_line(folder), highlight=False, soft_wrap=True)
    others = f", {report['other']} of other findings" if "other" in report else ""
    command.console.print(
        f"{output}: {report['covid']} COVID-19 and {report['normal']} normal radiographs of "
        f"{report['patient_groups']} patient groups{others}; {report['listed']} listed in left_out.csv"
    )


def _folder_line(folder: dict[str, Any]) -> str:
    counts = ", ".join(f"{count} {kind}" for kind, count in folder["read"].items())
    return f"{folder['folder']}: {counts} ({folder['reader']}: {folder['reason']})"
