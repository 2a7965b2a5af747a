"""When a difference between two severities is called a change."""

from __future__ import annotations

import dataclasses
import enum
import math

from infmap_kit.progression.noise import Noise, Range
from infmap_kit.progression.result import Result

RULE = (
    "A difference is called a change when it lies outside the combined 95 % ranges of the model's own noise: "
    "a rise from a to b when b - a is more than sqrt((up of a)^2 + (down of b)^2), a fall likewise."
)
"""For people. The combination is the method of variance estimates recovery (Zou and Donner, Statistics in
Medicine 27, 2008, 1693), which makes an interval for a difference of two intervals that may be lopsided."""


class Verdict(enum.StrEnum):
    """What is said of a difference."""

    RISE = "rise"
    FALL = "fall"
    WITHIN_NOISE = "within noise"
    NOT_MEASURED = "noise not measured"
    OTHER_MODEL = "another model"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Change:
    """From one result to a later one.

    Parameters
    ----------
    points
        Difference of the severities in percentage points.
    interval
        Where the difference lies, as far as noise goes; ``None`` where noise was not measured.
    verdict
        What is said of it.
    """

    points: float
    interval: tuple[float, float] | None
    verdict: Verdict

    @property
    def is_called(self) -> bool:
        """Whether it is called a change."""
        return self.verdict in (Verdict.RISE, Verdict.FALL)


def change(
    before: Result, after: Result, noise: Noise | None, *, part: str = "total"
) -> Change | None:
    """Judge the difference between two results.

    Parameters
    ----------
    before, after
        In the order of time.
    noise
        Of the model; nothing is called a change without it.
    part
        ``"total"``, ``"right"`` or ``"left"``.

    Returns
    -------
    Change or None
        ``None`` where the part is not known in both.
    """
    first, second = before.severity.parts().get(part), after.severity.parts().get(part)
    if first is None or second is None:
        return None
    points = second - first
    if dict(before.model) != dict(after.model):
        return Change(points=points, interval=None, verdict=Verdict.OTHER_MODEL)
    ranges = [
        noise.range_about(result, part) if noise is not None else None for result in (before, after)
    ]
    if ranges[0] is None or ranges[1] is None:
        return Change(points=points, interval=None, verdict=Verdict.NOT_MEASURED)
    low, high = difference_interval((first, ranges[0]), (second, ranges[1]))
    verdict = Verdict.WITHIN_NOISE
    if low > 0:
        verdict = Verdict.RISE
    elif high < 0:
        verdict = Verdict.FALL
    return Change(points=points, interval=(low, high), verdict=verdict)


def difference_interval(
    before: tuple[float, Range], after: tuple[float, Range]
) -> tuple[float, float]:
    """Where ``after - before`` lies, by the ranges of both (see ``RULE``)."""
    (first, first_range), (second, second_range) = before, after
    down = math.hypot(second - second_range.low, first_range.high - first)
    up = math.hypot(second_range.high - second, first - first_range.low)
    return second - first - down, second - first + up
