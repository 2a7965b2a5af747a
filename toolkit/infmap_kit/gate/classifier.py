"""The gate's part for a classifier that is served beside: it must say the same, and look at the same."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infmap_kit.gate.bounds import ClassifierThresholds
from infmap_kit.gate.runners import Prediction


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClassifierComparison:
    """How far a classifier is from its reference on one picture.

    Parameters
    ----------
    detected, reference_detected
        Whether the probability reaches the finding's threshold.
    error, activation_error
        As the thresholds have them; 1 where one of the two is no number or not there.
    """

    detected: bool
    reference_detected: bool
    error: float
    activation_error: float

    @property
    def flipped(self) -> bool:
        """Whether it decides otherwise."""
        return self.detected != self.reference_detected


def compare_classifiers(wanted: Prediction, found: Prediction) -> ClassifierComparison | None:
    """Compare two judgements of one picture; ``None`` when the reference has no classifier."""
    if wanted.opinion is None:
        return None
    if found.opinion is None:
        return ClassifierComparison(
            detected=False,
            reference_detected=wanted.opinion.probability >= wanted.finding.threshold,
            error=1.0,
            activation_error=1.0,
        )
    return ClassifierComparison(
        detected=found.opinion.probability >= wanted.finding.threshold,
        reference_detected=wanted.opinion.probability >= wanted.finding.threshold,
        error=_quantile(np.array([wanted.opinion.probability - found.opinion.probability])),
        activation_error=_quantile(wanted.opinion.activation - found.opinion.activation),
    )


def classifier_reasons(
    compared: Sequence[tuple[str, ClassifierComparison]], allowed: ClassifierThresholds
) -> list[str]:
    """Why the classifier is not its reference's; empty when it is."""
    found = []
    flips = [name for name, one in compared if one.flipped]
    if flips:
        found.append(
            f"the classifier decides otherwise on {flips[0]} and {len(flips) - 1} more pictures"
        )
    for what, bound, errors in (
        ("probability", allowed.max_error, [(one.error, name) for name, one in compared]),
        (
            "activation map",
            allowed.max_activation_error,
            [(one.activation_error, name) for name, one in compared],
        ),
    ):
        error, name = max(errors)
        if error > bound:
            found.append(
                f"expected the classifier's {what} within {bound} of its reference's, found {error:.3f} "
                f"on {name}"
            )
    return found


def classifier_summary(compared: Sequence[ClassifierComparison]) -> dict[str, Any]:
    """Figures without any picture's name."""
    return {
        "flips": sum(one.flipped for one in compared),
        "largest_error": max(one.error for one in compared),
        "activation_error": max(one.activation_error for one in compared),
    }


def _quantile(difference: NDArray[np.floating]) -> float:
    """What 99.9 % of the differences stay within; what is no number is as far off as can be."""
    error = np.abs(difference)
    return float(np.quantile(np.where(np.isfinite(error), error, 1.0), 0.999))
