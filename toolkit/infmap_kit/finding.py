"""What the ensemble said of one radiograph."""

from __future__ import annotations

import dataclasses
from typing import Any

import cv2
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
        (H, W, 3) uint8 RGB; ``None`` when it was not asked for.
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
    infection_map: NDArray[np.uint8] | None
    model: dict[str, str]
    timings_ms: dict[str, float]
    severity_of: str = "image"
    lungs: NDArray[np.uint8] | None = None

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
            "model": self.model,
            "timings_ms": {stage: round(value, 3) for stage, value in self.timings_ms.items()},
            "notice": "For research use, not a medical device.",
        }


def encode_png(infection_map: NDArray[np.uint8]) -> bytes:
    """An infection map, (H, W, 3) uint8 RGB, as PNG."""
    bgr = cv2.cvtColor(infection_map, cv2.COLOR_RGB2BGR)
    # Level 1: writing the file would otherwise take longer than everything before it.
    return cv2.imencode(".png", bgr, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()
