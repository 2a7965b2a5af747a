"""A course's severity in time as a drawing."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

from infmap_kit.model.finding import FindingSpec
from infmap_kit.progression.course import Course, Point
from infmap_kit.progression.output.drawing import Area, Dot, Drawing, Item, Line, Words
from infmap_kit.progression.result import GRADES
from infmap_kit.report.charts import nice_ticks

LEFT, RIGHT = 44, 70
"""Room for the percents, and for the grades."""

_WIDTH = 420
_HEIGHT = 220
_COLOURS = {"total": "c0", "right": "c1", "left": "c2"}


def chart(course: Course) -> Drawing:
    """Draw the severity alone, narrow enough for a phone; `words_below` says what its lines mean."""
    axes = Axes(course, left=LEFT, top=26, width=_WIDTH - LEFT - RIGHT)
    return Drawing(
        title=title_of(course),
        width=_WIDTH,
        height=round(axes.foot),
        items=tuple(chart_items(course, axes)),
    )


def chart_items(course: Course, axes: Axes) -> list[Item]:
    """Grades, bands, curves and their legend; down to ``axes.foot``."""
    items = [*axes.drawn(), *_grades(course, axes)]
    for part in course.parts:
        items += _band(course, axes, part)
    for part in course.parts:
        items += _curve(course, axes, part)
    return [*items, *_legend(course, axes)]


def title_of(course: Course) -> str:
    """What a drawing of a course shows."""
    finding = FindingSpec.from_parameters(course.points[-1].result.model)
    return (
        f"{finding.condition.meaning} severity of {len(course.points)} radiographs, {finding.affected} "
        f"share of the {course.severity_of}"
    )


def words_below(course: Course) -> list[str]:
    """What lines and bands mean."""
    if course.noise is None:
        return ["Dashed: the model's own noise was not measured, so nothing is called a change."]
    return [
        "Solid: a change beyond the model's own noise. Dashed: none that can be told from it.",
        "Band: 95 % of what small shifts, turns and tones of the same radiograph make of it.",
    ]


class Axes:
    """Where days and percents lie.

    Parameters
    ----------
    course
        At least two results.
    left, top, width
        Of the plot itself.
    """

    def __init__(self, course: Course, *, left: int, top: int, width: int) -> None:
        self.left, self.top, self.width = left, top, width
        last = course.points[-1].day
        # Hours, where days would be too coarse.
        self._per_day, self.unit = (24.0, "hours") if 0 < last < 2 else (1.0, "days")
        self._days = last or 1.0
        values = [v for p in course.points for v in p.result.severity.parts().values()]
        values += [found.high for p in course.points for found in p.ranges.values()]
        self.ticks = nice_ticks(max(*values, 1.0))

    def x(self, day: float) -> float:
        """Where a day lies."""
        # A dot on the first or last day must not lie on the frame.
        return self.left + 14 + day / self._days * (self.width - 28)

    def y(self, percent: float) -> float:
        """Where a severity lies."""
        return self.top + _HEIGHT * (1 - percent / self.ticks[-1])

    @property
    def bottom(self) -> float:
        """Of the plot itself."""
        return self.top + _HEIGHT

    @property
    def foot(self) -> float:
        """Below the legend."""
        return self.bottom + 60

    def drawn(self) -> list[Item]:
        """Lines, ticks and units."""
        items: list[Item] = []
        right = self.left + self.width
        for tick in self.ticks:
            y = self.y(tick)
            items.append(Line(points=((self.left, y), (right, y)), colour="line"))
            items.append(
                Words(
                    at=(self.left - 8, y + 4),
                    text=f"{tick:g}",
                    colour="soft",
                    size=11,
                    anchor="end",
                )
            )
        items.append(
            Words(at=(self.left - 8, self.top - 12), text="%", colour="soft", size=11, anchor="end")
        )
        for tick in nice_ticks(self._days * self._per_day):
            day = tick / self._per_day
            if day <= self._days * 1.0001:
                x = self.x(day)
                items.append(Line(points=((x, self.bottom), (x, self.bottom + 4)), colour="soft"))
                items.append(
                    Words(
                        at=(x, self.bottom + 17),
                        text=f"{tick:g}",
                        colour="soft",
                        size=11,
                        anchor="middle",
                    )
                )
        items.append(
            Words(at=(right, self.bottom + 32), text=f"{self.unit} since the first", colour="soft", size=11,
                  anchor="end")
        )  # fmt: skip
        return items


def _grades(course: Course, axes: Axes) -> list[Item]:
    """Bands of the grades, where all results were graded by the same cut-offs."""
    cut_offs = {point.result.severity.cut_offs for point in course.points}
    (only,) = cut_offs if len(cut_offs) == 1 else ((),)
    if len(only) != len(GRADES) - 1:
        return []
    items: list[Item] = []
    right, highest = axes.left + axes.width, axes.ticks[-1]
    edges = (0.0, *only, 100.0)
    for number, (low, high) in enumerate(itertools.pairwise(edges)):
        low, high = min(low, highest), min(high, highest)
        if high <= low:
            continue
        y_low, y_high = axes.y(low), axes.y(high)
        outline = ((axes.left, y_low), (right, y_low), (right, y_high), (axes.left, y_high))
        if number % 2:
            items.append(Area(points=outline, colour="soft", opacity=0.08))
        if low:
            items.append(
                Line(points=((axes.left, y_low), (right, y_low)), colour="soft", is_dashed=True)
            )
        items.append(
            Words(
                at=(right + 8, (y_low + y_high) / 2 + 4),
                text=GRADES[number],
                colour="soft",
                size=11,
            )
        )
    return items


def _band(course: Course, axes: Axes, part: str) -> list[Item]:
    """The noise as an area, in pieces where it is not known throughout."""
    items: list[Item] = []
    for run in _runs(course, part, with_range=True):
        upper = [(axes.x(p.day), axes.y(p.ranges[part].high)) for p in run]
        lower = [(axes.x(p.day), axes.y(p.ranges[part].low)) for p in run]
        if len(run) == 1:
            # As wide as a dot, or it would not be seen.
            upper = [(upper[0][0] + dx, upper[0][1]) for dx in (-4, 4)]
            lower = [(lower[0][0] + dx, lower[0][1]) for dx in (-4, 4)]
        items.append(Area(points=(*upper, *reversed(lower)), colour=_COLOURS[part]))
    return items


def _curve(course: Course, axes: Axes, part: str) -> list[Item]:
    items: list[Item] = []
    colour = _COLOURS[part]
    width = 2.4 if part == "total" else 1.6
    for run in _runs(course, part):
        for before, after in itertools.pairwise(run):
            items.append(
                Line(points=(_place(axes, before, part), _place(axes, after, part)), colour=colour,
                     width=width, is_dashed=not _is_called(after, part))
            )  # fmt: skip
    for point in course.points:
        value = point.result.severity.parts().get(part)
        if value is None:
            continue
        at = _place(axes, point, part)
        title = f"{point.result.name}, {course.when(point)}: {_named(course, part)} {value:.1f} %"
        items.append(Dot(at=at, colour=colour, title=title, radius=4.2 if part == "total" else 3.2))
    return items


def _place(axes: Axes, point: Point, part: str) -> tuple[float, float]:
    return axes.x(point.day), axes.y(point.result.severity.parts()[part])


def _is_called(point: Point, part: str) -> bool:
    change = point.since_before.get(part)
    return change is not None and change.is_called


def _runs(course: Course, part: str, *, with_range: bool = False) -> list[list[Point]]:
    """Neighbours of which the part is known."""
    runs: list[list[Point]] = [[]]
    for point in course.points:
        known: Mapping[str, object] = point.ranges if with_range else point.result.severity.parts()
        if part in known:
            runs[-1].append(point)
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


def _legend(course: Course, axes: Axes) -> list[Item]:
    items: list[Item] = []
    x, y = float(axes.left), axes.foot - 6
    for part in course.parts:
        items.append(Line(points=((x, y - 4), (x + 22, y - 4)), colour=_COLOURS[part], width=2.4))
        items.append(Words(at=(x + 28, y), text=_named(course, part)))
        x += 115
    return items


def _named(course: Course, part: str) -> str:
    if part != "total":
        return f"{part} lung"
    return "both lungs" if course.severity_of == "lungs" else "image"
