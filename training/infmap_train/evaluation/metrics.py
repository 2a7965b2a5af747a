"""The paper's metrics (eq. 8 to 13), over pixels and over images.

In all functions ``masks`` are (N, H, W), 0 or 1, ``probability`` is (N, H, W) in [0, 1], and ``covid`` is the
images' truth, (N,) bool.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from infmap_kit.model.spec import DETECTION_THRESHOLD

_Z_95 = 1.96

# Curves over tens of millions of pixels are counted in steps instead of sorted, which takes a thousandth of
# the memory. The steps are even in log-odds, since nearly all pixels lie close to 0 or 1: at 1e-6 and at
# 1 - 1e-6 they tell probabilities apart that differ by 2e-10, at 0.5 by 6e-5. They go from the least to the
# greatest probability that 32 bits hold, and 0.5 is where one begins.
_LEAST_LOGIT, _GREATEST_LOGIT = -104, 17
_STEPS_IN_ONE = 4096
_STEPS = (_GREATEST_LOGIT - _LEAST_LOGIT) * _STEPS_IN_ONE
_PICTURES_AT_ONCE = 64


def _ratio(part: float, total: float) -> float:
    return part / total if total else math.nan


def half_width(value: float, samples: int) -> float:
    """Half the width of a share's 95 % confidence interval (eq. 13); NaN without samples."""
    return _Z_95 * math.sqrt(value * (1 - value) / samples) if samples else math.nan


@dataclasses.dataclass(frozen=True, kw_only=True)
class Confusion:
    """A confusion matrix; the positive class is infected (pixels) or COVID-19 (images)."""

    true_positive: int
    false_positive: int
    false_negative: int
    true_negative: int

    @classmethod
    def count(cls, truth: NDArray[np.bool_], predicted: NDArray[np.bool_]) -> Self:
        """Count two boolean arrays of one shape."""
        true_positive = int(np.count_nonzero(truth & predicted))
        true, positive = int(np.count_nonzero(truth)), int(np.count_nonzero(predicted))
        return cls(
            true_positive=true_positive,
            false_positive=positive - true_positive,
            false_negative=true - true_positive,
            true_negative=truth.size - true - positive + true_positive,
        )

    @classmethod
    def from_dict(cls, figures: Mapping[str, Any]) -> Self:
        """Take the four counts out of a report."""
        return cls(**{field.name: figures[field.name] for field in dataclasses.fields(cls)})

    @property
    def positives(self) -> int:
        """Number of samples of the positive class."""
        return self.true_positive + self.false_negative

    @property
    def negatives(self) -> int:
        """Number of samples of the negative class."""
        return self.true_negative + self.false_positive

    @property
    def sensitivity(self) -> float:
        """Share of the positive samples that are found (eq. 8)."""
        return _ratio(self.true_positive, self.positives)

    @property
    def specificity(self) -> float:
        """Share of the negative samples that are taken for negative (eq. 9)."""
        return _ratio(self.true_negative, self.negatives)

    @property
    def precision(self) -> float:
        """Share of the samples taken for positive that are positive (eq. 10)."""
        return _ratio(self.true_positive, self.true_positive + self.false_positive)

    @property
    def accuracy(self) -> float:
        """Share of all samples that are taken for what they are (eq. 11)."""
        return _ratio(self.true_positive + self.true_negative, self.positives + self.negatives)

    def f_score(self, beta: float) -> float:
        """F-score (eq. 12); ``beta`` 1 weighs precision and sensitivity alike, 2 sensitivity more."""
        # Eq. 12 with 8 and 10 put in: the same number, and still one when nothing is predicted.
        weight = beta**2
        hits = (1 + weight) * self.true_positive
        return _ratio(hits, hits + weight * self.false_negative + self.false_positive)

    def ci95(self, metric: str) -> float:
        """Half the width of the 95 % confidence interval (eq. 13).

        The paper's N follows from its Table III: positives for the sensitivity,
        negatives for the specificity, all samples for the rest.
        """
        samples = {"sensitivity": self.positives, "specificity": self.negatives}
        return half_width(
            self.as_dict()[metric], samples.get(metric, self.positives + self.negatives)
        )

    def __add__(self, other: Confusion) -> Confusion:
        """Cumulate two matrices, as the paper's Table IV does over the folds."""
        counts = dataclasses.asdict(self).items()
        return Confusion(**{name: count + getattr(other, name) for name, count in counts})

    def as_dict(self) -> dict[str, float]:
        """Give the six metrics of the paper's Tables I and III, each in [0, 1]."""
        return {
            "sensitivity": self.sensitivity,
            "specificity": self.specificity,
            "precision": self.precision,
            "f1": self.f_score(1),
            "f2": self.f_score(2),
            "accuracy": self.accuracy,
        }

    def figures(self, *, intervals: bool = False) -> dict[str, Any]:
        """Give the six metrics, the four counts, and in ``ci95`` the metrics' intervals (eq. 13)."""
        ci95 = {"ci95": {name: self.ci95(name) for name in self.as_dict()}} if intervals else {}
        return {**self.as_dict(), **dataclasses.asdict(self), **ci95}


def pixel_confusion(
    masks: NDArray[np.uint8],
    probability: NDArray[np.float32],
    threshold: float = DETECTION_THRESHOLD,
) -> Confusion:
    """Pixels over all images, normal ones included, as the paper's Table I counts them."""
    return Confusion.count(masks > 0, probability >= threshold)


