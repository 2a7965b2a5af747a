"""What the ensemble said of one radiograph."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclasses.dataclass(frozen=True, kw_only=True)
class Finding:
    """One radiograph's result.

    Parameters
    ----------
    detected
        COVID-19 by the paper's rule: any pixel's probability is 0.5 or more.
    severity_percent
        Infected pixels, in percent of ``severity_of``.
    severity_of
        ``"image"``, or ``"lungs"`` where they are known.
    probability_max
        Largest probability of any pixel.
    probability
        (224, 224) float32 in [0, 1].
    infection_map
        (H, W, 3) uint8 RGB.
    model
        Name, version, network, hash and precision of the model that was served.
    timings_ms
        Milliseconds by stage.
    lungs
        (224, 224) uint8, 0 or 1, where the lungs are known.
    """

    detected: bool
    severity_percent: float
    probability_max: float
    probability: NDArray[np.float32]
    infection_map: NDArray[np.uint8]
    model: dict[str, str]
    timings_ms: dict[str, float]
    severity_of: str = "image"
    lungs: NDArray[np.uint8] | None = None

    def as_json(self) -> dict[str, Any]:
        """The result without its pictures, for a JSON file."""
        return {
            "detected": self.detected,
            "probability_max": round(self.probability_max, 6),
            "severity_percent": round(self.severity_percent, 4),
            "severity_of": self.severity_of,
            "model": self.model,
            "timings_ms": {stage: round(value, 3) for stage, value in self.timings_ms.items()},
            "notice": "For research use, not a medical device.",
        }
