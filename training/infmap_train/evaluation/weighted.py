"""Figures of many draws of rows at once: a row counts as often as it was drawn.

Every function here takes ``times``, (D, N): how often each of N rows is in each of D draws, and gives (D,)
float64, NaN where a draw does not define the figure. Draws of ones give the plain figure.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Times = NDArray[np.integer]
Statistic = Callable[[Times], NDArray[np.float64]]

CONFUSION_METRICS = ("sensitivity", "specificity", "precision", "f1", "f2", "accuracy")


def auc(covid: NDArray[np.bool_], score: NDArray[np.floating]) -> Statistic:
    """Area under the ROC curve by an (N,) score; ties count half, as in ``metrics.image_auc``."""

    def area(times: Times) -> NDArray[np.float64]:
        positive, negative = _by_score(times, covid, score)
        below = negative.cumsum(axis=1) - negative / 2
        pairs = positive.sum(axis=1) * negative.sum(axis=1)
        return _ratio((positive * below).sum(axis=1), pairs)

    return area


def average_precision(covid: NDArray[np.bool_], score: NDArray[np.floating]) -> Statistic:
    """Precision at each score that occurs, weighted by the recall that it adds."""

    def precision(times: Times) -> NDArray[np.float64]:
        positive, negative = (counts[:, ::-1] for counts in _by_score(times, covid, score))
        hits = positive.cumsum(axis=1)
        each = _ratio(positive * hits, hits + negative.cumsum(axis=1))
        return _ratio(np.nansum(each, axis=1), positive.sum(axis=1))

    return precision


def confusion_metric(counts: NDArray[np.int64], name: str) -> Statistic:
    """One of the paper's metrics (eq. 8 to 12).

    Parameters
    ----------
    counts
        (N, 4): true positives, false positives, false negatives and true negatives of each row, which may be
        a picture's pixels, or the picture itself.
    name
        One of ``CONFUSION_METRICS``.
    """

    def metric(times: Times) -> NDArray[np.float64]:
        tp, fp, fn, tn = (times.astype(np.float64) @ counts.astype(np.float64)).T
        if name in ("f1", "f2"):
            weight = int(name[1]) ** 2
            hits = (1 + weight) * tp
            return _ratio(hits, hits + weight * fn + fp)
        parts = {
            "sensitivity": (tp, tp + fn),
            "specificity": (tn, tn + fp),
            "precision": (tp, tp + fp),
            "accuracy": (tp + tn, tp + fp + fn + tn),
        }
        return _ratio(*parts[name])

    return metric


def counts_of(truth: NDArray[np.bool_], predicted: NDArray[np.bool_]) -> NDArray[np.int64]:
    """True positives, false positives, false negatives and true negatives of each row, (N, 4).

    Parameters
    ----------
    truth, predicted
        (N, ...) bool, of one shape.
    """
    truth, predicted = (part.reshape(len(part), -1) for part in (truth, predicted))
    both, true, positive = (
        np.count_nonzero(part, axis=1) for part in (truth & predicted, truth, predicted)
    )
    neither = truth.shape[1] - true - positive + both
    return np.stack([both, positive - both, true - both, neither], axis=1)


def _by_score(
    times: Times, covid: NDArray[np.bool_], score: NDArray[np.floating]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The number of each class that were drawn at each score that occurs, rising, (D, U) each."""
    scores, place = np.unique(score, return_inverse=True)

    def counted(of_class: NDArray[np.bool_]) -> NDArray[np.float64]:
        return np.stack(
            [np.bincount(place, weights=row * of_class, minlength=scores.size) for row in times]
        )

    return counted(covid), counted(~covid)


def _ratio(part: NDArray[np.float64], total: NDArray[np.float64]) -> NDArray[np.float64]:
    shares = np.full(part.shape, np.nan)
    np.divide(part, total, out=shares, where=total > 0)
    return shares
