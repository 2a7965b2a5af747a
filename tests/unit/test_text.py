"""What a file says is shown as it stands, and does nothing to the terminal or the page that shows it."""

from __future__ import annotations

import io
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infmap_kit import command, text
from infmap_kit.errors import InfmapError
from infmap_kit.report.page import render
from infmap_kit.report.table import Table

HOSTILE = "a[red]b\x1b]0;title\x07\u202egnp.exe\n<b>c</b>\x9b31m\ud800 \u200b"
ACTIVE = ("\x1b", "\x07", "\x9b", "\u202e", "\u200b", "\ud800")


@given(st.text(st.characters(), max_size=60))
def test_every_text_is_one_line_that_can_be_written(one: str) -> None:
    shown = text.one_line(one)
    assert len(shown.splitlines()) <= 1
    assert shown.encode().decode() == shown
    left = {unicodedata.category(c) for c in text.shown(one) if c not in "\n\t\u200c\u200d"}
    assert left.isdisjoint({"Cc", "Cf", "Cs", "Zl", "Zp"})


def test_what_is_harmless_stays_as_it_is() -> None:
    for one in (
        "김영희 Ünal Ø",
        "نمی\u200cخواهم",
        "5\u00a0%",
        "U-Net DenseNet-121, not frozen",
        "[12] 50 % → 60 %",
    ):
        assert text.one_line(one) == text.shown(one) == one


def test_a_long_line_loses_its_middle() -> None:
    shown = text.one_line("a" * 3000 + "b" * 3000)
    assert len(shown) == text.LONGEST + 1
    assert (shown[0], shown[-1]) == ("a", "b")


def test_an_error_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        raise InfmapError(HOSTILE * 900)

    assert command.exit_code_of(fail) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.startswith("error: a[red]b\\x1b]0;title\\x07\\u202egnp.exe\\n<b>c</b>")


def test_a_terminal_shows_it_in_sentences_and_tables(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table("title", ("name", "value"), [(HOSTILE.replace("\n", " "), "1")])
    command.page.print(HOSTILE)
    command.page.print(table, width=200)
    said = capsys.readouterr().out
    assert not any(one in said for one in ACTIVE)
    assert said.count("[red]") == 2
    assert said.count("\\u202e") == 2


def test_a_page_shows_it(tmp_path: Path) -> None:
    (tmp_path / "one.html").write_text("<p>{{ value }}</p>")
    shown = render("one.html", tmp_path, value=HOSTILE)
    assert not any(one in shown for one in ACTIVE)
    assert "&lt;b&gt;c&lt;/b&gt;" in shown
    io.StringIO(shown).read().encode()
