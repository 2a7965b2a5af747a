"""A sheet that says what it shows: radiograph and map side by side, scale, sides, contours and words."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from infmap_kit.answer.answer import Answer
from infmap_kit.imaging.radiograph import Radiograph
from infmap_kit.model.finding import FindingSpec
from infmap_kit.results.sheet.lettering import AMBER, GREY, WHITE, Colour, Lettering
from infmap_kit.results.sheet.panels import (
    FINDING_COLOUR,
    LUNGS_COLOUR,
    PanelSize,
    Rgb,
    colour_bar,
    map_panel,
    radiograph_panel,
)
from infmap_kit.results.words.words import Words

LEAST_SIDE, MOST_SIDE = 1024, 1600
"""Bounds of a panel's longer side in pixels: below, letters would be coarse, and above, the radiograph itself
is what to look at. A sheet has twice as much and its words."""

WIDE = 1.6
"""Width of a radiograph over its height beyond which the map stands below it and not beside it."""

LEAST_LETTERS = 32
"""Width of a sheet in heights of its letters, at least: about 55 letters a row."""

_TICKS = (0.0, 1.0, 0.5, 0.25, 0.75)
"""Those that matter more come first."""
_TICK_LINES = 1.2
"""Least distance of two ticks in lines."""


class Capture(enum.StrEnum):
    """The content of a Secondary Capture."""

    BESIDE = "beside"
    """The radiograph beside its map, with everything that says what they mean."""
    MAP = "map"
    """The same without the radiograph."""
    BARE = "bare"
    """The map at the radiograph's own size, with a line that says what it is from."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SheetText:
    """The text below the pictures, each line wrapped where it must be.

    Parameters
    ----------
    conclusion
        Sentences about the finding, the first the largest.
    warnings
        What is doubtful about the radiograph, in a colour of its own.
    remarks
        Model and notice.
    """

    conclusion: Sequence[str]
    warnings: Sequence[str] = ()
    remarks: Sequence[str]


