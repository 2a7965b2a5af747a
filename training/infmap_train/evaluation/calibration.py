"""Calibration: does a probability mean what it says, and which temperature corrects it (Guo et al., ICML 2017).

Probabilities are cut into :data:`BINS` bins of one width from 0 to 1; the last one holds 1 too. The expected
calibration error is the mean distance between a bin's mean probability and its share of positives, weighted
by the number of probabilities in the bin.

A temperature T divides the logit. It leaves 0.5 where it is, and the order of all pixels: masks, detection and
severity stay, only the probabilities change.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import scipy.optimize
from numpy.typing import NDArray

BINS = 15

LEAST_PROBABILITY = 1e-7
"""Probabilities are kept this far from 0 and 1, as the losses do: beyond, FP32 knows no 1 - p."""

_TEMPERATURES = (0.05, 20.0)


@dataclasses.dataclass(frozen=True)
class Reliability:
    """A reliability diagram.

    Parameters
    ----------
    count
        (BINS,) int64: number of probabilities in each bin.
    predicted
        (BINS,) float64: their mean; NaN in an empty bin.
    actual
        (BINS,) float64: the share of them that are positive; NaN in an empty bin.
    """

    count: NDArray[np.int64]
    predicted: NDArray[np.float64]
    actual: NDArray[np.float64]

    @classmethod
    def measure(
        cls, truth: NDArray[np.bool_], probability: NDArray[np.floating[Any]]
    ) -> Reliability:
        """Count two arrays of one shape; ``probability`` in [0, 1]."""
        truth, probability = truth.ravel(), probability.ravel()
        # By the edges themselves: 15 times an FP32 number just below an edge may round up to the next bin.
        edges = np.linspace(0, 1, BINS + 1)[1:-1]
        bins = np.searchsorted(edges, probability.astype(np.float64), side="right")
        count = np.bincount(bins, minlength=BINS)
        with np.errstate(invalid="ignore"):
            predicted = np.bincount(bins, weights=probability, minlength=BINS) / count
            actual = np.bincount(bins, weights=truth, minlength=BINS) / count
        return cls(count, predicted, actual)

    @property
    def ece(self) -> float:
        """Expected calibration error, in [0, 1]; NaN of nothing."""
        if not self.count.any():
            return float("nan")
        apart = np.nan_to_num(np.abs(self.predicted - self.actual))
        return float((self.count * apart).sum() / self.count.sum())

    def rows(self) -> list[dict[str, float | int]]:
        """Return a row for each bin: ``from``, ``to``, ``count``, ``said``, ``found``."""
        return [
            {"from": n / BINS, "to": (n + 1) / BINS, "count": count, "said": mean, "found": share}
            for n, (count, mean, share) in enumerate(
                zip(*(a.tolist() for a in (self.count, self.predicted, self.actual)), strict=True)
            )
        ]


def logit(probability: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Log odds, of probabilities kept ``LEAST_PROBABILITY`` from 0 and 1."""
    inside = np.clip(probability.astype(np.float64), LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
    return np.asarray(np.log(inside) - np.log1p(-inside))


def tempered(probability: NDArray[np.float32], temperature: float) -> NDArray[np.float32]:
    """Probabilities at a temperature: ``sigmoid(logit / temperature)``, of the same shape."""
    return (1 / (1 + np.exp(-logit(probability) / temperature))).astype(np.float32)


def negative_log_likelihood(
    truth: NDArray[np.bool_], logits: NDArray[np.float64], temperature: float = 1.0
) -> float:
    """Mean negative log of the probability that was given to the truth."""
    # logaddexp(0, -z) is -log sigmoid(z), without overflow.
    against = np.where(truth, -logits, logits) / temperature
    return float(np.logaddexp(0, against).mean())


def is_at_bound(temperature: float) -> bool:
    """Whether a temperature is as low or as high as :func:`fit_temperature` tries."""
    return any(math.isclose(temperature, bound, rel_tol=1e-2) for bound in _TEMPERATURES)


def fit_temperature(truth: NDArray[np.bool_], probability: NDArray[np.float32]) -> float:
    """Find the temperature of least negative log likelihood, between 0.05 and 20.

    Parameters
    ----------
    truth, probability
        Arrays of one and the same shape, which may be any.
    """
    truth, logits = truth.ravel(), logit(probability).ravel()
    fitted = scipy.optimize.minimize_scalar(
        lambda log_t: negative_log_likelihood(truth, logits, float(np.exp(log_t))),
        bounds=np.log(_TEMPERATURES),
        method="bounded",
        options={"xatol": 1e-4},
    )
    return float(np.exp(fitted.x))
