"""Text on a picture, in the fonts that the toolkit brings.

DejaVu Sans has Latin, Greek and Cyrillic letters; Droid Sans Fallback, cut down to what the translations need
(``scripts/subset_font.py``), the Chinese ones. Both licences lie beside the fonts. Arabic is not written: its
letters take another shape beside each other, which Pillow does only with libraries that not every host has.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from PIL import ImageDraw, ImageFont

_FONTS = Path(__file__).with_name("fonts")
LATIN_FONT = _FONTS / "DejaVuSans.ttf"
SUBSET_FONT = _FONTS / "DroidSansFallback-subset.ttf"

Colour = tuple[int, int, int]
WHITE, GREY, AMBER = (255, 255, 255), (170, 170, 170), (255, 190, 60)

_CJK = "\u2e80"
"""First of the characters that the font of Latin letters lacks."""
_NO_BREAK_AFTER = "（"
_NO_BREAK_BEFORE = tuple("，。；：、）%:;")
"""Of these the last follow a space in some languages."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lettering:
    """Text of a size and colour.

    Parameters
    ----------
    pixels
        Size of the letters: of a line, 1.4 times as much.
    colour
        RGB.
    """

    pixels: int
    colour: Colour = WHITE

    @property
    def line_pixels(self) -> int:
        """Height of a line."""
        return round(1.4 * self.pixels)

    def width(self, text: str) -> int:
        """Width of a text in pixels."""
        return round(sum(_font(font, self.pixels).getlength(run) for font, run in _runs(text)))

    def rows(self, text: str, width: int) -> list[str]:
        """Rows that a text of words needs in a width in pixels; a word that is longer is cut."""
        rows = [""]
        for piece in self._pieces(text, width):
            longer = rows[-1] + piece
            if not rows[-1] or self.width(longer.rstrip()) <= width:
                rows[-1] = longer
            else:
                rows.append(piece)
        return [row.strip() for row in rows]

    def write(self, draw: ImageDraw.ImageDraw, place: tuple[float, float], text: str) -> None:
        """Write one row, with the place as its upper left corner."""
        left, top = place
        for font, run in _runs(text):
            drawn = _font(font, self.pixels)
            # On one base line, whatever the font.
            draw.text((left, top + self.pixels), run, font=drawn, fill=self.colour, anchor="ls")
            left += drawn.getlength(run)

    def _pieces(self, text: str, width: int) -> Iterator[str]:
        """Words with the space after them, single Chinese characters, and parts of what is too long."""
        for piece in _breakable(text):
            while self.width(piece.rstrip()) > width and len(piece) > 1:
                fits = next(
                    n for n in range(len(piece), 0, -1) if n == 1 or self.width(piece[:n]) <= width
                )
                yield piece[:fits]
                piece = piece[fits:]
            yield piece


def _breakable(text: str) -> Iterator[str]:
    piece = ""
    for index, letter in enumerate(text):
        piece += letter
        following = text[index + 1 : index + 2]
        may_end = letter == " " or letter >= _CJK or following >= _CJK
        if may_end and letter not in _NO_BREAK_AFTER and following not in _NO_BREAK_BEFORE:
            yield piece
            piece = ""
    if piece:
        yield piece


def _runs(text: str) -> Iterator[tuple[Path, str]]:
    written = [(_font_of(letter), letter) for letter in text]
    known = [(font, letter if _has(font, letter) else "?") for font, letter in written]
    for font, letters in groupby(known, key=lambda one: LATIN_FONT if one[1] == "?" else one[0]):
        yield font, "".join(letter for _, letter in letters)


def _font_of(letter: str) -> Path:
    return SUBSET_FONT if letter >= _CJK else LATIN_FONT


@functools.lru_cache(maxsize=4096)
def _has(path: Path, letter: str) -> bool:
    """Whether a font has a letter: else it draws the same box as for what is no character."""
    font = _font(path, 16)
    return letter.isspace() or bytes(font.getmask(letter)) != bytes(font.getmask("\uffff"))


@functools.lru_cache(maxsize=64)
def _font(path: Path, pixels: int) -> ImageFont.FreeTypeFont:
    # The basic layout is the same on every host; what needs more is not written.
    return ImageFont.truetype(path, pixels, layout_engine=ImageFont.Layout.BASIC)
