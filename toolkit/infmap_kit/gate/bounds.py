"""How far an engine may be from its reference, by precision, and why."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, kw_only=True)
class LungThresholds:
    """How far lungs and what follows from them may be from the reference's.

    Parameters
    ----------
    min_dice, min_image_dice
        As for the infection: pooled, and of each picture.
    max_severity_change_percent
        Of both lungs or either, in percentage points of them. The coarsest expert score (geographic
        extent, 0 to 8) moves by a step for an eighth of the lungs; a fifth of that is not seen.
    max_zone_change_percent
        The same of a sixth: a zone's border moves with the first and the last row of its lung.
    """

    min_dice: float = 0.999
    min_image_dice: float = 0.95
    max_severity_change_percent: float = 2.5
    max_zone_change_percent: float = 5.0


LUNG_THRESHOLDS = LungThresholds()
"""Of FP32 and FP16."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClassifierThresholds:
    """How far a classifier may be from its reference; it is computed in FP32 on every target.

    Parameters
    ----------
    max_error
        Of the probability. What it decides at 0.5 may not change at all.
    max_activation_error
        That 99.9 % of a map's pixels stay within, relative to the map's peak.
    """

    max_error: float = 0.01
    max_activation_error: float = 0.02


CLASSIFIER_THRESHOLDS = ClassifierThresholds()
"""On every target."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Thresholds:
    """How far an engine may be from its reference.

    Parameters
    ----------
    min_dice
        Pooled over all pictures. Two radiologists agree with about 0.64 on these masks, so a
        thousandth is far below what any reader could see, and far above rounding in FP32.
    max_flips
        Pictures whose detection may change: none. A changed diagnosis is a different doctor.
    max_severity_change_percent
        Of one picture, in percentage points of its area. The coarsest expert score (geographic extent, 0 to 8)
        moves by a step for an eighth of the lungs, some 5 % of the picture; a fifth of that is not seen.
    min_image_dice
        Of one picture with at least 50 infected pixels: a good average must not hide one that is
        wrong. Masks of a few pixels change by a large share whenever one pixel does.
    max_map_error_share
        Pixels of an infection map that are more than 8 of 255 levels off the paper's formula. Rounding
        moves a pixel by one colour of 256, which is less; a wrong colour or place is more.
    max_error_p999
        That 99.9 % of the pixels' probabilities stay within. Masks do not show it when a calibration is lost.
    lungs
        Of the lungs, where they are served.
    classifier
        Of a classifier, where one is served.
    """

    min_dice: float = 0.999
    max_flips: int = 0
    max_severity_change_percent: float = 1.0
    min_image_dice: float = 0.95
    max_map_error_share: float = 0.001
    max_error_p999: float = 0.01
    lungs: LungThresholds = LUNG_THRESHOLDS
    classifier: ClassifierThresholds = CLASSIFIER_THRESHOLDS


THRESHOLDS = Thresholds()
"""Of FP32 and FP16."""

BF16_THRESHOLDS = Thresholds(
    min_dice=0.998, max_error_p999=0.1, lungs=LungThresholds(min_dice=0.998)
)
"""Of bf16, which keeps 8 significant bits of every number where FP16 keeps 11: masks differ by one pixel in a
thousand at their edges (measured on the demo model: 0.9989 to 0.9992). No detection may change all the same."""

INT8_THRESHOLDS = Thresholds(
    min_dice=0.99,
    min_image_dice=0.9,
    max_error_p999=0.2,
    lungs=LungThresholds(min_dice=0.99, min_image_dice=0.9),
)
"""Of 8 bits, which do more than round: still far closer than two readers, and no detection may change."""


def thresholds_for(precision: str) -> Thresholds:
    """What is asked of an engine that computes in ``precision``."""
    return {"int8": INT8_THRESHOLDS, "bf16": BF16_THRESHOLDS}.get(precision, THRESHOLDS)
