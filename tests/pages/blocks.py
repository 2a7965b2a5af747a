"""The code blocks of the documentation, and what becomes of each.

- ``sh`` and ``python`` are run, in the order of the page.
- ``text`` is output, which the blocks before it printed.
- ``toml``, ``yaml`` and ``json`` are read by the code that such a file is for.

A comment just above a block makes an exception, and says why: ``<!-- not run: needs docker -->``;
``<!-- tested by: tests/... -->`` where another test does the same; ``<!-- not compared: a drawing -->`` for a
text that no command printed.
"""

from __future__ import annotations

import dataclasses
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
SHELL, PYTHON, OUTPUT = "sh", "python", "text"
COMMANDS = (SHELL, PYTHON)
SETTINGS = ("toml", "yaml", "json")
NOT_RUN, TESTED_BY, NOT_COMPARED = "not run", "tested by", "not compared"
MARKS = {NOT_RUN: COMMANDS, TESTED_BY: (*COMMANDS, *SETTINGS), NOT_COMPARED: (OUTPUT,)}
"""The marks, and the languages whose blocks may carry them."""

WHOLE_PAGES = {
    "docs/python-api.md": "tests/integration/test_python_api.py",
    "docs/tutorials/first-model.md": "tests/integration/test_tutorials.py",
    "docs/tutorials/paper-tables.md": "tests/integration/test_tutorials.py",
}
"""Pages that tests of their own run from the first block to the last, and look at what they leave."""

_BLOCK = re.compile(
    r"(?:^ *<!-- (?P<mark>[a-z ]+): (?P<reason>[^\n]+) -->\n)?"
    r"^(?P<indent> *)```(?P<language>[^\n]*)\n(?P<text>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Block:
    """A fenced block of a page: its language, what stands in it, and the mark above it."""

    page: str
    line: int
    language: str
    text: str
    mark: str = ""
    reason: str = ""

    @property
    def runs(self) -> bool:
        """Whether it is a command or a program that is run with its page."""
        return self.language in COMMANDS and not self.mark

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def documents() -> list[Path]:
    """README and the pages of the site, those that lie outside docs/ too."""
    others = re.findall(r" project/(\S+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)
    pages = sorted((ROOT / "docs").rglob("*.md"))
    return [ROOT / "README.md", *pages, *(ROOT / name for name in others)]


def blocks(document: Path) -> list[Block]:
    """All blocks of a document, in its order."""
    return list(_blocks(document.read_text(encoding="utf-8"), str(document.relative_to(ROOT))))


def _blocks(text: str, page: str) -> Iterator[Block]:
    for found in _BLOCK.finditer(text):
        yield Block(
            page=page,
            line=text.count("\n", 0, found.start("text")),
            language=found["language"],
            text=textwrap.dedent(found["text"]),
            mark=found["mark"] or "",
            reason=found["reason"] or "",
        )
