"""What every command line of the project shares: errors become one line, results go to stdout."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.text import Text

from infmap_kit.errors import InfmapError, Interrupted
from infmap_kit.text import one_line, shown

if TYPE_CHECKING:
    from rich.console import RenderableType


class _Terminal(Console):
    """A terminal on which texts out of files are texts, in sentences and in the cells of tables."""

    def __init__(self, *, stderr: bool = False) -> None:
        # Brackets and colons in names of files are neither markup nor an emoji.
        super().__init__(stderr=stderr, markup=False, emoji=False)

    def render_str(self, text: str, **options: Any) -> Text:
        """Called by rich for each text that is printed."""
        return super().render_str(shown(text), **options)


console = _Terminal(stderr=True)
"""For people: progress, tables, logs. Stdout is for results."""

page = _Terminal()
"""For people, too, on stdout: where a list or a report is the result itself."""


def run(app: typer.Typer) -> None:
    """Run a Typer application and end the process with the exit code of what happened."""
    if code := exit_code_of(app):
        sys.exit(code)


def exit_code_of(work: Callable[[], object]) -> int:
    """Do some work, and say with which exit code a process should end for it.

    The only place where an :class:`InfmapError` becomes a line on stderr and an exit code.
    """
    try:
        work()
    except InfmapError as error:
        sys.stderr.write(f"error: {one_line(str(error))}\n")
        return error.exit_code
    except MemoryError:
        sys.stderr.write("error: there is not enough memory\n")
        return InfmapError.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return Interrupted.exit_code
    return 0


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
