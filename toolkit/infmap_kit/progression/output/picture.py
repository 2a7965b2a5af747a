"""A course as a picture: the maps in a row, and below them the severity in time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from infmap_kit.progression.course import Course, Point
from infmap_kit.progression.output.chart import (
    RIGHT,
    CourseAxes,
    caption_lines,
    chart_items,
    title_of,
)
from infmap_kit.report.charts import LEFT, small
from infmap_kit.report.drawing import Area, Drawing, Item, Line, Picture, Text

MOST_MAPS = 12
"""Most maps in a row; a longer course shows the first, the last, and some evenly between."""

_GAP = 10
_NARROWEST, _WIDEST = 84, 150
_WIDTH = 612
_HEAD, _FOOT = 32, 22
"""Room above a map for its time, and below it for its severity."""

Map = NDArray[np.uint8] | None


def draw(course: Course, maps: Sequence[Map]) -> Drawing:
    """Draw a course: the map of each result, (H, W, 3) uint8 RGB or ``None``, and the severity in time."""
    shown = _chosen(len(course.points))
    width = min(_WIDEST, max(_NARROWEST, (_WIDTH + _GAP) // len(shown) - _GAP))
    used = len(shown) * (width + _GAP) - _GAP
    tall = _height_of(maps, width)
    top = 32 + _HEAD + tall + _FOOT
    wide = max(_WIDTH, used)
    axes = CourseAxes(course, top=top + 44, width=wide)
    items: list[Item] = [Text(at=(LEFT, 20), text=title_of(course), size=14)]
    for place, index in enumerate(shown):
        point = course.points[index]
        left = LEFT + (wide - used) / 2 + place * (width + _GAP)
        items += _tile(course, point, maps[index], at=(left, 32), width=width, tall=tall)
        # From the map to its place in time.
        there, _ = axes.at(point.day, 0)
        corners = ((left + width / 2, top), (there, axes.top - 8), (there, axes.bottom))
        items.append(Line(points=corners, colour="line"))
    items += chart_items(course, axes)
    lines = [*caption_lines(course), "For research use, not a medical device."]
    for number, line in enumerate(lines):
        items.append(small((LEFT, axes.foot + 14 + 15 * number), line))
    return Drawing(
        title=title_of(course),
        width=LEFT + wide + RIGHT,
        height=round(axes.foot) + 15 * len(lines) + 8,
        items=items,
    )


def tiles(course: Course, maps: Sequence[Map]) -> list[Drawing]:
    """Draw each map by itself, with its time and severity, for a page that lays them out as it has room."""
    tall = _height_of(maps, _WIDEST)
    return [
        Drawing(
            title=course.points[index].result.name,
            width=_WIDEST,
            height=_HEAD + tall + _FOOT,
            items=_tile(
                course, course.points[index], maps[index], at=(0, 0), width=_WIDEST, tall=tall
            ),
        )
        for index in _chosen(len(course.points))
    ]


def _chosen(count: int) -> list[int]:
    """Numbers of the results whose maps are shown."""
    if count <= MOST_MAPS:
        return list(range(count))
    return sorted({round(i * (count - 1) / (MOST_MAPS - 1)) for i in range(MOST_MAPS)})


def _height_of(maps: Sequence[Map], width: int) -> int:
    """Height of the tallest map at this width; maps of one course may differ."""
    shapes = [painted.shape for painted in maps if painted is not None]
    tallest = max((round(width * shape[0] / shape[1]) for shape in shapes), default=width // 2)
    return min(tallest, 2 * width)


def _tile(
    course: Course, point: Point, painted: Map, *, at: tuple[float, float], width: int, tall: int
) -> list[Item]:
    left, top = at[0], at[1] + _HEAD
    middle, foot = left + width / 2, top + tall
    day, time = course.when(point), ""
    if not course.is_shifted:
        day, _, time = day.partition(" ")
    frame = ((left, top), (left + width, top), (left + width, foot), (left, foot))
    items: list[Item] = [
        Text(at=(middle, top - 20), text=day, size=11, anchor="middle"),
        small((middle, top - 6), time, anchor="middle"),
        Area(points=frame, colour="soft"),
        Text(
            at=(middle, foot + 16),
            text=f"{point.result.severity.shown_percent()} %",
            anchor="middle",
        ),
    ]
    if painted is None:
        return [*items, small((middle, top + tall / 2 + 4), "no map", anchor="middle")]
    scale = min(width / painted.shape[1], tall / painted.shape[0])
    wide, high = painted.shape[1] * scale, painted.shape[0] * scale
    corner = (left + (width - wide) / 2, top + (tall - high) / 2)
    name = point.result.name
    return [*items, Picture(at=corner, width=wide, height=high, pixels=painted, title=name)]
