"""The flow of a cohort: from what was named to what was answered, with what was left on the way."""

from __future__ import annotations

from infmap_kit.cohort.report.figures import CohortFigures
from infmap_kit.report.charts import WIDTH
from infmap_kit.report.drawing import Box, Drawing, Item, Line, Text

_HEIGHT, _GAP = 40, 30
_LINE = 19
_WIDE = 170
_ASIDE = 206


def flow(figures: CohortFigures) -> Drawing:
    """Boxes below each other, and beside each step what it left out."""
    plan = figures.plan
    named = plan.radiographs + plan.repeated
    codes = [f"{count:,} {code}" for code, count in figures.rejected.most_common()]
    steps = [
        ("named", named, [f"{plan.repeated:,} named again"] if plan.repeated else []),
        (
            "radiographs",
            plan.radiographs,
            [f"{figures.waiting:,} not yet"] if figures.waiting else [],
        ),
        ("looked at", figures.rows, codes),
        ("answered", figures.all.answered, []),
    ]
    items: list[Item] = []
    y = 6.0
    for number, (name, count, aside) in enumerate(steps):
        items += [
            Box(at=(8, y), width=_WIDE, height=_HEIGHT, colour="panel"),
            _frame(y),
            Text(at=(18, y + 25), text=name),
            Text(at=(_WIDE, y + 25), text=f"{count:,}", anchor="end"),
        ]
        below = y + _HEIGHT
        after = below + max(_GAP, _LINE * len(aside) + 12)
        if number + 1 < len(steps):
            middle = 8 + _WIDE / 2
            items.append(Line(points=((middle, below), (middle, after)), colour="soft", width=1.5))
            items += _arrow(middle, after)
        for line, text in enumerate(aside):
            at = below + 17 + line * _LINE
            items.append(
                Line(points=((8 + _WIDE / 2, at - 4), (_ASIDE - 6, at - 4)), colour="line")
            )
            items.append(Text(at=(_ASIDE, at), text=text))
        y = after
    return Drawing(
        title="What was taken and what was refused",
        width=WIDTH,
        height=round(y - _GAP + 8),
        items=items,
    )


def _frame(y: float) -> Line:
    right, bottom = 8 + _WIDE, y + _HEIGHT
    corners = ((8, y), (right, y), (right, bottom), (8, bottom), (8, y))
    return Line(points=corners, colour="line")


def _arrow(x: float, y: float) -> list[Item]:
    return [Line(points=((x - 4, y - 6), (x, y), (x + 4, y - 6)), colour="soft", width=1.5)]
