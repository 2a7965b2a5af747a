"""The charts of all pages: bars and curves, as drawings that follow the page's theme.

Vega-Altair and Plotly were looked at: both need scripts, which a page's policy forbids, and put 0.9 and 4.8
MB into every page, 94 and 42 MB onto every host that serves. Matplotlib needs none and is already there for
training, but is 55 MB more for a hospital's host, and its SVG names each colour, so that it would not turn
dark with its page. These two kinds of chart take 4 to 7 kB each, get their colours from CSS, keep their
text as text for screen readers, and are drawn with what also draws a course's PNG.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Literal

from infmap_kit.report.drawing import Box, Dot, Drawing, Item, Line, Point, Text

# Drawn narrow and shown up to half as large again: on a phone the letters are still to be read.
WIDTH = 420
LEFT = 44
SMALL = 11.0
"""Size of what stands at an axis."""

_ROW = 36


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bar:
    """One bar of a chart.

    Parameters
    ----------
    label, note
        Above it, left and right.
    value
        Its length, from 0.
    start
        Start of the bar; not 0 in a waterfall.
    colour
        Name of its colour.
    low, high
        Whiskers around its end.
    """

    label: str
    value: float
    note: str
    start: float = 0.0
    colour: str = "c0"
    low: float | None = None
    high: float | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Curve:
    """One curve of a plot.

    Parameters
    ----------
    label
        In the legend.
    points
        (x, y), rising in x.
    colour
        Name of its colour.
    has_marks
        Whether every point is marked.
    """

    label: str
    points: Sequence[Point]
    colour: str
    has_marks: bool = False


class Axes:
    """The mapping of values to places in a drawing; both scales are linear.

    Parameters
    ----------
    left, top, width, height
        Of the plot, in the drawing's units.
    x, y
        Lowest and highest value.
    margin
        Room between the plot's sides and the lowest and highest x.
    """

    def __init__(
        self, *, left: float, top: float, width: float, height: float, x: Point, y: Point,
        margin: float = 0.0,
    ) -> None:  # fmt: skip
        self.left, self.top, self.right, self.bottom = left, top, left + width, top + height
        self._x, self._y, self._margin = x, y, margin

    def place(self, x: float, y: float) -> Point:
        """The place of a value."""
        (x_low, x_high), (y_low, y_high) = self._x, self._y
        wide = self.right - self.left - 2 * self._margin
        across = (x - x_low) / ((x_high - x_low) or 1.0)
        up = (y - y_low) / ((y_high - y_low) or 1.0)
        return (
            self.left + self._margin + across * wide,
            self.bottom - up * (self.bottom - self.top),
        )

    def items(
        self, x_ticks: Sequence[float], y_ticks: Sequence[float], *, x_unit: str, y_unit: str
    ) -> list[Item]:
        """Lines, ticks and units."""
        items: list[Item] = []
        for tick in y_ticks:
            _, y = self.place(0, tick)
            items.append(Line(points=((self.left, y), (self.right, y)), colour="line"))
            items.append(small((self.left - 6, y + 4), f"{tick:g}", anchor="end"))
        for tick in x_ticks:
            x, _ = self.place(tick, 0)
            items.append(Line(points=((x, self.bottom), (x, self.bottom + 4)), colour="soft"))
            items.append(small((x, self.bottom + 17), f"{tick:g}", anchor="middle"))
        items.append(small((self.right, self.bottom + 32), x_unit, anchor="end"))
        above = self.top - 10
        # Above the ticks where it is as short as they are.
        if len(y_unit) < 4:
            items.append(small((self.left - 6, above), y_unit, anchor="end"))
        else:
            items.append(small((4, above), y_unit))
        return items


def small(at: Point, text: str, anchor: Literal["start", "middle", "end"] = "start") -> Text:
    """Text at an axis."""
    return Text(at=at, text=text, colour="soft", size=SMALL, anchor=anchor)


def bars(title: str, rows: Sequence[Bar], *, unit: str) -> Drawing:
    """A horizontal bar chart; each bar has its label, its value in words, and a tooltip."""
    ticks = nice_ticks(max(max(row.start + row.value, row.high or 0) for row in rows))
    scale = (WIDTH - 16) / ticks[-1]
    height = _ROW * len(rows) + 24
    items: list[Item] = []
    for tick in ticks:
        x = 8 + tick * scale
        items.append(Line(points=((x, 4), (x, height - 18)), colour="line"))
        if tick == ticks[-1]:
            items.append(small((x + 4, height - 5), f"{tick:g} {unit}", anchor="end"))
        else:
            items.append(small((x, height - 5), f"{tick:g}", anchor="middle"))
    for number, row in enumerate(rows):
        y = number * _ROW
        items += [
            Text(at=(11, y + 14), text=row.label),
            Text(at=(WIDTH - 8, y + 14), text=row.note, anchor="end"),
            Box(at=(8 + row.start * scale, y + 19), width=max(row.value * scale, 1.5), height=11,
                colour=row.colour, title=f"{row.label}: {row.note}"),
        ]  # fmt: skip
        if row.low is not None and row.high is not None:
            low, high = (8 + value * scale for value in (row.low, row.high))
            middle = y + 24.5
            items.append(Line(points=((low, middle), (high, middle))))
            items += [Line(points=((x, middle - 4), (x, middle + 4))) for x in (low, high)]
    return Drawing(title=title, width=WIDTH, height=height, items=items)


def curves(
    title: str, lines: Sequence[Curve], *, x_unit: str, y_unit: str, x_from_zero: bool = True
) -> Drawing:
    """A plot of curves over a common x axis, with a legend below."""
    xs, ys = zip(*(point for line in lines for point in line.points), strict=True)
    x_low = 0.0 if x_from_zero else min(xs)
    x_ticks = nice_ticks(max(xs), x_low)
    y_ticks = nice_ticks(max(ys))
    axes = Axes(
        left=LEFT, top=22, width=WIDTH - LEFT - 12, height=190,
        x=(x_ticks[0], x_ticks[-1]), y=(0, y_ticks[-1]),
    )  # fmt: skip
    items = axes.items(x_ticks, y_ticks, x_unit=x_unit, y_unit=y_unit)
    for line in lines:
        places = [axes.place(*point) for point in line.points]
        items.append(Line(points=places, colour=line.colour, width=2, title=line.label))
        items += [
            Dot(at=place, colour=line.colour, radius=3.5,
                title=f"{line.label}: {x:.4g} {x_unit}, {y:.4g} {y_unit}")
            for place, (x, y) in zip(places, line.points, strict=True) if line.has_marks
        ]  # fmt: skip
    foot = axes.bottom + 50
    for number, line in enumerate(lines):
        at = (LEFT + number % 2 * 180, foot + number // 2 * 18)
        items += legend(at, line.label, line.colour)
    height = round(foot) + (len(lines) + 1) // 2 * 18 - 8
    return Drawing(title=title, width=WIDTH, height=height, items=items)


def legend(at: Point, label: str, colour: str) -> list[Item]:
    """A piece of a curve and what it is."""
    x, y = at
    return [
        Line(points=((x, y), (x + 20, y)), colour=colour, width=2.4),
        Text(at=(x + 26, y + 4), text=label),
    ]


def nice_ticks(largest: float, smallest: float = 0.0) -> list[float]:
    """About five round numbers from at most ``smallest`` to at least ``largest``."""
    span = max(largest - smallest, 1e-9)
    magnitude = 10 ** math.floor(math.log10(span / 5))
    step = next(magnitude * f for f in (1, 2, 2.5, 5, 10) if span / (magnitude * f) <= 6)
    first = math.floor(smallest / step)
    return [round(n * step, 10) for n in range(first, math.ceil(largest / step - 1e-9) + 1)]
