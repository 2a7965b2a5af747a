"""The short form of an answer: probabilities in one byte a pixel, and figures of all their digits."""

from __future__ import annotations

import dataclasses
from typing import Self

import numpy as np
from numpy.typing import NDArray

from infmap_kit.answer.severity import severity_at
from infmap_kit.model.spec import DETECTION_THRESHOLD

STEPS = 255

MAX_ERROR = 0.5 / STEPS
"""How far a probability in steps is from the one that it was made of: half a step."""

_ROUNDING = 1e-6


@dataclasses.dataclass(frozen=True, kw_only=True)
class Summary:
    """The probabilities of one picture in steps of 1/255, and what was computed of them before.

    Parameters
    ----------
    steps
        (H, H) uint8: the nearest step of each probability. The mark of 0.5 lies between 127 and 128.
    probability_max
        Largest probability of any pixel.
    severity_at
        (5,) float32: percentage of the picture's pixels that reach each of
        :data:`~infmap_kit.answer.severity.THRESHOLDS`.
    """

    steps: NDArray[np.uint8]
    probability_max: float
    severity_at: NDArray[np.float32]

    @classmethod
    def of(cls, probability: NDArray[np.float32]) -> Self:
        """The summary of probabilities, (H, H) float32 in [0, 1], by the definition."""
        exact = np.clip(probability.astype(np.float64), 0, 1)
        return cls(
            steps=np.floor(STEPS * exact + 0.5).astype(np.uint8),
            probability_max=float(probability.max()),
            severity_at=severity_at(probability),
        )

    @property
    def probability(self) -> NDArray[np.float32]:
        """(H, H) float32 in [0, 1], within :data:`MAX_ERROR` of what it was made of."""
        return self.steps.astype(np.float32) / np.float32(STEPS)

    def agrees_with(self, probability: NDArray[np.float32]) -> bool:
        """Whether this is the summary of probabilities, (H, H) float32.

        Each step is within :data:`MAX_ERROR`, none is on the other side of 0.5, and the figures are equal.
        """
        within = np.abs(self.probability - probability) <= MAX_ERROR + _ROUNDING
        same_side = (self.steps > STEPS // 2) == (probability >= DETECTION_THRESHOLD)
        return (
            bool((within & same_side).all())
            and self.probability_max == float(probability.max())
            and bool(np.allclose(self.severity_at, severity_at(probability), rtol=1e-6, atol=0))
        )
