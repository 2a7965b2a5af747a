"""Differences between severities, and which of them are called a change."""

from __future__ import annotations

import dataclasses
import enum
import math

from infmap_kit.progression.noise import Noise, Range, StatedNoise
from infmap_kit.progression.result import Result

RULE = (
    "A difference is called a change when it lies outside the combined 95 % ranges of the model's own noise: "
    "a rise when it is more than the noise upwards of the earlier radiograph and downwards of the later one "
    "together (the root of the sum of their squares), a fall likewise."
)
"""For people. The combination is the method of variance estimates recovery (Zou and Donner, Statistics in
Medicine 27, 2008, 1693), which makes an interval for a difference of two intervals that may be lopsided."""


class Verdict(enum.StrEnum):
    """The verdict on a difference: a change, or the reason why it is not called one."""

    RISE = "rise"
    FALL = "fall"
    WITHIN_NOISE = "within noise"
    NOT_MEASURED = "noise not measured"
    OTHER_MODEL = "another model"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Change:
    """The difference between a result and a later one.

    Parameters
    ----------
    points
        Difference of the severities in percentage points.
    interval
        Interval of the difference that the noise allows; ``None`` if noise was not measured.
    verdict
        Whether it is called a change.
    """

    points: float
    interval: tuple[float, float] | None
    verdict: Verdict

    @property
    def is_called(self) -> bool:
        """Whether it is called a change."""
        return self.verdict in (Verdict.RISE, Verdict.FALL)


def change(
    before: Result, after: Result, noise: Noise | StatedNoise | None, *, part: str = "total"
) -> Change | None:
    """Compare two results.

    Parameters
    ----------
    before, after
        The earlier and the later result.
    noise
        Noise of the model, measured or stated; nothing is called a change without it.
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
    if before.model != after.model:
        return Change(points=points, interval=None, verdict=Verdict.OTHER_MODEL)
    first_range, second_range = (
        noise.range_about(result, part) if noise else None for result in (before, after)
    )
    if first_range is None or second_range is None:
        return Change(points=points, interval=None, verdict=Verdict.NOT_MEASURED)
    low, high = difference_interval((first, first_range), (second, second_range))
    verdict = Verdict.RISE if low > 0 else Verdict.FALL if high < 0 else Verdict.WITHIN_NOISE
    return Change(points=points, interval=(low, high), verdict=verdict)


def difference_interval(
    before: tuple[float, Range], after: tuple[float, Range]
) -> tuple[float, float]:
    """The interval of ``after - before``, from the ranges of both (see ``RULE``)."""
    (first, first_range), (second, second_range) = before, after
    down = math.hypot(second - second_range.low, first_range.high - first)
    up = math.hypot(second_range.high - second, first - first_range.low)
    return second - first - down, second - first + up
