"""`infmap-kit synthesize`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from infmap_kit.cli.app import app
from infmap_kit.command import console


@app.command(epilog="Example: `infmap-kit synthesize --output pictures --count 4`")
def synthesize(
    output: Annotated[Path, typer.Option("--output", "-o", help="New folder for the pictures.")],
    count: Annotated[
        int, typer.Option(min=1, help="Number of pictures; every second one shows an infection.")
    ] = 4,
    size: Annotated[int, typer.Option(min=64, help="Height and width in pixels.")] = 1024,
    seed: Annotated[int, typer.Option(help="Seed of the first picture.")] = 0,
    course: Annotated[
        bool,
        typer.Option(
            "--course",
            help="Draw one chest whose infection grows and recedes, and write times.csv, to try `progression`.",
        ),
    ] = False,
) -> None:
    """Draw synthetic radiographs with known infection masks, to try the model without data."""
    from infmap_kit.imaging.synthetic.folder import write_synthetic, write_synthetic_course
    from infmap_kit.model.files import require_new_folder

    require_new_folder(output)
    if course:
        write_synthetic_course(output, count=count, size=size, seed=seed)
        console.print(
            f"{count} synthetic radiographs of one chest, with times.csv, are in {output}."
        )
        return
    write_synthetic(output, count=count, size=size, seed=seed)
    console.print(f"{count} synthetic radiographs, with masks and index.csv, are in {output}.")