def draw_sheet(
    radiograph: Radiograph,
    answer: Answer,
    finding: FindingSpec,
    words: Words,
    text: SheetText,
    *,
    capture: Capture = Capture.BESIDE,
    sides_known: bool = False,
    aspect: float = 1.0,
) -> Rgb:
    """Draw a sheet; nothing in it is of the patient but the pixels of the radiograph.

    Parameters
    ----------
    radiograph, answer
        The radiograph, upright, and the model's answer.
    finding
        The finding that the answer is about.
    words
        The language.
    text
        What it says.
    capture
        With the radiograph beside the map, or the map alone.
    sides_known
        Whether the file says which side of it is the patient's right; only then R and L are written.
    aspect
        Height of a pixel of the radiograph over its width, upright.

    Returns
    -------
    NDArray
        (H, W, 3) uint8 RGB.
    """
    size = PanelSize.of(radiograph, aspect, least=LEAST_SIDE, most=MOST_SIDE)
    panels = [(words("map"), map_panel(radiograph, answer, finding, size))]
    if capture is Capture.BESIDE:
        panels.insert(0, (words("radiograph"), radiograph_panel(radiograph, size)))
    # Side by side, wide ones would be low and the rest of the sheet black.
    columns = 1 if size.width > WIDE * size.height else len(panels)
    gap = max(size.height, size.width) // 50
    # In proportion to the whole sheet, which a viewer may show small.
    wide = columns * (size.width + gap)
    letters = Lettering(pixels=max(wide // 46, size.height // 36))
    small = dataclasses.replace(letters, pixels=round(0.85 * letters.pixels), colour=GREY)
    column = max(size.width, *(_title_width(title, small, letters) for title, _ in panels))
    lower = size.height + gap + letters.line_pixels
    area = (len(panels) // columns - 1) * lower + size.height
    bar = _Bar.of(answer, finding, words, area, small)
    legend = _legend(answer, finding, words)
    width = max(
        2 * gap + columns * (column + gap) - gap + bar.width,
        2 * gap + LEAST_LETTERS * letters.pixels,
        2 * gap + max(_legend_width([entry], small) for entry in legend),
    )
    rows = _rows(text, letters, small, width - 2 * gap)
    legend_rows = _legend_rows(legend, small, width - 2 * gap)
    top = gap + letters.line_pixels
    below = top + max(area, bar.height) + gap // 2
    text_top = below + len(legend_rows) * small.line_pixels + gap
    height = text_top + sum(lettering.line_pixels for lettering, _ in rows) + gap
    image = Image.new("RGB", (width, height))
    draw = ImageDraw.Draw(image)
    for number, (title, panel) in enumerate(panels):
        row, place = divmod(number, columns)
        left, down = gap + place * (column + gap), row * lower
        _write_title(draw, (left, gap + down), title, (small, letters), column, sides=sides_known)
        image.paste(Image.fromarray(panel), (left + (column - size.width) // 2, top + down))
    bar.paste(image, draw, (gap + columns * (column + gap), top))
    for row, entries in enumerate(legend_rows):
        _write_legend(draw, (gap, below + row * small.line_pixels), entries, small)
    at = text_top
    for lettering, line in rows:
        lettering.write(draw, (gap, at), line)
        at += lettering.line_pixels
    return np.asarray(image)


def _title_width(title: str, small: Lettering, letters: Lettering) -> int:
    """Room for a title with R and L at its sides."""
    return small.width(title) + letters.width("R") + letters.width("L") + 2 * letters.pixels


def _write_title(
    draw: ImageDraw.ImageDraw,
    place: tuple[int, int],
    title: str,
    sizes: tuple[Lettering, Lettering],
    width: int,
    *,
    sides: bool,
) -> None:
    """A panel's title above it, between R and L where they are known: they must hide nothing below."""
    (left, top), (small, letters) = place, sizes
    down = letters.pixels - small.pixels
    if not sides:
        small.write(draw, (left, top + down), title)
        return
    letters.write(draw, (left, top), "R")
    small.write(draw, (left + (width - small.width(title)) // 2, top + down), title)
    letters.write(draw, (left + width - letters.width("L"), top), "L")


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Bar:
    """The scale of colours, with ticks and the threshold's mark."""

    picture: Rgb
    ticks: dict[float, str]
    threshold: float
    lettering: Lettering

    @classmethod
    def of(
        cls,
        answer: Answer,
        finding: FindingSpec,
        words: Words,
        height: int,
        lettering: Lettering,
    ) -> _Bar:
        # Of a strip of a radiograph, too, the ends and the threshold have a line each.
        height = max(height - 2 * lettering.line_pixels, 3 * lettering.line_pixels)
        apart = _TICK_LINES * lettering.line_pixels / height
        ticks = {finding.threshold: words.threshold(finding.threshold)}
        for value in _TICKS:
            # One that another would be written over goes.
            if all(abs(value - other) >= apart for other in ticks):
                ticks[value] = words.number(value)
        return cls(
            picture=colour_bar(answer, finding, height, round(1.4 * lettering.pixels)),
            ticks=ticks,
            threshold=finding.threshold,
            lettering=lettering,
        )

    @property
    def height(self) -> int:
        return len(self.picture) + 2 * self.lettering.line_pixels

    @property
    def width(self) -> int:
        letters = max(self.lettering.width(shown) for shown in self.ticks.values())
        return int(self.picture.shape[1]) + letters + 3 * self.lettering.pixels

    def paste(self, image: Image.Image, draw: ImageDraw.ImageDraw, place: tuple[int, int]) -> None:
        left, top = place[0], place[1] + self.lettering.line_pixels
        height, thick = self.picture.shape[:2]
        image.paste(Image.fromarray(self.picture), (left, top))
        draw.rectangle((left, top, left + thick, top + height - 1), outline=GREY)
        length, line = self.lettering.pixels // 2, max(1, self.lettering.pixels // 10)
        for value, shown in self.ticks.items():
            is_threshold = value == self.threshold
            at = top + round((1 - value) * (height - 1))
            start = left if is_threshold else left + thick
            colour = FINDING_COLOUR if is_threshold else GREY
            if is_threshold:
                draw.line((start, at, left + thick, at), fill=(0, 0, 0), width=3 * line)
            draw.line((start, at, left + thick + length, at), fill=colour, width=line)
            written = dataclasses.replace(self.lettering, colour=colour)
            middle = at - round(0.65 * self.lettering.pixels)
            written.write(draw, (left + thick + 1.5 * length, middle), shown)


def _legend(answer: Answer, finding: FindingSpec, words: Words) -> list[tuple[Colour, str]]:
    """The contours and what they are around."""
    entries = [(FINDING_COLOUR, words("contour", threshold=words.threshold(finding.threshold)))]
    if answer.lungs is not None and answer.lungs.any():
        entries.append((LUNGS_COLOUR, words("lungs")))
    return entries


def _legend_rows(
    entries: Sequence[tuple[Colour, str]], lettering: Lettering, width: int
) -> list[list[tuple[Colour, str]]]:
    rows: list[list[tuple[Colour, str]]] = [[]]
    for entry in entries:
        if rows[-1] and _legend_width([*rows[-1], entry], lettering) > width:
            rows.append([])
        rows[-1].append(entry)
    return rows


def _legend_width(entries: Sequence[tuple[Colour, str]], lettering: Lettering) -> int:
    return sum(lettering.width(text) + 5 * lettering.pixels for _, text in entries)


def _write_legend(
    draw: ImageDraw.ImageDraw,
    place: tuple[int, int],
    entries: Sequence[tuple[Colour, str]],
    lettering: Lettering,
) -> None:
    left, top = place
    line, middle = max(2, lettering.pixels // 6), top + round(0.65 * lettering.pixels)
    for colour, text in entries:
        draw.line((left, middle, left + 2 * lettering.pixels, middle), fill=colour, width=line)
        lettering.write(draw, (left + 2.5 * lettering.pixels, top), text)
        left += _legend_width([(colour, text)], lettering)


def _rows(
    text: SheetText, letters: Lettering, small: Lettering, width: int
) -> list[tuple[Lettering, str]]:
    first = dataclasses.replace(letters, pixels=round(1.15 * letters.pixels), colour=WHITE)
    rows = []
    for index, sentence in enumerate(text.conclusion):
        lettering = letters if index else first
        rows += [(lettering, row) for row in lettering.rows(sentence, width)]
    amber = dataclasses.replace(letters, colour=AMBER)
    for warning in text.warnings:
        rows += [(amber, row) for row in amber.rows(warning, width)]
    for remark in text.remarks:
        rows += [(small, row) for row in small.rows(remark, width)]
    return rows
