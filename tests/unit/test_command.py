"""Under ``--json`` a command prints a document also when it fails, and never two."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer.main import get_command

from infmap_annotate.cli import app as annotate
from infmap_kit import command
from infmap_kit.cli import app as kit
from infmap_kit.errors import InfmapError, InputRejected, Interrupted
from infmap_train.cli import app as train

PROGRAMS: dict[str, typer.Typer] = {str(app.info.name): app for app in (kit, train, annotate)}


def _with_json(found: object, *words: str) -> Iterator[tuple[str, ...]]:
    """The words of every command that has ``--json``."""
    if hasattr(found, "commands"):
        for name, inner in found.commands.items():
            yield from _with_json(inner, *words, name)
    elif any("--json" in getattr(one, "opts", ()) for one in getattr(found, "params", ())):
        yield words


COMMANDS = [words for name, app in PROGRAMS.items() for words in _with_json(get_command(app), name)]


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    """Runs a program as its users do: exit code and standard output."""

    def run(*words: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", list(words))
        try:
            code = command.exit_code_of(PROGRAMS[words[0]], program=words[0])
        except SystemExit as end:
            code = int(end.code or 0)
        return code, capsys.readouterr().out

    return run


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_says_in_json_that_it_was_called_wrongly(
    run: Callable[..., tuple[int, str]], words: tuple[str, ...]
) -> None:
    assert len(COMMANDS) > 25
    code, printed = run(*words, "--json", "--no-such-option")
    assert code == 2
    assert json.loads(printed) == {"error": "No such option: --no-such-option", "exit_code": 2}


def test_what_fails_is_a_document(run: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    missing = str(tmp_path / "missing")
    code, printed = run("infmap-kit", "inspect", missing, "--json")
    document = json.loads(printed)
    assert document.keys() == {"error", "exit_code"}
    assert missing in document["error"]
    assert code == document["exit_code"] == 1
    assert run("infmap-kit", "inspect", missing)[1] == ""
    assert run("infmap-kit", "inspect", "--", "--json")[1] == "", "a file of that name"


def test_a_document_that_is_there_stays_alone(
    run: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    code, printed = run("infmap-kit", "doctor", "--repository", str(tmp_path), "--json")
    assert code == 1
    assert isinstance(json.loads(printed), list)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (InputRejected("rejected", "1 of 2 files were rejected"), []),
        (InfmapError("the disk\nis full"), [{"error": "the disk\nis full", "exit_code": 1}]),
        (Interrupted("stopped"), [{"error": "stopped", "exit_code": 130}]),
        (KeyboardInterrupt(), [{"error": "interrupted", "exit_code": 130}]),
    ],
    ids=["rejected", "failed", "stopped", "interrupted"],
)
def test_json_lines_end_with_the_reason_unless_a_line_has_it(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    said: list[object],
) -> None:
    app = typer.Typer()

    @app.command()
    def work(json_: Annotated[bool, typer.Option("--json")] = False) -> None:
        command.print_json_line({"source": "a.png"})
        raise error

    monkeypatch.setattr(sys, "argv", ["infmap-kit", "--json"])
    with contextlib.suppress(SystemExit):
        command.exit_code_of(app)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines == [{"source": "a.png"}, *said]
