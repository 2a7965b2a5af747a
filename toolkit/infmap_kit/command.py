"""What every command line of the project shares: errors become one line, results go to stdout."""

from __future__ import annotations

import json
import sys

import typer
from rich.console import Console

from infmap_kit.errors import InfmapError, Interrupted

console = Console(stderr=True)
"""For people: progress, tables, logs. Stdout is for results."""

page = Console()
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
