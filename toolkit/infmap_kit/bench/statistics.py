"""Figures of a set of latencies, their certainty, and the rule by which there are enough of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from infmap_kit.errors import SpecError

BLOCK = 10
"""Requests of one scope in a row before the next scope has its turn. A disturbance of the machine lasts longer
than a request, so that neighbours resemble each other; therefore the bootstrap draws blocks of them."""

_RESAMPLES = 1000
_CONFIDENCE = 0.95


@dataclasses.dataclass(frozen=True, kw_only=True)
class Statistics:
    """Figures of one set of latencies, in milliseconds.

    Parameters
    ----------
    p50_ms, p90_ms, p95_ms, p99_ms
        Quantiles, interpolated linearly.
    max_ms, mean_ms, sd_ms
        Largest, mean, standard deviation (of the sample, n - 1).
    p50_low_ms, p50_high_ms
        Interval in which the median lies with 95 % confidence (bootstrap of blocks).
    n
        Number of samples.
    """

    p50_ms: float
    p90_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float
    mean_ms: float
    sd_ms: float
    p50_low_ms: float
    p50_high_ms: float
    n: int


@dataclasses.dataclass(frozen=True)
class Latencies:
    """Raw samples of one scope.

    Parameters
    ----------
    samples_ms
        Milliseconds of each request, in the order of measurement; at least one.
    """

    samples_ms: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.samples_ms or not np.isfinite(self.samples_ms).all():
            raise SpecError("expected latencies in milliseconds, found none, or no numbers")

    def quantile_ms(self, share: float) -> float:
        """The latency that this share of requests stays within."""
        return float(np.quantile(self.samples_ms, share))

    @property
    def p50_ms(self) -> float:
        """The median."""
        return self.quantile_ms(0.5)

    def summary(self) -> Statistics:
        """Compute every figure of :class:`Statistics`."""
        samples = np.asarray(self.samples_ms)
        low, high = self.p50_interval_ms()
        return Statistics(
            p50_ms=self.p50_ms,
            p90_ms=self.quantile_ms(0.9),
            p95_ms=self.quantile_ms(0.95),
            p99_ms=self.quantile_ms(0.99),
            max_ms=float(samples.max()),
            mean_ms=float(samples.mean()),
            sd_ms=float(samples.std(ddof=1)) if samples.size > 1 else 0.0,
            p50_low_ms=low,
            p50_high_ms=high,
            n=samples.size,
        )

    def p50_interval_ms(self) -> tuple[float, float]:
        """The interval in which the median lies with 95 % confidence."""
        return interval(bootstrap_p50(self.samples_ms))


@dataclasses.dataclass(frozen=True, kw_only=True)
class PairedRatio:
    """The ratio of the latencies of two scopes that were measured in turn.

    Parameters
    ----------
    ratio
        Median, over the pairs of blocks that stood next to each other, of the ratio of their medians.
    low, high
        Interval in which it lies with 95 % confidence (bootstrap of pairs).
    pairs
        Number of pairs.
    """

    ratio: float
    low: float
    high: float
    pairs: int


def paired_ratio(scope: Latencies, other: Latencies) -> PairedRatio:
    """Compare two scopes that were measured in turn, a block of each at a time.

    A machine whose speed changes slows both blocks of a pair alike, so that their ratio is surer than a time.

    Parameters
    ----------
    scope, other
        Samples in the order of measurement; what one has more of than the other is left out.
    """
    samples = min(len(scope.samples_ms), len(other.samples_ms))
    size = _block_size(samples)
    medians = [np.median(_blocks(one.samples_ms[:samples], size), axis=1) for one in (scope, other)]
    ratios = medians[0] / medians[1]
    low, high = interval(np.median(_drawn(ratios, seed=0), axis=1))
    return PairedRatio(ratio=float(np.median(ratios)), low=low, high=high, pairs=len(ratios))


@dataclasses.dataclass(frozen=True, kw_only=True)
class StabilityRule:
    """The rule by which a scope, or the ratio of two, has been measured long enough.

    Parameters
    ----------
    samples
        The least number of requests of each scope.
    tolerance_percent
        The farthest that the 95 % interval of a median or a ratio may reach to either side, and that the
        medians of the first and the second half may differ; in percent of the median.
    """

    samples: int
    tolerance_percent: float

    def __post_init__(self) -> None:
        if self.samples < 1 or not self.tolerance_percent > 0:
            raise SpecError(
                "expected at least one sample and a tolerance above 0 %, found "
                f"{self.samples} and {self.tolerance_percent:g} %"
            )

    @property
    def sentence(self) -> str:
        """The rule, for a report."""
        return (
            f"A scope is stable with at least {self.samples} samples, when the 95 % bootstrap interval of its "
            f"p50 is within {self.tolerance_percent:g} % of it, and the p50 of its first and second half "
            f"differ by at most {self.tolerance_percent:g} %. A ratio of two scopes is the median over pairs "
            f"of neighbouring blocks, and sure when its own interval is within {self.tolerance_percent:g} %."
        )

    def doubt(self, latencies: Latencies) -> str:
        """The reason why these samples are not stable yet; empty when they are."""
        samples, p50 = latencies.samples_ms, latencies.p50_ms
        if len(samples) < self.samples:
            return f"{len(samples)} of {self.samples} samples"
        low, high = latencies.p50_interval_ms()
        uncertain = 100 * max(high - p50, p50 - low) / p50
        if uncertain > self.tolerance_percent:
            return f"its p50 is known to {uncertain:.1f} % only"
        half = len(samples) // 2
        first, second = float(np.median(samples[:half])), float(np.median(samples[half:]))
        drift = 100 * (second - first) / p50
        if half and abs(drift) > self.tolerance_percent:
            return f"its second half is {abs(drift):.1f} % {'slower' if drift > 0 else 'faster'}"
        return ""

    def ratio_doubt(self, scope: Latencies, other: Latencies) -> str:
        """The reason why the ratio of two scopes is not sure yet; empty when it is."""
        samples = min(len(scope.samples_ms), len(other.samples_ms))
        if samples < self.samples:
            return f"{samples} of {self.samples} samples"
        found = paired_ratio(scope, other)
        uncertain = 100 * max(found.high - found.ratio, found.ratio - found.low) / found.ratio
        return (
            f"it is known to {uncertain:.1f} % only" if uncertain > self.tolerance_percent else ""
        )


def bootstrap_p50(samples_ms: Sequence[float], *, seed: int = 0) -> NDArray[np.float64]:
    """Medians of samples drawn anew with replacement, block by block.

    Parameters
    ----------
    samples_ms
        In the order of measurement.
    seed
        Seed of the drawing; the same samples give the same interval.

    Returns
    -------
    NDArray
        (1000,) milliseconds.

    Notes
    -----
    Source: the non-overlapping block bootstrap (Carlstein, 1986).
    """
    blocks = _blocks(samples_ms, _block_size(len(samples_ms)))
    drawn = _drawn(blocks, seed=seed).reshape(_RESAMPLES, -1)
    medians: NDArray[np.float64] = np.median(drawn, axis=1)
    return medians


def _block_size(samples: int) -> int:
    return BLOCK if samples >= 5 * BLOCK else 1


def _blocks(samples_ms: Sequence[float], size: int) -> NDArray[np.float64]:
    """(blocks, size); what is left over at the end joins no block, and is too few to matter."""
    samples = np.asarray(samples_ms, dtype=np.float64)
    return samples[: samples.size // size * size].reshape(-1, size)


def _drawn(blocks: NDArray[np.float64], *, seed: int) -> NDArray[np.float64]:
    """Resamples with as many blocks, drawn anew with replacement, (resamples, blocks, …)."""
    chosen = np.random.default_rng(seed).integers(len(blocks), size=(_RESAMPLES, len(blocks)))
    drawn: NDArray[np.float64] = blocks[chosen]
    return drawn


def interval(drawn: NDArray[np.float64]) -> tuple[float, float]:
    """The middle 95 % of a bootstrap."""
    low, high = np.quantile(drawn, ((1 - _CONFIDENCE) / 2, (1 + _CONFIDENCE) / 2))
    return float(low), float(high)
