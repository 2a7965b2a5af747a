"""The largest deviations of an engine from its reference that pass the gate, by precision, with reasons."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from infmap_kit.parts.registry import optional_parts


@dataclasses.dataclass(frozen=True, kw_only=True)
class Thresholds:
    """The largest deviations of an engine from its reference that pass the gate.

    Parameters
    ----------
    min_dice
        Dice pooled over all pictures. Two radiologists agree with about 0.64 on these masks, so a
        thousandth is far below what any reader could see, and far above rounding in FP32.
    max_flips
        Pictures whose detection may change: none. A changed diagnosis is a different doctor.
    max_severity_change_percent
        Change of one picture's severity, in percentage points of its area. The coarsest expert
        score (geographic extent, 0 to 8) moves by a step for an eighth of the lungs, some 5 % of the picture; a
        fifth of that is not seen.
    min_image_dice
        Dice of a picture with at least 50 infected pixels: a good average must not hide one that is
        wrong. Masks of a few pixels change by a large share whenever one pixel does.
    max_map_error_share
        Pixels of an infection map that are more than 8 of 255 levels off the paper's formula. Rounding
        moves a pixel by one colour of 256, which is less; a wrong colour or place is more.
    max_error_p999
        Error that 99.9 % of the pixels' probabilities stay within. Masks do not show when a calibration is
        lost.
    parts
        Bounds of the other parts, by their names.
    """

    min_dice: float = 0.999
    max_flips: int = 0
    max_severity_change_percent: float = 1.0
    min_image_dice: float = 0.95
    max_map_error_share: float = 0.001
    max_error_p999: float = 0.01
    parts: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The bounds for a manifest, those of the parts under the parts' names."""
        own = dataclasses.asdict(self)
        parts: dict[str, Any] = own.pop("parts")
        return own | parts


THRESHOLDS = Thresholds()
"""Bounds of FP32 and FP16."""

BF16_THRESHOLDS = Thresholds(min_dice=0.998, max_error_p999=0.1)
"""Bounds of bf16, which keeps 8 significant bits of every number where FP16 keeps 11: masks differ by one pixel
in a thousand at their edges (measured on the demo model: 0.9989 to 0.9992). No detection may change all the
same."""

INT8_THRESHOLDS = Thresholds(min_dice=0.99, min_image_dice=0.9, max_error_p999=0.2)
"""Bounds of INT8, which does more than round: still far closer than two readers. No detection may change."""


def thresholds_for(precision: str) -> Thresholds:
    """The bounds of an engine that computes in ``precision``, the parts' own included."""
    own = {"int8": INT8_THRESHOLDS, "bf16": BF16_THRESHOLDS}.get(precision, THRESHOLDS)
    parts = {part.name: part.bounds(precision) for part in optional_parts()}
    return dataclasses.replace(own, parts=parts)
