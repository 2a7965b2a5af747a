"""The agreement of two raters on pictures, by rank and by difference."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np
import scipy.stats
from numpy.typing import NDArray

from infmap_train.evaluation.bootstrap import Interval, bootstrap

_Z_95 = 1.96

# Fewer pictures or patients have no rank correlation worth a figure.
_FEWEST = 4


@dataclasses.dataclass(frozen=True, kw_only=True)
class Agreement:
    """Two raters on the pictures that both rated.

    Parameters
    ----------
    pictures, patients
        Number of pictures, and of patient groups among them.
    spearman, kendall
        Rank correlations (Kendall's tau-b), each in [-1, 1]; NaN where a rater's scores are all the same.
    spearman_ci95, kendall_ci95
        Percentile intervals of a bootstrap over patient groups: pictures of one patient resemble each other.
    bias
        Mean of first minus second, in percentage points.
    limits
        Bland and Altman's limits of agreement: bias -+ 1.96 standard deviations of the differences.
    """

    pictures: int
    patients: int
    spearman: float
    spearman_ci95: tuple[float, float]
    kendall: float
    kendall_ci95: tuple[float, float]
    bias: float
    limits: tuple[float, float]


def agreement(
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    patients: Sequence[str],
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> Agreement:
    """Compare two raters; pictures that one of them did not rate are left out.

    Parameters
    ----------
    first, second
        (N,) float64 in percent, NaN where there is no score; or (N, Z) for Z zones of a picture, which
        are then counted each.
    patients
        (N,) patient group of each picture.
    resamples, seed
        Number of the bootstrap's draws, and its seed.
    """
    first, second = (np.reshape(scores, (len(patients), -1)) for scores in (first, second))
    both = ~(np.isnan(first) | np.isnan(second))
    rated = np.flatnonzero(both.any(axis=1))
    names = list(dict.fromkeys(patients[row] for row in rated.tolist()))
    groups = np.array([names.index(patients[row]) for row in rated.tolist()], dtype=np.intp)

    def interval(measure: Callable[[NDArray[np.float64], NDArray[np.float64]], float]) -> Interval:
        def statistic(drawn: NDArray[np.intp]) -> float:
            rows = rated[drawn]
            return measure(first[rows][both[rows]], second[rows][both[rows]])

        if len(names) < _FEWEST:
            return Interval(math.nan, math.nan, math.nan)
        return bootstrap(statistic, groups, draws=resamples, seed=seed)

    by_spearman, by_kendall = interval(spearman), interval(kendall)
    apart = (first - second)[both]
    bias, spread = (apart.mean(), apart.std(ddof=1)) if apart.size > 1 else (math.nan, math.nan)
    return Agreement(
        pictures=len(rated),
        patients=len(names),
        spearman=by_spearman.value,
        spearman_ci95=(by_spearman.low, by_spearman.high),
        kendall=by_kendall.value,
        kendall_ci95=(by_kendall.low, by_kendall.high),
        bias=float(bias),
        limits=(float(bias - _Z_95 * spread), float(bias + _Z_95 * spread)),
    )


def spearman(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Spearman's rank correlation, ties at their mean rank; NaN where one does not vary."""
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return math.nan
    ranks = scipy.stats.rankdata(np.stack([first, second]), axis=1)
    return float(np.corrcoef(ranks)[0, 1])


def kendall(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Kendall's tau-b; NaN where one does not vary."""
    return float(scipy.stats.kendalltau(first, second, method="asymptotic").statistic)
