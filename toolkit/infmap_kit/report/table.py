"""One table for every medium: the terminal, a page, Markdown, CSV, LaTeX."""

from __future__ import annotations

import csv
import dataclasses
import io
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Self

from infmap_kit.report.page import render
from infmap_kit.text import shown

if TYPE_CHECKING:
    import rich.console
    import rich.table

_NOTHING = ("", "-", "–")
# Neither a date nor an address.
_FIGURE = re.compile(r"[-+<>=]*\s*(?!\d{4}-|\d+\.\d+\.)\d")
# Where a cell of several figures may be parted: "84.0 ± 0.1", "81.1 to 86.9", "84.1 (84.0, +0.1)".
_INTERVAL = re.compile(r" (± |to |\(|[+-])(?=\d)")
# Longer ones are paths and hashes, which are folded anyhow.
_LONGEST_WORD = 16
# A narrow table keeps its size.
_NOT_WIDER = r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}"
_LATEX = str.maketrans(
    {
        **{special: f"\\{special}" for special in "%_&#${}"},
        "±": r"$\pm$",
        "<": r"$<$",
        ">": r"$>$",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "\\": r"\textbackslash{}",
    }
)
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
        wrapped, and others only where no word would be whole otherwise.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()
    words: Sequence[str] = ()

    def markdown(self, *, level: int = 3) -> str:
        """Return a Markdown table under its title, which is a heading of this level."""
        head = [f"{'#' * level} {self.title}"] if self.title else []
        above = "".join(f"{text}\n\n" for text in (*head, *filter(None, self.notes)))
        heading, *lines = (f"| {' | '.join(map(_markdown, row))} |\n" for row in self._lines())
        return f"{above}{heading}{'|---' * len(self.columns)}|\n{''.join(lines)}"

    def csv(self) -> str:
        """Return it as CSV, headings first."""
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(self._lines())
        return text.getvalue()

    def latex(self) -> str:
        """Return a LaTeX ``table`` titled by its caption, never wider than the text; it needs ``graphicx``."""
        heading, *lines = (f"{' & '.join(map(_latex, row))} \\\\\n" for row in self._lines())
        return (
            f"\\begin{{table}}\n\\caption{{{_latex(self.title)}}}\n{_NOT_WIDER}{{!}}{{%\n"
            f"\\begin{{tabular}}{{l{'r' * (len(self.columns) - 1)}}}\n\\hline\n"
            f"{heading}\\hline\n{''.join(lines)}\\hline\n\\end{{tabular}}}}\n"
            f"{''.join(f'{_latex(note)}{chr(10)}' for note in filter(None, self.notes))}\\end{{table}}\n"
        )

    def __rich_console__(
        self, _console: rich.console.Console, options: rich.console.ConsoleOptions
    ) -> Iterator[rich.table.Table]:
        """Draw it for the terminal; a name in brackets is text there, and no markup."""
        import rich.box
        import rich.table
        from rich.text import Text

        # Where headings would be cut in the middle of a word: no rules, and each word a line of its own.
        tight = sum(self._least_widths()) + _frame(len(self.columns)) > options.max_width
        table = rich.table.Table(
            title=Text(shown(self.title), "table.title") if self.title else None,
            caption=Text(shown("\n".join(filter(None, self.notes))), "table.caption") or None,
            title_justify="left",
            caption_justify="left",
            show_lines=not tight and any("\n" in cell for row in self.rows for cell in row),
            box=rich.box.SIMPLE_HEAD if tight else rich.box.HEAVY_HEAD,
            show_edge=not tight,
            padding=0 if tight else (0, 1),
        )
        widths = [None] * len(self.columns) if tight else self._widths(options.max_width)
        for column, is_figures, width in zip(self.columns, self._figures(), widths, strict=True):
            heading = shown(column)
            table.add_column(
                Text("\n".join(heading.split()) if tight else heading),
                # A name that is cut cannot be recognised; so it is folded.
                overflow="fold",
                width=width,
                no_wrap=width is None and bool(self.words) and column not in self.words,
                justify="right" if is_figures else "left",
            )
        for row in self.rows:
            if row:
                cells = [
                    _INTERVAL.sub(r"\n\1", shown(cell)) if tight else shown(cell) for cell in row
                ]
                table.add_row(
                    *(Text(c, _STYLES.get(_tone(of), "")) for c, of in zip(cells, row, strict=True))
                )
            else:
                table.add_section()
        yield table

    def __html__(self) -> str:
        """Return HTML for a page; jinja2 asks for it."""
        kinds = [
            "words" if column in self.words else "figures" if is_figures else ""
            for column, is_figures in zip(self.columns, self._figures(), strict=True)
        ]
        rows = [
            [
                (column, cell, f"{kind} {_tone(cell)}".strip())
                for column, cell, kind in zip(self.columns, row, kinds, strict=True)
            ]
            for row in self.rows
            if row
        ]
        return render(
            "table.html", table=self, head=zip(self.columns, kinds, strict=True), rows=rows
        )

    def _least_widths(self) -> list[int]:
        """Width of each column below which a heading or a cell is cut in the middle of a word."""
        return [
            max(
                _longest_word(heading),
                *(
                    len(word)
                    for cell in cells
                    for word in cell.split()
                    if len(word) <= _LONGEST_WORD
                ),
                0,
            )
            for heading, *cells in zip(*self._lines(), strict=True)
        ]

    def _widths(self, terminal: int) -> list[int | None]:
        """Width of each column where not all have room, so that no word is cut; else ``None`` for each.

        Every column gets its longest word, and what is left goes to those that lack most. Columns other than
        :attr:`words` are wrapped only where that does not suffice.
        """
        whole = [
            max(len(line) for cell in cells for line in shown(cell).split("\n"))
            for cells in zip(*self._lines(), strict=True)
        ]
        least = self._least_widths()
        widths = [
            full if self.words and heading not in self.words else word
            for heading, word, full in zip(self.columns, least, whole, strict=True)
        ]
        if sum(widths) + _frame(len(widths)) > terminal:
            widths = least
        left = terminal - _frame(len(widths)) - sum(widths)
        if not 0 <= left < sum(whole) - sum(widths):
            return [None] * len(widths)
        for _ in range(left):
            lacking = [full - width for full, width in zip(whole, widths, strict=True)]
            widths[lacking.index(max(lacking))] += 1
        return list(widths)

    def _figures(self) -> list[bool]:
        """Tell for each column whether it holds figures alone, and so stands to the right."""
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
    return shown(cell).replace("|", "\\|").replace("\n", " ")


def _frame(columns: int) -> int:
    """The width of the rules and blanks around so many columns."""
    return 3 * columns + 1


def _longest_word(text: str) -> int:
    return max(map(len, text.split()), default=0)


def _latex(text: str) -> str:
    return text.translate(_LATEX).replace("\n", " ")
