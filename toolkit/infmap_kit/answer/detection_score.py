"""A score that puts radiographs in order, with its operating points; the paper's rule stays the decision."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from infmap_kit.answer.part import PartAnswer


@dataclasses.dataclass(frozen=True, kw_only=True)
class DetectionScoreAnswer(PartAnswer):
    """The detection score of one radiograph.

    Parameters
    ----------
    value
        In [0, 1]; the higher, the more like the finding.
    rule
        What it is the mean of: ``mean`` of all probabilities, or ``top N`` of the largest; empty where the
        model does not say.
    at_95_sensitivity, at_95_specificity
        From which value on a radiograph counts as detected, for a sensitivity or a specificity of 95 % on the
        held-back radiographs; ``None`` where the model does not say.
    """

    value: float
    rule: str = ""
    at_95_sensitivity: float | None = None
    at_95_specificity: float | None = None

    @property
    def is_finite(self) -> bool:
        """Whether it is a number."""
        return math.isfinite(self.value)

    def as_json(self, *, detected: bool) -> dict[str, Any]:
        """See :meth:`PartAnswer.as_json`."""
        points = {
            name: None if point is None else self.value >= point
            for name, point in (
                ("reaches_95_percent_sensitivity", self.at_95_sensitivity),
                ("reaches_95_percent_specificity", self.at_95_specificity),
            )
        }
        return {"detection_score": {"value": round(self.value, 6), "rule": self.rule, **points}}
