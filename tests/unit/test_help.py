"""Examples of the help: whole, pastable, and understood by the very command that they are of."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import pytest
import typer
from typer.main import get_command
from typer.testing import CliRunner

from infmap_annotate.cli import app as annotate
from infmap_kit.cli import app as kit
from infmap_train.cli import app as train

PROGRAMS = {str(app.info.name): app for app in (kit, train, annotate)}


def _texts(app: typer.Typer, *words: str) -> Iterator[tuple[str, ...]]:
    """The words that lead to each help text: the program's, its groups' and its commands'."""
    yield words
    for command in app.registered_commands:
        name = command.name or str(getattr(command.callback, "__name__", ""))
        yield (*words, name.replace("_", "-"))
    for group in app.registered_groups:
        if group.typer_instance is not None:
            yield from _texts(group.typer_instance, *words, str(group.name))


TEXTS = [text for name, app in PROGRAMS.items() for text in _texts(app, name)]


@pytest.mark.parametrize("words", TEXTS, ids=" ".join)
def test_each_example_is_one_line_that_its_program_understands(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    shown = CliRunner().invoke(PROGRAMS[words[0]], [*words[1:], "--help"])
    assert shown.exit_code == 0
    before, found, examples = re.split(r"^(Examples?:)\n", shown.stdout, flags=re.MULTILINE)
    assert "Usage" in before
    lines = examples.strip().splitlines()
    assert (len(lines) > 1) == (found == "Examples:")
    for line in lines:
        program, *arguments = shlex.split(line)
        assert program == words[0]
        _parse(get_command(PROGRAMS[program]), arguments)


def _parse(command: object, arguments: list[str]) -> None:
    """Let a command read its arguments, and the command that they name theirs; nothing is run."""
    with command.make_context("", list(arguments)) as context:  # type: ignore[attr-defined]
        # Click keeps what is left for a group's command there.
        left = [*context._protected_args, *context.args]
        if hasattr(command, "resolve_command") and left:
            _, inner, rest = command.resolve_command(context, left)
            _parse(inner, rest)
        else:
            assert not left
