"""The application that every command joins, and the options that several share."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

from infmap_kit import __version__
from infmap_kit.command import Application

app = Application(
    name="infmap-kit",
    help="COVID-19 infection maps from chest X-rays, served by Triton.\n\n"
    "For research use, not a medical device.",
    epilog="Example: `infmap-kit export runs/unet`, then `infmap-kit serve`",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)

DEFAULT_REPOSITORY = Path("model_repository")
DEFAULT_URL = "127.0.0.1:8001"
DEFAULT_REPORT = Path("gate-report")

Json = Annotated[
    bool,
    typer.Option("--json", help="Print one JSON document on stdout, also if the command fails."),
]
Repository = Annotated[
    Path, typer.Option("--repository", "-r", help="Triton model repository.", show_default=True)
]
Report = Annotated[
    Path, typer.Option(help="Folder for the gate's report (JSON, Markdown, worst picture).")
]
GateImages = Annotated[
    Path | None,
    typer.Option(
        help="Folder of radiographs for the gate to compare on, in addition to synthetic ones and in place "
        "of those of the run."
    ),
]
Url = Annotated[str, typer.Option(help="The server's gRPC endpoint, host:port.")]


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"infmap-kit {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
