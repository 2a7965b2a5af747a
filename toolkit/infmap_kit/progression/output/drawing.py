"""A drawing of lines, areas, dots, words and pictures: SVG for a page, PNG for anything else."""

from __future__ import annotations

import base64
import dataclasses
import io
import itertools
import math
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL import ImageDraw

Point = tuple[float, float]

_LIGHT = {
    "ground": "#ffffff", "text": "#1b2330", "soft": "#5b6675", "line": "#d9dee6", "panel": "#f5f7fa",
    "c0": "#1f6fb2", "c1": "#b4690e", "c2": "#2f8f6b", "warn": "#a6261d",
}  # fmt: skip
"""The light half of the page's colours (see `bench/page_frame.py`); a PNG has one ground only."""

_PIXELS_A_UNIT = 2
_OVERSAMPLING = 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class Line:
    """A path through points.

    Parameters
    ----------
    points
        At least two.
    colour
        Name of a colour of the page: ``text``, ``soft``, ``line``, ``c0`` to ``c2``, ``warn``.
    width
        In units of the drawing.
    is_dashed
        Whether it is interrupted.
    """

    points: Sequence[Point]
    colour: str
    width: float = 1.0
    is_dashed: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Area:
    """A filled outline, so faint that lines on it stay legible."""

    points: Sequence[Point]
    colour: str
    opacity: float = 0.16


@dataclasses.dataclass(frozen=True, kw_only=True)
class Dot:
    """A mark, with words that a page shows when it is pointed at."""

    at: Point
    colour: str
    title: str = ""
    radius: float = 4.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Words:
    """A line of text.

    Parameters
    ----------
    at
        Where its baseline begins, has its middle, or ends, by ``anchor``.
    text
        What it says.
    colour
        As of a :class:`Line`.
    size
        Height in units of the drawing.
    anchor
        ``start``, ``middle`` or ``end``.
    """

    at: Point
    text: str
    colour: str = "text"
    size: float = 12.0
    anchor: str = "start"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Picture:
    """Pixels, (H, W, 3) uint8 RGB, in a frame."""

    at: Point
    width: float
    height: float
    pixels: NDArray[np.uint8]
    title: str = ""


Item = Line | Area | Dot | Words | Picture


@dataclasses.dataclass(frozen=True, kw_only=True)
class Drawing:
    """What is drawn, the first at the bottom.

    Parameters
    ----------
    title
        What it shows, for who cannot see it.
    width, height
        In units; a unit is a pixel on a page, and two in a PNG.
    items
        What is drawn.
    """

    title: str
    width: int
    height: int
    items: tuple[Item, ...]

    def svg(self) -> str:
        """As inline SVG; its colours are the page's, so that they follow its theme."""
        parts = "".join(_svg(item) for item in self.items)
        return (
            f'<svg viewBox="0 0 {self.width} {self.height}" role="img" aria-label="{escape(self.title)}">'
            f"<title>{escape(self.title)}</title>{parts}</svg>"
        )

    def png(self) -> bytes:
        """As PNG on a light ground."""
        from PIL import Image, ImageDraw

        scale = _PIXELS_A_UNIT * _OVERSAMPLING
        size = (self.width * scale, self.height * scale)
        canvas = Image.new("RGB", size, _LIGHT["ground"])
        for item in self.items:
            # Of each its own, since an area is laid over what is there.
            _paint(ImageDraw.Draw(canvas, "RGBA"), item, scale)
            if isinstance(item, Picture):
                shown = Image.fromarray(item.pixels).resize(
                    (round(item.width * scale), round(item.height * scale)),
                    Image.Resampling.LANCZOS,
                )
                canvas.paste(shown, (round(item.at[0] * scale), round(item.at[1] * scale)))
        whole = (self.width * _PIXELS_A_UNIT, self.height * _PIXELS_A_UNIT)
        buffer = io.BytesIO()
        canvas.resize(whole, Image.Resampling.BOX).save(buffer, "PNG", optimize=True)
        return buffer.getvalue()


def _svg(item: Item) -> str:
    match item:
        case Line():
            dashes = ' stroke-dasharray="5 4"' if item.is_dashed else ""
            return (
                f'<path d="M{_path(item.points)}" style="fill:none;stroke:var(--{item.colour});'
                f'stroke-width:{item.width:g}"{dashes}/>'
            )
        case Area():
            return (
                f'<path d="M{_path(item.points)}Z" style="stroke:none;fill:var(--{item.colour});'
                f'fill-opacity:{item.opacity:g}"/>'
            )
        case Dot():
            x, y = item.at
            return (
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{item.radius:g}" style="fill:var(--{item.colour})">'
                f"<title>{escape(item.title)}</title></circle>"
            )
        case Words():
            x, y = item.at
            return (
                f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{item.anchor}" '
                f'style="fill:var(--{item.colour});font-size:{item.size:g}px">{escape(item.text)}</text>'
            )
        case Picture():
            x, y = item.at
            return (
                f'<image x="{x:.1f}" y="{y:.1f}" width="{item.width:g}" height="{item.height:g}" '
                f'preserveAspectRatio="none" href="data:image/jpeg;base64,{_jpeg(item.pixels)}">'
                f"<title>{escape(item.title)}</title></image>"
            )


def _path(points: Sequence[Point]) -> str:
    return "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def _jpeg(pixels: NDArray[np.uint8]) -> str:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=85)
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def _paint(draw: ImageDraw.ImageDraw, item: Item, scale: int) -> None:
    from PIL import ImageFont

    match item:
        case Line():
            points = [(x * scale, y * scale) for x, y in item.points]
            width = max(1, round(item.width * scale))
            for start, end in itertools.pairwise(points):
                for piece in (
                    _dashes(start, end, 5 * scale, 4 * scale) if item.is_dashed else [(start, end)]
                ):
                    draw.line(piece, _LIGHT[item.colour], width)
        case Area():
            colour = _rgba(item.colour, item.opacity)
            draw.polygon([(x * scale, y * scale) for x, y in item.points], colour)
        case Dot():
            x, y, radius = (v * scale for v in (*item.at, item.radius))
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), _LIGHT[item.colour])
        case Words():
            anchor = {"start": "ls", "middle": "ms", "end": "rs"}[item.anchor]
            font = ImageFont.load_default(item.size * scale)
            at = (item.at[0] * scale, item.at[1] * scale)
            draw.text(at, item.text, _LIGHT[item.colour], font, anchor=anchor)


def _rgba(colour: str, opacity: float) -> tuple[int, int, int, int]:
    red, green, blue = bytes.fromhex(_LIGHT[colour][1:])
    return red, green, blue, round(255 * opacity)


def _dashes(start: Point, end: Point, on: float, off: float) -> list[tuple[Point, Point]]:
    length = math.hypot(end[0] - start[0], end[1] - start[1])
    if length == 0:
        return []
    step = ((end[0] - start[0]) / length, (end[1] - start[1]) / length)
    pieces, done = [], 0.0
    while done < length:
        stop = min(done + on, length)
        pieces.append(
            (
                (start[0] + step[0] * done, start[1] + step[1] * done),
                (start[0] + step[0] * stop, start[1] + step[1] * stop),
            )
        )
        done += on + off
    return pieces
