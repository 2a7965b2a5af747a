"""A classifier's answer about a radiograph, beside that of the infection's network."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infmap_kit.answer.part import PartAnswer
from infmap_kit.model.spec import DETECTION_THRESHOLD


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClassifierAnswer(PartAnswer):
    """A classifier's answer about one radiograph.

    Parameters
    ----------
    probability
        Probability of the finding, in [0, 1].
    activation
        (224, 224) float32 in [0, 1], relative to its peak; ``None`` when it was not asked for.
    threshold
        Probability from which the finding is detected.
    """

    probability: float
    activation: NDArray[np.float32] | None = None
    threshold: float = DETECTION_THRESHOLD

    @property
    def detected(self) -> bool:
        """The classifier's decision; at 0.5 it is the larger of its two neurons."""
        return self.probability >= self.threshold

    @property
    def is_finite(self) -> bool:
        """Whether every value is a number."""
        pixels = 0.0 if self.activation is None else self.activation
        return math.isfinite(self.probability) and bool(np.isfinite(pixels).all())

    def as_json(self, *, detected: bool) -> dict[str, Any]:
        """See :meth:`PartAnswer.as_json`."""
        return {
            "classifier": {"detected": self.detected, "probability": round(self.probability, 8)},
            "opinions_agree": self.detected == detected,
        }
