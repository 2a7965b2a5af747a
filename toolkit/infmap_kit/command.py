"""The common behaviour of all command lines: errors become one line, results go to stdout.

Under ``--json`` a command that fails prints ``{"error": "...", "exit_code": N}`` on stdout besides, in one
line, unless its document is there already. Behind JSON Lines it is the last line; where files were rejected,
their lines say so.
"""

from __future__ import annotations

import io
import itertools
import os
import re
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.text import Text
from typer.core import TyperCommand, TyperGroup
from typer.models import CommandFunctionType

from infmap_kit.errors import InfmapError, InputRejected, Interrupted
from infmap_kit.extras import missing_package
from infmap_kit.text import json_bytes, json_line, one_line, shown

if TYPE_CHECKING:
    from rich.console import RenderableType

_EXAMPLE = re.compile(r"`([^`]+)`")

_STATE = {"document": False, "lines": False}
"""The kinds of JSON that were printed."""


class _PastableExamples:
    """Help that ends with its examples, each whole on a line of its own, however narrow the terminal is."""

    epilog: str | None

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help, and whatever stands in the epilog between backticks."""
        epilog, self.epilog = self.epilog, None
        try:
            super().format_help(ctx, formatter)  # type: ignore[misc]
        finally:
            self.epilog = epilog
        if examples := _EXAMPLE.findall(epilog or ""):
            typer.echo("\n".join(["Example:" if len(examples) == 1 else "Examples:", *examples]))


class PastableCommand(_PastableExamples, TyperCommand):
    """A command with pastable examples."""


class PastableGroup(_PastableExamples, TyperGroup):
    """A group of commands with pastable examples."""


class Application(typer.Typer):
    """A Typer application whose help shows examples that can be pasted."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{"cls": PastableGroup, **settings})

    def command(
        self, name: str | None = None, **settings: Any
    ) -> Callable[[CommandFunctionType], CommandFunctionType]:
        """Register a command as Typer does, with :class:`PastableCommand` as its usual class."""
        return super().command(name, **{"cls": PastableCommand, **settings})


class _Terminal(Console):
    """A terminal on which texts out of files are texts, in sentences and in the cells of tables."""

    def __init__(self, *, stderr: bool = False) -> None:
        # Brackets and colons in names of files are neither markup nor an emoji.
        super().__init__(stderr=stderr, markup=False, emoji=False)

    def render_str(self, text: str, **options: Any) -> Text:
        """Render a text; rich calls this for each one that is printed."""
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
    _STATE.update(document=False, lines=False)
    try:
        work()
    except InfmapError as error:
        rejected = isinstance(error, InputRejected) and _STATE["lines"]
        return _told(str(error), error.exit_code, document=not rejected)
    except ModuleNotFoundError as error:
        if (missing := missing_package(error, program=program)) is None:
            raise
        return _told(str(missing), missing.exit_code)
    except MemoryError:
        return _told("there is not enough memory")
    except OSError as error:
        return _told(_refusal(error), document=error.filename is not None)
    except KeyboardInterrupt:
        # In a sandbox; whoever waits for it is interrupted, too, and prints the document.
        sys.stderr.write("interrupted\n")
        return Interrupted.exit_code
    except SystemExit as end:
        # How Typer ends a program; it has told people why.
        cause = end.__context__
        if (reason := getattr(cause, "format_message", None)) and isinstance(end.code, int):
            _document(reason(), end.code)
        elif cause is not None and isinstance(cause.__cause__, KeyboardInterrupt):
            _document("interrupted", Interrupted.exit_code)
        raise
    return 0


def _told(reason: str, code: int = InfmapError.exit_code, *, document: bool = True) -> int:
    # One line, but for a list of problems, each indented on a line of its own.
    lines = "\n  ".join(map(one_line, reason.split("\n  ")))
    sys.stderr.write(f"error: {lines}\n")
    if document:
        _document(reason, code)
    return code


def _document(reason: str, code: int) -> None:
    """Say in JSON what failed, where JSON was asked for and nothing is there yet."""
    # Looked up in what was typed: arguments that cannot be read are among what fails.
    words = itertools.takewhile(lambda word: word != "--", sys.argv[1:])
    if "--json" in words and not _STATE["document"]:
        print_json_line({"error": reason, "exit_code": code})


def _refusal(error: OSError) -> str:
    """The operation that the system refused. Only the standard streams have no name."""
    reason = error.strerror or type(error).__name__
    if error.filename is not None:
        return f"cannot use {error.filename}: {reason}"
    # What is still in the buffer must not end in another error when Python flushes it.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return f"cannot write to standard output: {reason}"


def print_json(document: object) -> None:
    """Write one JSON document to stdout, in UTF-8 (RFC 8259, 8.1)."""
    _STATE["document"] = True
    _print_whole(json_bytes(document))


def print_json_line(document: object) -> None:
    """Write one line of JSON Lines to stdout, flushed at once: an interruption leaves whole lines."""
    _STATE["lines"] = True
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