def detection_confusion(
    covid: NDArray[np.bool_],
    probability: NDArray[np.float32],
    threshold: float = DETECTION_THRESHOLD,
) -> Confusion:
    """Images: COVID-19 when any pixel's probability reaches the threshold (paper, II-D)."""
    return image_confusion(covid, probability.max(axis=(1, 2)), threshold)


def image_confusion(
    covid: NDArray[np.bool_], score: NDArray[np.floating], threshold: float = DETECTION_THRESHOLD
) -> Confusion:
    """Images: COVID-19 when its (N,) score reaches the threshold."""
    return Confusion.count(covid, score >= threshold)


def dice_per_image(
    masks: NDArray[np.uint8],
    probability: NDArray[np.float32],
    threshold: float = DETECTION_THRESHOLD,
) -> NDArray[np.float64]:
    """Dice coefficient of each image (eq. 6), (N,) float64 in [0, 1]; two empty masks agree with 1."""
    truth, predicted = masks > 0, probability >= threshold
    both = (truth & predicted).sum(axis=(1, 2))
    either = truth.sum(axis=(1, 2)) + predicted.sum(axis=(1, 2))
    return np.where(either == 0, 1.0, 2 * both / np.maximum(either, 1))


@dataclasses.dataclass(frozen=True)
class PrecisionRecall:
    """A precision-recall curve (the paper's Fig. 6), by falling threshold.

    Parameters
    ----------
    threshold, precision, recall
        (T,) float64 each; ``precision`` is 1 where nothing is predicted.
    """

    threshold: NDArray[np.float64]
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]

    def at(self, threshold: float) -> tuple[float, float]:
        """Precision and recall of the pixels that reach a threshold."""
        step = max(0, int(np.count_nonzero(self.threshold >= threshold)) - 1)
        return float(self.precision[step]), float(self.recall[step])


def precision_recall(masks: NDArray[np.uint8], probability: NDArray[np.float32]) -> PrecisionRecall:
    """Precision and recall of the pixels at every threshold that changes them."""
    return curve_of(*pixel_histograms(masks, probability))


def curve_of(infected: NDArray[np.int64], healthy: NDArray[np.int64]) -> PrecisionRecall:
    """Precision and recall of what :func:`pixel_histograms` counted, of several sets added up too."""
    true_positive, false_positive = infected[::-1].cumsum(), healthy[::-1].cumsum()
    predicted = true_positive + false_positive
    changing = np.flatnonzero(np.diff(predicted, prepend=-1))
    predicted, true_positive = predicted[changing], true_positive[changing]
    edges = np.arange(_STEPS, -1, -1)[changing] / _STEPS_IN_ONE + _LEAST_LOGIT
    return PrecisionRecall(
        threshold=1 / (1 + np.exp(-edges)),
        precision=np.where(predicted == 0, 1.0, true_positive / np.maximum(predicted, 1)),
        recall=true_positive / max(1, int(infected.sum())),
    )


def pixel_auc(masks: NDArray[np.uint8], probability: NDArray[np.float32]) -> float:
    """Area under the pixels' ROC curve, in [0, 1]; NaN when one class is absent."""
    infected, healthy = pixel_histograms(masks, probability)
    # The share of pairs, one pixel of each class, that are ranked rightly; ties count half.
    below = healthy.cumsum() - healthy / 2
    return _ratio(float((infected * below).sum()), float(infected.sum()) * float(healthy.sum()))


def image_auc(covid: NDArray[np.bool_], score: NDArray[np.floating]) -> float:
    """Area under the images' ROC curve by an (N,) score; NaN for one class alone."""
    if covid.all() or not covid.any():
        return math.nan
    return float(roc_auc_score(covid, score))


def net_benefit(
    covid: NDArray[np.bool_], score: NDArray[np.floating], thresholds: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Net benefit of calling a picture COVID-19 from a probability on (Vickers and Elkin, 2006).

    Whoever acts from a probability p on holds a missed case for (1 - p) / p times as bad as a false alarm.

    Parameters
    ----------
    score
        (N,) probability of each picture.
    thresholds
        (T,) probabilities in [0, 1).

    Returns
    -------
    NDArray
        (T,) true positives less false positives times p / (1 - p), as a share of all pictures.
    """
    called = score[np.newaxis, :] >= thresholds[:, np.newaxis]
    right, wrong = ((called & kind).mean(axis=1) for kind in (covid, ~covid))
    return np.asarray(right - wrong * thresholds / (1 - thresholds))


def pixel_histograms(
    masks: NDArray[np.uint8], probability: NDArray[np.float32]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Infected and healthy pixels at each step of probability, (T,) int64 each, to be added up."""
    both = np.zeros(_STEPS + 1, np.int64)
    positive = np.zeros_like(both)
    # A few pictures at a time: what is computed in between is eight times as large as they are.
    for start in range(0, len(probability), _PICTURES_AT_ONCE):
        rows = slice(start, start + _PICTURES_AT_ONCE)
        exact = probability[rows].astype(np.float64).ravel()
        with np.errstate(divide="ignore"):
            logit = np.log(exact) - np.log1p(-exact)
        inside = np.clip(logit, _LEAST_LOGIT, _GREATEST_LOGIT)
        # Floor, so that a pixel counts at a threshold if and only if it reaches it.
        steps = np.floor((inside - _LEAST_LOGIT) * _STEPS_IN_ONE).astype(np.int64)
        both += np.bincount(steps, minlength=_STEPS + 1)
        positive += np.bincount(steps[masks[rows].ravel() > 0], minlength=_STEPS + 1)
    return positive, both - positive
