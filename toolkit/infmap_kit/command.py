"""What every command line of the project shares: errors become one line, results go to stdout."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.text import Text

from infmap_kit.errors import InfmapError, Interrupted
from infmap_kit.extras import missing_package
from infmap_kit.text import json_bytes, json_line, one_line, shown

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
    if code := exit_code_of(app, program=app.info.name or ""):
        sys.exit(code)


def exit_code_of(work: Callable[[], object], *, program: str = "infmap-kit") -> int:
    """Do some work of a program, and say with which exit code a process should end for it.

    The only place where an :class:`InfmapError` becomes a line on stderr and an exit code, and so do what the
    system refuses and a package that is not installed.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        work()
    except InfmapError as error:
        return _told(str(error), error)
    except ModuleNotFoundError as error:
        if (missing := missing_package(error, program=program)) is None:
            raise
        return _told(str(missing), missing)
    except MemoryError:
        return _told("there is not enough memory", InfmapError())
    except OSError as error:
        return _told(_refusal(error), InfmapError())
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return Interrupted.exit_code
    return 0


def _told(reason: str, error: InfmapError) -> int:
    # One line, but for a list of problems, each indented on a line of its own.
    lines = "\n  ".join(map(one_line, reason.split("\n  ")))
    sys.stderr.write(f"error: {lines}\n")
    return error.exit_code


def _refusal(error: OSError) -> str:
    """What the system refused; only the standard streams have no name."""
    reason = error.strerror or type(error).__name__
    if error.filename is not None:
        return f"cannot use {error.filename}: {reason}"
    # What is still in the buffer must not end in another error when Python flushes it.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return f"cannot write to standard output: {reason}"


def print_json(document: object) -> None:
    """Write one JSON document to stdout, in UTF-8 (RFC 8259, 8.1)."""
    _print_whole(json_bytes(document))


def print_json_line(document: object) -> None:
    """Write one line of JSON Lines to stdout, flushed at once: an interruption leaves whole lines."""
    _print_whole(json_line(document))


def _print_whole(content: bytes) -> None:
    sys.stdout.write(content.decode())
    sys.stdout.flush()


def print_result(
    document: object, *shown: RenderableType, as_json: bool, on: Console = console
) -> None:
    """Write a document to stdout as JSON, or print tables and sentences for people instead."""
    if as_json:
        print_json(document)
        return
    for item in shown:
        on.print(item)
