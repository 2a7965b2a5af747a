"""What every command line of the project shares: errors become one line, results go to stdout."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import typer
from rich.console import Console

from infmap_kit.errors import InfmapError, Interrupted

if TYPE_CHECKING:
    from rich.console import RenderableType

# What is printed holds names of files, in which brackets and colons are neither markup nor an emoji.
console = Console(stderr=True, markup=False, emoji=False)
"""For people: progress, tables, logs. Stdout is for results."""

page = Console(markup=False, emoji=False)
"""For people, too, on stdout: where a list or a report is the result itself."""


def run(app: typer.Typer) -> None:
    """Run a Typer application and end the process with the exit code of what happened.

    The only place where an :class:`InfmapError` becomes a line on stderr and an exit code.
    """
    try:
        app()
    except InfmapError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(Interrupted.exit_code)


def print_json(document: object) -> None:
    """Write one JSON document to stdout."""
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def print_result(
    document: object, *shown: RenderableType, as_json: bool, on: Console = console
) -> None:
    """Write a document to stdout as JSON, or print tables and sentences for people instead."""
    if as_json:
        print_json(document)
        return
    for item in shown:
        on.print(item)
