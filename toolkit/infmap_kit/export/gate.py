"""Is this engine still the same doctor? Compare it with its reference over pictures."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from infmap_kit.errors import GateFailed
from infmap_kit.export.engine import Engine
from infmap_kit.spec import DETECTION_THRESHOLD

MIN_DICE = 0.999
"""Pooled Dice against the reference. Two radiologists agree with about 0.64 on these masks, so that
a thousandth is far below what any reader could see, and far above rounding in FP32."""

MAX_FLIPS = 0
"""Images whose detection may change: none."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Equivalence:
    """How far an engine is from its reference.

    Parameters
    ----------
    images
        How many pictures were compared.
    dice
        Pooled over all pictures, at 0.5; 1 when both find nothing anywhere.
    flips
        Names of the pictures whose detection differs.
    largest_error
        Largest difference of any pixel's probability.
    severity_change_percent
        Largest change of the severity, in percentage points of the image.
    finite
        Whether the engine's probabilities are all numbers.
    """

    images: int
    dice: float
    flips: tuple[str, ...]
    largest_error: float
    severity_change_percent: float
    finite: bool

    def require(self) -> None:
        """Refuse an engine that is not the same doctor.

        Raises
        ------
        GateFailed
            With the first reason.
        """
        if not self.finite:
            raise GateFailed(
                "the engine gives NaN or infinite probabilities: nothing was published"
            )
        if len(self.flips) > MAX_FLIPS:
            raise GateFailed(
                f"the engine decides otherwise than its reference on {', '.join(self.flips[:5])} "
                f"({len(self.flips)} of {self.images} pictures): nothing was published"
            )
        if self.dice < MIN_DICE:
            raise GateFailed(
                f"expected Dice of at least {MIN_DICE} against the reference, found {self.dice:.5f} over "
                f"{self.images} pictures: nothing was published"
            )


def compare(
    reference: Engine, engine: Engine, pictures: Iterable[tuple[str, NDArray[np.uint8]]]
) -> Equivalence:
    """Run both engines over named pictures.

    Parameters
    ----------
    pictures
        Name and (224, 224) uint8 network input of each.
    """
    images = both = either = 0
    flips: list[str] = []
    largest_error = severity_change = 0.0
    finite = True
    for name, picture in pictures:
        expected, found = (engine_.infer(picture[np.newaxis])[0] for engine_ in (reference, engine))
        images += 1
        finite &= bool(np.isfinite(found).all())
        wanted_mask, found_mask = expected >= DETECTION_THRESHOLD, found >= DETECTION_THRESHOLD
        both += int((wanted_mask & found_mask).sum())
        either += int(wanted_mask.sum() + found_mask.sum())
        if wanted_mask.any() != found_mask.any():
            flips.append(name)
        largest_error = max(largest_error, float(np.abs(expected - found).max()))
        change = 100 * abs(float(wanted_mask.mean() - found_mask.mean()))
        severity_change = max(severity_change, change)
    return Equivalence(
        images=images,
        dice=2 * both / either if either else 1.0,
        flips=tuple(flips),
        largest_error=largest_error,
        severity_change_percent=severity_change,
        finite=finite,
    )
