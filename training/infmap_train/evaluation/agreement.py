"""How well two raters agree on pictures: by rank, and by how far apart they are."""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Callable, Sequence

import numpy as np
import scipy.stats
from numpy.typing import NDArray

_Z_95 = 1.96

# Fewer pictures or patients have no rank correlation worth a figure.
_FEWEST = 4


@dataclasses.dataclass(frozen=True, kw_only=True)
class Agreement:
    """Two raters on the pictures that both rated.

    Parameters
    ----------
    pictures, patients
        How many pictures, and patient groups among them.
    spearman, kendall
        Rank correlations (Kendall's tau-b), each in [-1, 1]; NaN where a rater always says the same.
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
        (N,) float64 in percent, NaN where nothing was said; or (N, Z) for Z zones of a picture, which are
        then counted each.
    patients
        (N,) patient group of each picture.
    resamples, seed
        How often the bootstrap draws, and its seed.
    """
    first, second = (np.reshape(one, (len(patients), -1)) for one in (first, second))
    both = ~(np.isnan(first) | np.isnan(second))
    groups = np.asarray(patients)[both.any(axis=1)]
    members = [np.flatnonzero(np.asarray(patients) == group) for group in dict.fromkeys(groups)]

    def of(
        measure: Callable[[NDArray[np.float64], NDArray[np.float64]], float],
    ) -> Callable[..., float]:
        def statistic(drawn: NDArray[np.intp]) -> float:
            rows = np.concatenate([members[int(one)] for one in drawn])
            chosen = both[rows]
            return measure(first[rows][chosen], second[rows][chosen])

        return statistic

    apart = (first - second)[both]
    bias, spread = (apart.mean(), apart.std(ddof=1)) if apart.size > 1 else (math.nan, math.nan)
    return Agreement(
        pictures=int(both.any(axis=1).sum()),
        patients=len(members),
        spearman=_value(of(spearman), len(members)),
        spearman_ci95=_interval(of(spearman), len(members), resamples, seed),
        kendall=_value(of(kendall), len(members)),
        kendall_ci95=_interval(of(kendall), len(members), resamples, seed),
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


def _value(statistic: Callable[..., float], patients: int) -> float:
    return statistic(np.arange(patients)) if patients >= _FEWEST else math.nan


def _interval(
    statistic: Callable[..., float], patients: int, resamples: int, seed: int
) -> tuple[float, float]:
    if patients < _FEWEST:
        return (math.nan, math.nan)
    with warnings.catch_warnings():
        # A resample in which a rater always says the same has no correlation; it is left out below.
        warnings.simplefilter("ignore")
        drawn = scipy.stats.bootstrap(
            (np.arange(patients),),
            statistic,
            vectorized=False,
            n_resamples=resamples,
            method="percentile",
            rng=np.random.default_rng(seed),
        ).bootstrap_distribution
        low, high = np.nanquantile(drawn, (0.025, 0.975)).tolist()
    return (low, high)
