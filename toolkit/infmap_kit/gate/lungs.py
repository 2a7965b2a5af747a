"""The gate's part for lungs: whether they are where the reference sees them, and severity is the same."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infmap_kit.answer.severity import LungFigures, lung_figures
from infmap_kit.gate.bounds import LungThresholds
from infmap_kit.gate.runners import Prediction

_COUNTED_PIXELS = 50
_ALL = 100.0
_ROUNDING_PERCENT = 1e-3


@dataclasses.dataclass(frozen=True, kw_only=True)
class LungComparison:
    """How far the lungs of an engine are from its reference's on one picture.

    Parameters
    ----------
    reference_pixels, pixels, common_pixels
        Sizes of the two masks and of what they share.
    severity_change_percent
        Largest of both lungs together, of each, and at each threshold; 100 where only one of the two judges
        has a value.
    zone_change_percent
        Largest of any zone.
    consistent
        Whether the figures are what the definition gives for the engine's own masks.
    """

    reference_pixels: int
    pixels: int
    common_pixels: int
    severity_change_percent: float
    zone_change_percent: float
    consistent: bool

    @property
    def dice(self) -> float:
        """Of the two masks; 1 when both are empty."""
        return _dice([self])


def compare_lungs(wanted: Prediction, found: Prediction) -> LungComparison | None:
    """Compare two judgements of one picture; ``None`` when neither knows of lungs."""
    masks = wanted.lungs, found.lungs
    if masks[0] is None and masks[1] is None:
        return None
    if masks[0] is None or masks[1] is None or wanted.figures is None or found.figures is None:
        sizes = [int(mask.sum()) if mask is not None else 0 for mask in masks]
        return LungComparison(
            reference_pixels=sizes[0],
            pixels=sizes[1],
            common_pixels=0,
            severity_change_percent=_ALL,
            zone_change_percent=_ALL,
            consistent=False,
        )
    own = lung_figures(found.probability, masks[1], threshold=wanted.finding.threshold)
    return LungComparison(
        reference_pixels=int(masks[0].sum()),
        pixels=int(masks[1].sum()),
        common_pixels=int((masks[0] & masks[1]).sum()),
        severity_change_percent=_severity_change(wanted.figures, found.figures),
        zone_change_percent=_largest(wanted.figures.zones, found.figures.zones),
        consistent=own.of_lungs == found.figures.of_lungs
        and _severity_change(own, found.figures) < _ROUNDING_PERCENT
        and _largest(own.zones, found.figures.zones) < _ROUNDING_PERCENT,
    )


def lung_reasons(
    compared: Sequence[tuple[str, LungComparison]], allowed: LungThresholds
) -> list[str]:
    """Why the lungs are not the reference's; empty when they are."""
    found = []
    dice = _dice([one for _, one in compared])
    if dice < allowed.min_dice:
        found.append(
            f"expected lungs with Dice of at least {allowed.min_dice} against the reference, found "
            f"{dice:.5f} over {len(compared)} pictures"
        )
    low = [
        f"{name} {one.dice:.3f}"
        for name, one in compared
        if one.reference_pixels >= _COUNTED_PIXELS and one.dice < allowed.min_image_dice
    ]
    if low:
        found.append(
            f"expected lungs with Dice of at least {allowed.min_image_dice} on each picture, found "
            f"{some(low)}"
        )
    for what, bound, changes in (
        (
            "the lungs",
            allowed.max_severity_change_percent,
            [(one.severity_change_percent, name) for name, one in compared],
        ),
        (
            "zones",
            allowed.max_zone_change_percent,
            [(one.zone_change_percent, name) for name, one in compared],
        ),
    ):
        change, name = max(changes)
        if change > bound:
            found.append(
                f"expected severities of {what} within {bound} percentage points, found a change of "
                f"{change:.2f} on {name}"
            )
    wrong = [name for name, one in compared if not one.consistent]
    if wrong:
        found.append(
            f"severity of the lungs is not what the engine's own masks give on {some(wrong)}"
        )
    return found


def lung_summary(compared: Sequence[LungComparison]) -> dict[str, Any]:
    """Figures without any picture's name."""
    return {
        "dice": _dice(compared),
        "min_image_dice": min((one.dice for one in compared), default=1.0),
        "severity_change_percent": max(
            (one.severity_change_percent for one in compared), default=0.0
        ),
        "zone_change_percent": max((one.zone_change_percent for one in compared), default=0.0),
    }


def some(names: Sequence[str]) -> str:
    """The first five, and how many more there are."""
    shown = ", ".join(names[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"


def _dice(compared: Sequence[LungComparison]) -> float:
    sizes = sum(one.reference_pixels + one.pixels for one in compared)
    return 2 * sum(one.common_pixels for one in compared) / sizes if sizes else 1.0


def _severity_change(wanted: LungFigures, found: LungFigures) -> float:
    if wanted.of_lungs != found.of_lungs:
        return _ALL
    return max(
        abs(wanted.severity_percent - found.severity_percent),
        _largest(wanted.lungs, found.lungs),
        _largest(wanted.at, found.at),
    )


def _largest(wanted: NDArray[np.float32], found: NDArray[np.float32]) -> float:
    """Largest difference of two rows of percentages; a value that only one of them has counts as all."""
    change = np.abs(wanted - found)
    change[np.isnan(wanted) != np.isnan(found)] = _ALL
    return float(np.nan_to_num(change, nan=0.0).max())
