"""A course's severity in time as a drawing."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

from infmap_kit.progression.course import Course, Point
from infmap_kit.progression.result import GRADES
from infmap_kit.report.charts import LEFT, WIDTH, Axes, legend, nice_ticks, small
from infmap_kit.report.drawing import Area, Dot, Drawing, Item, Line
from infmap_kit.report.drawing import Point as Place

RIGHT = 70
"""Room for the grades."""

_HEIGHT = 220
_COLOURS = {"total": "c0", "right": "c1", "left": "c2"}


def chart(course: Course) -> Drawing:
    """Draw the severity alone, narrow enough for a phone; `caption_lines` explain its lines."""
    axes = CourseAxes(course, top=26, width=WIDTH - LEFT - RIGHT)
    items = chart_items(course, axes)
    return Drawing(title=title_of(course), width=WIDTH, height=round(axes.foot), items=items)


def chart_items(course: Course, axes: CourseAxes) -> list[Item]:
    """Grades, bands, curves and their legend; down to ``axes.foot``."""
    items = [*axes.drawn(), *_grades(course, axes)]
    for part in course.parts:
        items += _band(course, axes, part)
    for part in course.parts:
        items += _curve(course, axes, part)
    for number, part in enumerate(course.parts):
        items += legend((LEFT + 115 * number, axes.foot - 10), _named(course, part), _COLOURS[part])
    return items


def title_of(course: Course) -> str:
    """Title of a drawing of a course."""
    finding = course.points[-1].result.model.finding
    return (
        f"{finding.condition.meaning} severity of {len(course.points)} radiographs, {finding.affected} "
        f"share of the {course.severity_of}"
    )


def caption_lines(course: Course) -> list[str]:
    """Sentences that explain lines and bands."""
    if course.noise is None:
        return ["Dashed: the model's own noise was not measured, so nothing is called a change."]
    return [
        "Solid: a change beyond the model's own noise. Dashed: none that can be told from it.",
        "Band: 95 % of what small shifts, turns and tones of the same radiograph make of it.",
    ]


class CourseAxes(Axes):
    """Axes of days and percents; ``top`` and ``width`` are those of the plot itself."""

    def __init__(self, course: Course, *, top: float, width: float) -> None:
        last = course.points[-1].day
        # Hours, where days would be too coarse.
        self._per_day, self._unit = (24.0, "hours") if 0 < last < 2 else (1.0, "days")
        self._end = (last or 1.0) * self._per_day
        values = [v for p in course.points for v in p.result.severity.parts().values()]
        values += [ends.high for p in course.points for ends in p.ranges.values()]
        self._ticks = nice_ticks(max(*values, 1.0))
        self.highest = self._ticks[-1]
        super().__init__(
            left=LEFT, top=top, width=width, height=_HEIGHT, x=(0, self._end), y=(0, self.highest),
            # A dot on the first or last day must not lie on the frame.
            margin=14,
        )  # fmt: skip

    @property
    def foot(self) -> float:
        """Edge below the legend."""
        return self.bottom + 60

    def at(self, day: float, percent: float) -> Place:
        """The place of a severity in the chart."""
        return self.place(day * self._per_day, percent)

    def drawn(self) -> list[Item]:
        """Lines, ticks and units."""
        days = [tick for tick in nice_ticks(self._end) if tick <= self._end * 1.0001]
        return self.items(days, self._ticks, x_unit=f"{self._unit} since the first", y_unit="%")


def _grades(course: Course, axes: CourseAxes) -> list[Item]:
    """Bands of the grades, where all results were graded by the same cut-offs."""
    cut_offs, *others = {point.result.severity.cut_offs for point in course.points}
    if others or not cut_offs:
        return []
    items: list[Item] = []
    for number, edges in enumerate(itertools.pairwise((0.0, *cut_offs, 100.0))):
        low, high = (min(edge, axes.highest) for edge in edges)
        if high <= low:
            continue
        y_low, y_high = (axes.at(0, edge)[1] for edge in (low, high))
        foot, head = (((axes.left, y), (axes.right, y)) for y in (y_low, y_high))
        if number % 2:
            items.append(Area(points=(*foot, *reversed(head)), colour="soft", opacity=0.08))
        if low:
            items.append(Line(points=foot, colour="soft", is_dashed=True))
        items.append(small((axes.right + 8, (y_low + y_high) / 2 + 4), GRADES[number]))
    return items


def _band(course: Course, axes: CourseAxes, part: str) -> list[Item]:
    """The noise as an area, in pieces where it is not known throughout."""
    items: list[Item] = []
    for run in _runs(course, part, with_range=True):
        upper = [axes.at(p.day, p.ranges[part].high) for p in run]
        lower = [axes.at(p.day, p.ranges[part].low) for p in run]
        if len(run) == 1:
            # As wide as a dot, or it would not be seen.
            upper = [(upper[0][0] + dx, upper[0][1]) for dx in (-4, 4)]
            lower = [(lower[0][0] + dx, lower[0][1]) for dx in (-4, 4)]
        items.append(Area(points=(*upper, *reversed(lower)), colour=_COLOURS[part]))
    return items


def _curve(course: Course, axes: CourseAxes, part: str) -> list[Item]:
    items: list[Item] = []
    colour = _COLOURS[part]
    width, radius = (2.4, 4.2) if part == "total" else (1.6, 3.2)

    def place(point: Point) -> Place:
        return axes.at(point.day, point.result.severity.parts()[part])

    runs = _runs(course, part)
    for before, after in itertools.chain.from_iterable(map(itertools.pairwise, runs)):
        change = after.since_before.get(part)
        is_dashed = change is None or not change.is_called
        ends = (place(before), place(after))
        items.append(Line(points=ends, colour=colour, width=width, is_dashed=is_dashed))
    for point in itertools.chain.from_iterable(runs):
        shown = point.result.severity.shown_percent(part)
        title = f"{point.result.name}, {course.when(point)}: {_named(course, part)} {shown} %"
        items.append(Dot(at=place(point), colour=colour, title=title, radius=radius))
    return items


def _runs(course: Course, part: str, *, with_range: bool = False) -> list[list[Point]]:
    """Neighbours of which the part is known."""

    def is_known(point: Point) -> bool:
        known: Mapping[str, object] = point.ranges if with_range else point.result.severity.parts()
        return part in known

    return [list(run) for known, run in itertools.groupby(course.points, is_known) if known]


def _named(course: Course, part: str) -> str:
    if part != "total":
        return f"{part} lung"
    return "both lungs" if course.severity_of == "lungs" else "image"
