"""`infmap-kit runtime`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from infmap_kit.cli.app import app
from infmap_kit.command import console


@app.command(
    epilog="Examples: `infmap-kit runtime`, "
    "`infmap-kit runtime --wheel nvidia_pytriton-0.7.0-py3-none-manylinux_2_35_x86_64.whl`"
)
def runtime(
    wheel: Annotated[
        Path | None,
        typer.Option(help="The nvidia-pytriton wheel as a file, for a host without internet."),
    ] = None,
) -> None:
    """Download the Triton server for machines without a GPU (55 MB, once)."""
    from infmap_kit.triton.server.runtime import TRITON_VERSION, install_runtime

    with console.status("bringing the Triton server"):
        folder = install_runtime(wheel)
    console.print(f"Triton {TRITON_VERSION} for CPUs is in {folder}")
