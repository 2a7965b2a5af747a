"""`infmap-kit verify`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from infmap_kit.cli.app import app
from infmap_kit.command import console, print_json


@app.command(epilog="Example: `infmap-kit verify --compile runs/unet --gpu 2080ti`")
def verify(
    compile_: Annotated[
        Path,
        typer.Option(
            "--compile",
            metavar="RUN_OR_REPOSITORY",
            help="Run folder, model file or repository whose three graphs are compiled.",
        ),
    ],
    gpu: Annotated[
        Optional[list[str]],  # noqa: UP045  # Typer reads this at run time
        typer.Option(help="2080ti, t4, a10, l4, sm75, sm86, ...; may be given again."),
    ] = None,
    precision: Annotated[str, typer.Option(help="Of the segmentation: fp16 or fp32.")] = "fp16",
    batches: Annotated[str, typer.Option(help="Batch sizes to compile for.")] = "1,8,32",
    json_: Annotated[
        bool, typer.Option("--json", help="Print one JSON document on stdout.")
    ] = False,
) -> None:
    """Compile a network for GPUs on a machine without one, with NVIDIA's own compiler.

    Says by node and operator what TensorRT would refuse on the box, with the mend where one is known; the
    exit code is 3 when anything is refused. What is compiled is not run, and not kept.
    """
    from infmap_kit.export.compile_gate import (
        DEFAULT_GPUS,
        GateOptions,
        as_json,
        compile_graphs,
        graphs_at,
        require_passed,
    )
    from infmap_kit.export.target import parse_batches

    options = GateOptions(
        gpus=tuple(gpu or DEFAULT_GPUS), precision=precision, batches=parse_batches(batches)
    )
    with console.status("reading") as status:
        results = compile_graphs(
            graphs_at(compile_),
            options,
            progress=lambda label, done, total: status.update(f"{label} {done}/{total}"),
        )
    if json_:
        print_json(as_json(results))
    else:
        from infmap_kit.tables import compilations_table

        console.print(compilations_table(results))
    require_passed(results)
