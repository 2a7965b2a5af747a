"""The README, the pages and the map of rooms say what is there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import typer

import infmap_annotate.cli
import infmap_kit.cli
import infmap_train.cli
from pages.blocks import SHELL, blocks, documents
from script_modules import load_script

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROGRAMS = {
    str(app.info.name): app
    for app in (infmap_kit.cli.app, infmap_train.cli.app, infmap_annotate.cli.app)
}


def test_the_readme_is_short_and_says_what_it_is_not() -> None:
    assert len(README.splitlines()) <= 150
    assert "For research use, not a medical device" in README


def test_ci_runs_the_readmes_own_commands() -> None:
    commands = blocks(ROOT / "README.md")[0].text
    assert commands.split("\n") == ["make demo", "make test", ""]
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(re.findall(r"`make (\w+)", README)) | {"demo", "test"} <= set(targets)
    assert "\nmake test\n" in (ROOT / ".ci" / "run").read_text()


def _command_lines(document: Path) -> list[list[str]]:
    """Lines of a document's blocks that call one of our programs, with what goes on after a backslash."""
    shell = [
        block.text.replace("\\\n", " ") for block in blocks(document) if block.language == SHELL
    ]
    words = [line.partition("#")[0].split() for text in shell for line in text.splitlines()]
    return [line for line in words if line and line[0] in PROGRAMS]


def _unknown(words: list[str]) -> str:
    """The first command or option of a line that the program does not have; empty where it has all."""
    command: Any = typer.main.get_command(PROGRAMS[words[0]])
    rest = words[1:]
    while inner := getattr(command, "commands", None):
        # A group's first command may be left out.
        usual = getattr(command, "first", None)
        if rest and rest[0] in inner:
            command, rest = inner[rest[0]], rest[1:]
        elif usual is not None:
            command = inner[usual]
        elif not rest or rest[0].startswith("-"):
            break
        else:
            return rest[0]
    known = {name for param in command.params for name in (*param.opts, *param.secondary_opts)}
    options = [word.partition("=")[0] for word in rest if re.match(r"--?[a-z]", word)]
    return next((option for option in options if option not in known | {"--help"}), "")


@pytest.mark.parametrize("document", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_and_option_in_the_documentation_exists(document: Path) -> None:
    unknown = {" ".join(line): _unknown(line) for line in _command_lines(document)}
    assert {line: what for line, what in unknown.items() if what} == {}


def test_the_commands_test_would_see_what_is_not_there() -> None:
    lines = {
        "infmap-kit exprot runs/unet": "exprot",
        "infmap-kit export runs/unet --lung runs/lungs": "--lung",
        "infmap-kit deploy composed": "composed",
        "infmap-kit verify runs/unet --url 127.0.0.1:8001": "",
        "infmap-kit bench FILES --samples 50": "",
    }
    assert {line: _unknown(line.split()) for line in lines} == lines


def test_the_map_of_rooms_is_that_of_the_code() -> None:
    script = load_script("architecture")
    ways = script.ways_between_rooms()
    reason = "run scripts/architecture.py and commit what it writes"
    assert script.MAP.read_text(encoding="utf-8") == script.drawing(ways), reason
    text = script.PAGE.read_text(encoding="utf-8")
    assert text == script.page(text, ways), reason


def test_the_map_leaves_out_only_what_follows() -> None:
    script = load_script("architecture")
    ways = {"a": frozenset("bc"), "b": frozenset("c"), "c": frozenset()}
    assert script.needed(ways) == {"a": frozenset("b"), "b": frozenset("c"), "c": frozenset()}
