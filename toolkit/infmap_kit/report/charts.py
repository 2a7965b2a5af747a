"""Charts as inline SVG: bars and curves. Colours come from the page, so that they follow its theme."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from html import escape

# Drawn narrow and shown up to half as large again: on a phone the letters are still to be read.
_WIDTH = 420
_ROW = 36
_LEFT = 44


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
        Where it begins; not 0 in a waterfall.
    kind
        Class of its colour: ``ours``, ``paper``, ``baseline``, ``part``.
    low, high
        Whiskers around its end.
    """

    label: str
    value: float
    note: str
    start: float = 0.0
    kind: str = "ours"
    low: float | None = None
    high: float | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Curve:
    """One curve of a plot.

    Parameters
    ----------
    label
        At its last point and in the legend.
    points
        (x, y), rising in x.
    kind
        Class of its colour, ``c0`` to ``c3``.
    marks
        Whether every point is marked.
    """

    label: str
    points: Sequence[tuple[float, float]]
    kind: str
    marks: bool = False


def bars(title: str, rows: Sequence[Bar], *, unit: str) -> str:
    """A horizontal bar chart; each bar has its label, its value in words, and a tooltip."""
    longest = max(max(row.start + row.value, row.high or 0) for row in rows)
    ticks = nice_ticks(longest)
    scale = (_WIDTH - 16) / ticks[-1]
    height = _ROW * len(rows) + 24
    parts = [_open(title, height)]
    for tick in ticks:
        x = 8 + tick * scale
        last = tick == ticks[-1]
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="4" y2="{height - 18}"/>')
        parts.append(
            f'<text class="tick" x="{x + 4 if last else x:.1f}" y="{height - 5}" '
            f'text-anchor="{"end" if last else "middle"}">{tick:g}{" " + escape(unit) if last else ""}</text>'
        )
    for number, row in enumerate(rows):
        y = number * _ROW
        x, width = 8 + row.start * scale, max(row.value * scale, 1.5)
        parts.append(
            f'<text class="label" x="11" y="{y + 14}">{escape(row.label)}</text>'
            f'<text class="value" x="{_WIDTH - 8}" y="{y + 14}" text-anchor="end">{escape(row.note)}</text>'
            f'<rect class="{row.kind}" x="{x:.1f}" y="{y + 19}" width="{width:.1f}" height="11" rx="2">'
            f"<title>{escape(row.label)}: {escape(row.note)}</title></rect>"
        )
        if row.low is not None and row.high is not None:
            low, high = (8 + value * scale for value in (row.low, row.high))
            middle = y + 24.5
            parts.append(
                f'<path class="whisker" d="M{low:.1f} {middle}H{high:.1f}M{low:.1f} {middle - 4}v8'
                f'M{high:.1f} {middle - 4}v8"/>'
            )
    return "".join([*parts, "</svg>"])


def curves(
    title: str, lines: Sequence[Curve], *, x_unit: str, y_unit: str, x_from_zero: bool = True
) -> str:
    """A plot of curves over a common x axis, both axes linear, with a legend below."""
    everything = [point for line in lines for point in line.points]
    left, top, width, height = _LEFT, 18, _WIDTH - _LEFT - 12, 190
    x_low = 0.0 if x_from_zero else min(x for x, _ in everything)
    x_ticks = [t for t in nice_ticks(max(x for x, _ in everything), x_low) if t >= x_low * 0.999]
    y_ticks = nice_ticks(max(y for _, y in everything))
    x_first, x_span = x_ticks[0], (x_ticks[-1] - x_ticks[0]) or 1.0

    def place(x: float, y: float) -> tuple[float, float]:
        return (
            left + (x - x_first) / x_span * width,
            top + height - y / y_ticks[-1] * height,
        )

    parts = [_open(title, top + height + 42 + (len(lines) + 1) // 2 * 18)]
    for tick in y_ticks:
        _, y = place(x_first, tick)
        parts.append(
            f'<line class="grid" x1="{left}" x2="{left + width}" y1="{y:.1f}" y2="{y:.1f}"/>'
        )
        parts.append(
            f'<text class="tick" x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>'
        )
    for tick in x_ticks:
        x, _ = place(tick, 0)
        parts.append(
            f'<text class="tick" x="{x:.1f}" y="{top + height + 16}" text-anchor="middle">{tick:g}</text>'
        )
    parts.append(
        f'<text class="tick" x="{left + width}" y="{top + height + 32}" text-anchor="end">'
        f"{escape(x_unit)}</text>"
        f'<text class="tick" x="4" y="{top - 7}">{escape(y_unit)}</text>'
    )
    for number, line in enumerate(lines):
        path = "L".join("{:.1f} {:.1f}".format(*place(*point)) for point in line.points)
        parts.append(
            f'<path class="curve {line.kind}" d="M{path}"><title>{escape(line.label)}</title></path>'
        )
        for point in line.points if line.marks else ():
            x, y = place(*point)
            parts.append(
                f'<circle class="{line.kind}" cx="{x:.1f}" cy="{y:.1f}" r="3.5"><title>'
                f"{escape(line.label)}: {point[0]:.4g} {escape(x_unit)}, {point[1]:.4g} {escape(y_unit)}"
                "</title></circle>"
            )
        x, y = left + number % 2 * 180, top + height + 46 + number // 2 * 18
        parts.append(f'<path class="curve {line.kind}" d="M{x} {y}h18"/>')
        parts.append(f'<text class="label" x="{x + 23}" y="{y + 4}">{escape(line.label)}</text>')
    return "".join([*parts, "</svg>"])


def nice_ticks(largest: float, smallest: float = 0.0) -> list[float]:
    """About five round numbers from at most ``smallest`` to at least ``largest``."""
    span = max(largest - smallest, 1e-9)
    magnitude = 10 ** math.floor(math.log10(span / 5))
    step = next(magnitude * f for f in (1, 2, 2.5, 5, 10) if span / (magnitude * f) <= 6)
    first = math.floor(smallest / step)
    return [round(n * step, 10) for n in range(first, math.ceil(largest / step - 1e-9) + 1)]


def _open(title: str, height: int) -> str:
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(title)}">'
        f"<title>{escape(title)}</title>"
    )
