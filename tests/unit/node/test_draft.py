"""`node init`: a few answers make a file that `node check` finds good."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from infmap_kit.node.check.reading import find_faults, find_notes, read_config

pytest.importorskip("pynetdicom")


def _init(path: Path, *options: str, answers: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "infmap_kit", "node", "init", str(path), *options],
        input=answers, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def _options(path: Path) -> list[str]:
    return [
        "--yes", "--pacs-host", "pacs.hospital", "--pacs-ae-title", "PACS", "--sender", "ROOM 1",
        "--sender", "ROOM2", "--spool", str(path / "spool"),
    ]  # fmt: skip


def test_options_make_a_file_without_a_fault_or_a_note(tmp_path: Path) -> None:
    path = tmp_path / "node.toml"
    done = _init(path, *_options(tmp_path))
    assert done.returncode == 0, done.stderr
    assert find_faults(path) == []
    assert find_notes(path) == [], "the PACS is among the callers, so that its C-ECHO is answered"
    config = read_config(path)
    assert [caller.ae_title for caller in config.callers] == ["ROOM 1", "ROOM2", "PACS"]
    assert config.node.spool == tmp_path / "spool"
    assert config.destinations[0].name == "pacs"


def test_what_is_not_given_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "node.toml"
    lines = ["ROOM1, ROOM2", "pacs.hospital", "", "PACS", "", "", "", str(tmp_path / "spool"), ""]
    done = _init(path, answers="\n".join([*lines, ""]))
    assert done.returncode == 0, done.stderr
    config = read_config(path)
    assert config.node.ae_title == "INFMAP"
    assert [caller.ae_title for caller in config.callers] == ["ROOM1", "ROOM2", "PACS"]


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        (
            "--pacs-host",
            "pacs..hospital",
            "destinations[0].host: expected a host's name or address",
        ),
        ("--ae-title", "A TITLE THAT IS TOO LONG", "node.ae_title"),
        ("--pacs-port", "70000", "destinations[0].port"),
    ],
)
def test_answers_that_cannot_be_are_refused_and_nothing_is_written(
    tmp_path: Path, option: str, value: str, said: str
) -> None:
    done = _init(tmp_path / "node.toml", *_options(tmp_path), option, value)
    assert done.returncode == 1
    assert said in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_what_nobody_can_guess_is_wanted_and_a_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "node.toml"
    assert "expected --sender" in _init(path, "--yes").stderr
    path.write_text("mine")
    path.chmod(0o640)
    assert "--replace" in _init(path, *_options(tmp_path)).stderr
    assert path.read_text() == "mine"
    assert _init(path, *_options(tmp_path), "--replace").returncode == 0
    assert path.stat().st_mode & 0o777 == 0o640
    assert read_config(path).callers
