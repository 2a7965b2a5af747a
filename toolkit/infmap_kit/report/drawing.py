"""A drawing of lines, areas, bars, dots, text and pictures: SVG for a page, PNG for anything else."""

from __future__ import annotations

import base64
import dataclasses
import io
import itertools
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from infmap_kit.report.page import PALETTE, render

if TYPE_CHECKING:
    from PIL import ImageDraw

Point = tuple[float, float]

_PIXELS_A_UNIT = 2
_OVERSAMPLING = 2
_DASH, _GAP = 5.0, 4.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Item:
    """One thing in a drawing; lengths are in its units.

    Parameters
    ----------
    colour
        Name of a colour in :data:`~infmap_kit.report.page.PALETTE`.
    title
        Text that a page shows when the item is pointed at; empty for none.
    """

    colour: str = "text"
    title: str = ""

    @property
    def kind(self) -> str:
        """The name that a template tells the items apart by, such as ``line``."""
        return type(self).__name__.lower()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Line(Item):
    """A path through at least two points."""

    points: Sequence[Point]
    width: float = 1.0
    is_dashed: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Area(Item):
    """A filled outline, so faint that lines on it stay legible."""

    points: Sequence[Point]
    opacity: float = 0.16


@dataclasses.dataclass(frozen=True, kw_only=True)
class Box(Item):
    """A filled rectangle; ``at`` is its upper left corner."""

    at: Point
    width: float
    height: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Dot(Item):
    """A mark."""

    at: Point
    radius: float = 4.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Text(Item):
    """A line of text whose baseline begins at ``at``, has its middle there, or ends there."""

    at: Point
    text: str
    size: float = 12.0
    anchor: Literal["start", "middle", "end"] = "start"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Picture(Item):
    """Pixels, (H, W, 3) uint8 RGB, stretched to ``width`` and ``height``."""

    at: Point
    width: float
    height: float
    pixels: NDArray[np.uint8]

    @property
    def jpeg(self) -> str:
        """The pixels for a page, in base64."""
        from PIL import Image

        buffer = io.BytesIO()
        Image.fromarray(self.pixels).save(buffer, "JPEG", quality=85)
        return base64.b64encode(buffer.getvalue()).decode("ascii")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Drawing:
    """A drawing of items, the first at the bottom. A page shows it by ``{{ drawing }}``.

    Parameters
    ----------
    title
        Description for readers who cannot see it.
    width, height
        In units; a unit is about a pixel on a page, and two in a PNG.
    items
        Items of the drawing.
    """

    title: str
    width: int
    height: int
    items: Sequence[Item]

    def svg(self) -> str:
        """Return it as inline SVG; its colours are the page's, so that they follow its theme."""
        return render("drawing.svg", drawing=self)

    def __html__(self) -> str:
        """Return the SVG for a page; jinja2 asks for it."""
        return self.svg()

    def png(self) -> bytes:
        """Return it as PNG on a light ground."""
        from PIL import Image, ImageDraw

        scale = _PIXELS_A_UNIT * _OVERSAMPLING
        size = (self.width * scale, self.height * scale)
        canvas = Image.new("RGB", size, PALETTE["ground"][0])
        for item in self.items:
            # A new one each time: it lays a faint area over what is there by now.
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


def _paint(draw: ImageDraw.ImageDraw, item: Item, scale: int) -> None:
    from PIL import ImageFont

    colour, _ = PALETTE[item.colour]

    def scaled(points: Sequence[Point]) -> list[Point]:
        return [(x * scale, y * scale) for x, y in points]

    match item:
        case Line():
            width = max(1, round(item.width * scale))
            for piece in itertools.pairwise(item.points):
                for part in _dashes(*piece) if item.is_dashed else [piece]:
                    draw.line(scaled(part), colour, width)
        case Area():
            draw.polygon(scaled(item.points), f"{colour}{round(255 * item.opacity):02x}")
        case Box():
            corner = (item.at[0] + item.width, item.at[1] + item.height)
            draw.rectangle(scaled([item.at, corner]), colour)
        case Dot():
            (centre,) = scaled([item.at])
            draw.circle(centre, item.radius * scale, colour)
        case Text():
            anchor = {"start": "ls", "middle": "ms", "end": "rs"}[item.anchor]
            font = ImageFont.load_default(item.size * scale)
            (at,) = scaled([item.at])
            draw.text(at, item.text, colour, font, anchor=anchor)


def _dashes(start: Point, end: Point) -> Iterator[tuple[Point, Point]]:
    length = math.dist(start, end)
    for number in range(math.ceil(length / (_DASH + _GAP))):
        begins = number * (_DASH + _GAP)
        first, last = (way / length for way in (begins, min(begins + _DASH, length)))
        yield (
            (start[0] + (end[0] - start[0]) * first, start[1] + (end[1] - start[1]) * first),
            (start[0] + (end[0] - start[0]) * last, start[1] + (end[1] - start[1]) * last),
        )
