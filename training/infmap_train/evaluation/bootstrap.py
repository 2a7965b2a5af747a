"""Confidence intervals by drawing patients anew (Efron and Tibshirani, 1993, chapter 13)."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from infmap_train.evaluation.weighted import Statistic

DRAWS = 2000
_PERCENTILES = (2.5, 97.5)
_DRAWS_AT_ONCE = 100


@dataclasses.dataclass(frozen=True)
class Interval:
    """A figure with its 95 % confidence interval; NaN where there is nothing to measure.

    Parameters
    ----------
    value
        The figure over all rows.
    low, high
        Percentiles 2.5 and 97.5 over the draws.
    """

    value: float
    low: float
    high: float

    def as_dict(self) -> dict[str, float]:
        """The interval as JSON holds it."""
        return dataclasses.asdict(self)

    def text(self, digits: int = 3) -> str:
        """The interval as tables show it: ``0.812 (0.774 to 0.848)``."""
        if math.isnan(self.value):
            return "-"
        return f"{self.value:.{digits}f} ({self.low:.{digits}f} to {self.high:.{digits}f})"


class Resamples:
    """Patient groups drawn with replacement once, for as many figures as are asked for.

    Parameters
    ----------
    groups
        Patient group of each row.
    draws, seed
        Number of draws, and their seed; the draws are those of :func:`bootstrap`.
    """

    def __init__(
        self, groups: Sequence[str] | NDArray[np.intp], *, draws: int = DRAWS, seed: int = 0
    ) -> None:
        names, self._number = np.unique(groups, return_inverse=True)
        rng = np.random.default_rng(seed)
        count = len(names)
        self._times = np.stack(
            [
                np.bincount(rng.integers(0, count, count), minlength=count).astype(np.int32)
                for _ in range(draws if count > 1 else 0)
            ]
            or [np.zeros(count, np.int32)]
        )

    def interval(self, statistic: Statistic) -> Interval:
        """The interval of a figure of :mod:`infmap_train.evaluation.weighted`. Undefined draws are left out."""
        value = float(statistic(np.ones((1, self._number.size), np.int32))[0])
        if math.isnan(value) or self._times.shape[1] < 2:
            return Interval(value, math.nan, math.nan)
        # A few draws at a time: a row of each is as long as there are pictures.
        parts = np.array_split(self._times, -(-len(self._times) // _DRAWS_AT_ONCE))
        return _percentiles(
            value, np.concatenate([statistic(part[:, self._number]) for part in parts])
        )


def bootstrap(
    statistic: Callable[[NDArray[np.intp]], float],
    groups: Sequence[str] | NDArray[np.intp],
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> Interval:
    """Draw patient groups with replacement, and measure how far a figure moves.

    Pictures of one patient are alike: drawing pictures one by one would promise too much.

    Parameters
    ----------
    statistic
        Function of rows (any number of times each) that gives the figure; NaN where they do not define
        one, as an AUC of one class alone, and such draws are left out.
    groups
        Patient group of each row.
    draws
        Number of draws.
    seed
        Seed of the draws.
    """
    rng = np.random.default_rng(seed)
    value = statistic(np.arange(len(groups)))
    names, number = np.unique(groups, return_inverse=True)
    if math.isnan(value) or len(names) < 2:
        return Interval(value, math.nan, math.nan)
    order = np.argsort(number, kind="stable")
    members = np.split(order, np.cumsum(np.bincount(number))[:-1])
    drawn = np.array(
        [
            statistic(np.concatenate([members[g] for g in rng.integers(0, len(names), len(names))]))
            for _ in range(draws)
        ]
    )
    return _percentiles(value, drawn)


def _percentiles(value: float, drawn: NDArray[np.float64]) -> Interval:
    known = drawn[~np.isnan(drawn)]
    if not known.size:
        return Interval(value, math.nan, math.nan)
    low, high = np.percentile(known, _PERCENTILES)
    return Interval(value, float(low), float(high))


def bootstrap_mean(
    values: NDArray[np.float64], groups: Sequence[str], *, draws: int = DRAWS, seed: int = 0
) -> Interval:
    """Mean over pictures with its interval; pictures of NaN are left out."""
    known = np.flatnonzero(~np.isnan(values))

    def mean(rows: NDArray[np.intp]) -> float:
        return float(values[known][rows].mean()) if rows.size else math.nan

    return bootstrap(mean, [groups[row] for row in known.tolist()], draws=draws, seed=seed)
