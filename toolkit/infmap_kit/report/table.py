"""One table for every medium: the terminal, a page, Markdown, CSV, LaTeX."""

from __future__ import annotations

import csv
import dataclasses
import io
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

from infmap_kit.printable import printable
from infmap_kit.report.page import render

if TYPE_CHECKING:
    import rich.table

_NOTHING = ("", "-", "–")
# Neither a date nor an address.
_FIGURE = re.compile(r"[-+<>=]*\s*(?!\d{4}-|\d+\.\d+\.)\d")
_STYLES = {"good": "green", "warning": "yellow", "bad": "red", "soft": "dim"}


class Toned(str):
    """Text with a tone, shown as a colour: ``good``, ``warning``, ``bad``, ``soft``, or none where empty."""

    tone: str

    def __new__(cls, text: str, tone: str) -> Self:
        """Set the tone here: a str cannot be given an attribute later."""
        made = super().__new__(cls, text)
        made.tone = tone
        return made


@dataclasses.dataclass(frozen=True)
class Table:
    """A table of text, printed by ``console.print(table)`` and set into a page by ``{{ table }}``.

    Parameters
    ----------
    title
        One line above it; empty for none.
    columns
        Headings.
    rows
        As many cells each as there are columns; an empty row parts groups in the terminal.
    notes
        Sentences that belong to it; empty ones are left out.
    words
        Headings of the columns that hold names or sentences: where there is little room they are
        wrapped, and no other is.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()
    words: Sequence[str] = ()

    def markdown(self, *, level: int = 3) -> str:
        """As a Markdown table under its title, which is a heading of this level."""
        head = [f"{'#' * level} {self.title}"] if self.title else []
        above = "".join(f"{text}\n\n" for text in (*head, *filter(None, self.notes)))
        heading, *lines = (f"| {' | '.join(map(_markdown, row))} |\n" for row in self._lines())
        return f"{above}{heading}{'|---' * len(self.columns)}|\n{''.join(lines)}"

    def csv(self) -> str:
        """As CSV, headings first."""
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(self._lines())
        return text.getvalue()

    def latex(self) -> str:
        """As a LaTeX ``table`` with the title as its caption."""
        heading, *lines = (f"{' & '.join(map(_latex, row))} \\\\\n" for row in self._lines())
        return (
            f"\\begin{{table}}\n\\caption{{{_latex(self.title)}}}\n"
            f"\\begin{{tabular}}{{l{'r' * (len(self.columns) - 1)}}}\n\\hline\n"
            f"{heading}\\hline\n{''.join(lines)}\\hline\n\\end{{tabular}}\n\\end{{table}}\n"
        )

    def __rich__(self) -> rich.table.Table:
        """For the terminal; a name in brackets is text there, and no markup."""
        import rich.table
        from rich.text import Text

        table = rich.table.Table(
            title=Text(self.title, "table.title") if self.title else None,
            caption=Text("\n".join(filter(None, self.notes)), "table.caption") or None,
            title_justify="left",
            caption_justify="left",
            show_lines=any("\n" in cell for row in self.rows for cell in row),
        )
        for column, is_figures in zip(self.columns, self._figures(), strict=True):
            table.add_column(
                Text(column),
                # A name that is cut cannot be recognised; so it is folded.
                overflow="fold",
                no_wrap=bool(self.words) and column not in self.words,
                justify="right" if is_figures else "left",
            )
        for row in self.rows:
            if row:
                table.add_row(
                    *(
                        Text(printable(cell, keep="\n"), _STYLES.get(_tone(cell), ""))
                        for cell in row
                    )
                )
            else:
                table.add_section()
        return table

    def __html__(self) -> str:
        """For a page; jinja2 asks for it."""
        kinds = [
            "words" if column in self.words else "figures" if is_figures else ""
            for column, is_figures in zip(self.columns, self._figures(), strict=True)
        ]
        rows = [
            [(cell, f"{kind} {_tone(cell)}".strip()) for cell, kind in zip(row, kinds, strict=True)]
            for row in self.rows
            if row
        ]
        return render(
            "table.html", table=self, head=zip(self.columns, kinds, strict=True), rows=rows
        )

    def _figures(self) -> list[bool]:
        """Which columns hold figures alone, and so stand to the right."""
        are_figures = []
        for cells in zip(*self._lines(), strict=True):
            known = [cell for cell in cells[1:] if cell not in _NOTHING]
            are_figures.append(bool(known) and all(map(_FIGURE.match, known)))
        return are_figures

    def _lines(self) -> list[Sequence[str]]:
        return [self.columns, *filter(None, self.rows)]


def _tone(cell: str) -> str:
    return cell.tone if isinstance(cell, Toned) else ""


def _markdown(cell: str) -> str:
    return cell.replace("|", "\\|").replace("\n", " ")


def _latex(text: str) -> str:
    for plain, escaped in (("%", r"\%"), ("±", r"$\pm$"), ("_", r"\_"), ("&", r"\&")):
        text = text.replace(plain, escaped)
    return text
