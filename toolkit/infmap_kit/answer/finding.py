"""What the ensemble said of one radiograph."""

from __future__ import annotations

import dataclasses
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from infmap_kit.answer.severity import Grade, Lung
from infmap_kit.model.finding import FindingSpec


@dataclasses.dataclass(frozen=True, kw_only=True)
class Finding:
    """One radiograph's result.

    Parameters
    ----------
    detected
        By the paper's rule: any pixel's probability reaches the finding's threshold.
    severity_percent
        Affected pixels, in percent of ``severity_of``.
    severity_of
        ``"image"``, or ``"lungs"`` where they are known.
    probability_max
        Largest probability of any pixel.
    probability
        (224, 224) float32 in [0, 1].
    infection_map
        (H, W, 3) uint8 RGB; ``None`` when it was not asked for.
    model
        Name, version, network, hash and precision of the model that was served.
    timings_ms
        Milliseconds by stage.
    severity_at
        ``severity_percent`` by the threshold that a pixel must reach, ``"0.3"`` to ``"0.7"``.
    lungs
        (224, 224) uint8, 0 or 1, where the lungs are known.
    by_lung
        Severity of the ``right`` and the ``left`` lung and their zones, where lungs are known.
    grade
        Of the severity of the lungs; ``None`` where none are known or found.
    classifier_probability
        Of the condition, by a classifier that is served beside; ``None`` where there is none.
    activation_map
        (H, W, 3) uint8 RGB: where the classifier looked; ``None`` when it was not asked for.
    """

    detected: bool
    severity_percent: float
    probability_max: float
    probability: NDArray[np.float32]
    infection_map: NDArray[np.uint8] | None
    model: dict[str, str]
    timings_ms: dict[str, float]
    severity_of: str = "image"
    severity_at: dict[str, float] = dataclasses.field(default_factory=dict)
    lungs: NDArray[np.uint8] | None = None
    by_lung: dict[str, Lung] | None = None
    grade: Grade | None = None
    classifier_probability: float | None = None
    activation_map: NDArray[np.uint8] | None = None

    @property
    def finding(self) -> FindingSpec:
        """What the model that answered looks for."""
        return FindingSpec.from_parameters(self.model)

    @property
    def classifier_detected(self) -> bool | None:
        """What the classifier decides, by the finding's threshold; ``None`` where there is none."""
        if self.classifier_probability is None:
            return None
        return self.classifier_probability >= self.finding.threshold

    @property
    def opinions_agree(self) -> bool | None:
        """Whether mask and classifier decide alike; ``None`` where there is one opinion only."""
        return (
            None if self.classifier_detected is None else self.classifier_detected == self.detected
        )

    def after(self, **timings_ms: float) -> Finding:
        """Return the same finding with the milliseconds of further stages."""
        return dataclasses.replace(self, timings_ms={**self.timings_ms, **timings_ms})

    def as_json(self) -> dict[str, Any]:
        """The result without its pictures, for a JSON file."""
        return {
            "detected": self.detected,
            "probability_max": round(self.probability_max, 6),
            "severity_percent": round(self.severity_percent, 4),
            "severity_of": self.severity_of,
            "grade": self.grade,
            "severity_at_threshold": {
                threshold: round(value, 4) for threshold, value in self.severity_at.items()
            },
            "lungs": None
            if self.by_lung is None
            else {side: lung.as_json() for side, lung in self.by_lung.items()},
            **self._second_opinion(),
            "model": self.model,
            "timings_ms": {stage: round(value, 3) for stage, value in self.timings_ms.items()},
            "notice": self.finding.notice,
        }

    def _second_opinion(self) -> dict[str, Any]:
        if self.classifier_probability is None:
            return {}
        return {
            "classifier": {
                "detected": self.classifier_detected,
                "probability": round(self.classifier_probability, 6),
            },
            "opinions_agree": self.opinions_agree,
        }


def encode_png(infection_map: NDArray[np.uint8]) -> bytes:
    """An infection map, (H, W, 3) uint8 RGB, as PNG."""
    bgr = cv2.cvtColor(infection_map, cv2.COLOR_RGB2BGR)
    # Level 1: writing the file would otherwise take longer than everything before it.
    return cv2.imencode(".png", bgr, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()
