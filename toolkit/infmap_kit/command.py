"""What every command line of the project shares: errors become one line, results go to stdout."""

from __future__ import annotations

import io
import json
import os
import sys
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.text import Text

from infmap_kit.errors import InfmapError, Interrupted
from infmap_kit.extras import missing_package
from infmap_kit.printable import printable

if TYPE_CHECKING:
    from rich.console import RenderableType


class _Console(Console):
    """Prints names of files as they are: brackets and colons are neither markup nor an emoji."""

    def __init__(self, *, stderr: bool) -> None:
        super().__init__(stderr=stderr, markup=False, emoji=False)

    def render_str(self, text: str, **options: Any) -> Text:
        """Take a line or several for text, and escape what cannot be printed."""
        return super().render_str(printable(text, keep="\n\t"), **options)


console = _Console(stderr=True)
"""For people: progress, tables, logs. Stdout is for results."""

page = _Console(stderr=False)
"""For people, too, on stdout: where a list or a report is the result itself."""


def run(app: typer.Typer) -> None:
    """Run a Typer application and end the process with the exit code of what happened.

    The only place where an :class:`InfmapError` becomes a line on stderr and an exit code, and so do what the
    system refuses and a package that is not installed.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        app()
    except InfmapError as error:
        _end(str(error), error.exit_code)
    except ModuleNotFoundError as error:
        if (missing := missing_package(error, program=app.info.name or "")) is None:
            raise
        _end(str(missing), missing.exit_code)
    except OSError as error:
        _end(_refusal(error), InfmapError.exit_code)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(Interrupted.exit_code)


def _end(reason: str, exit_code: int) -> None:
    # One line, but for a list of problems, each indented on a line of its own.
    shown = "\n  ".join(map(printable, reason.split("\n  ")))
    sys.stderr.write(f"error: {shown}\n")
    sys.exit(exit_code)


def _refusal(error: OSError) -> str:
    """What the system refused; only the standard streams have no name."""
    reason = error.strerror or type(error).__name__
    if error.filename is not None:
        return f"cannot use {error.filename}: {reason}"
    # What is still in the buffer must not end in another error when Python flushes it.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return f"cannot write to standard output: {reason}"


def json_bytes(document: object) -> bytes:
    r"""A document as indented JSON in UTF-8, whatever the names of files in it.

    Python keeps bytes of a name that are no UTF-8 as lone surrogates (PEP 383). They are written as JSON's
    own escapes (``\udce9``), so that a script that reads the JSON in Python finds the file by that name.
    """
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    return text.encode("utf-8", "backslashreplace")


def print_json(document: object) -> None:
    """Write one JSON document to stdout, in UTF-8 (RFC 8259, 8.1)."""
    sys.stdout.write(json_bytes(document).decode())
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
