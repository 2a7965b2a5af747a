"""Is this engine still the same doctor? Compare it with its reference over pictures."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infmap_kit.errors import GateFailed
from infmap_kit.gate.bounds import THRESHOLDS, Thresholds
from infmap_kit.gate.classifier import (
    ClassifierComparison,
    classifier_reasons,
    classifier_summary,
    compare_classifiers,
)
from infmap_kit.gate.lungs import (
    LungComparison,
    compare_lungs,
    lung_reasons,
    lung_summary,
    some,
)
from infmap_kit.gate.runners import Prediction, Runner, by_the_paper
from infmap_kit.model.spec import DETECTION_THRESHOLD, IMAGE_SIZE
from infmap_kit.progress import Progress, no_progress

_MAP_LEVELS = 8
_COUNTED_PIXELS = 50
_HALF_A_PIXEL_PERCENT = 50 / IMAGE_SIZE**2


@dataclasses.dataclass(frozen=True, kw_only=True)
class PictureComparison:
    """How far an engine is from its reference on one picture.

    Parameters
    ----------
    name
        The picture's.
    dice
        Of the two masks at 0.5; 1 when both are empty.
    infected_pixels
        Of the reference's mask.
    detected, reference_detected
        The two decisions.
    margin, reference_margin
        Largest probability less 0.5: how clear the decision was.
    severity_percent, reference_severity_percent
        Infected share of the picture, or of the lungs where they are served.
    largest_error, error_p999
        Of the pixels' probabilities: the largest, and what 99.9 % stay within.
    crossing_share
        Pixels that are on the other side of 0.5, of all.
    map_error_share
        Pixels of the infection map that are not the colour that the paper's formula gives for the
        engine's own probability.
    consistent
        Whether decision and severity are what 0.5 gives for the engine's own probability.
    finite, reference_finite
        Whether all probabilities are numbers.
    constant
        Whether the engine gives one value everywhere and its reference does not.
    lungs
        Of the lungs, where they are served.
    classifier
        Of a classifier, where one is served.
    """

    name: str
    dice: float
    infected_pixels: int
    detected: bool
    reference_detected: bool
    margin: float
    reference_margin: float
    severity_percent: float
    reference_severity_percent: float
    largest_error: float
    error_p999: float
    crossing_share: float
    map_error_share: float
    consistent: bool
    finite: bool
    reference_finite: bool
    constant: bool
    lungs: LungComparison | None = None
    classifier: ClassifierComparison | None = None

    @property
    def flipped(self) -> bool:
        """Whether the two decide differently."""
        return self.detected != self.reference_detected

    @property
    def badness(self) -> tuple[bool, bool, float, float]:
        """Sorts by what to look at first: no numbers, a changed decision, a low Dice, a large error."""
        return (not self.finite, self.flipped, -self.dice, self.largest_error)

    @property
    def severity_change_percent(self) -> float:
        """In percentage points of the picture, or of the lungs where they are served."""
        return abs(self.severity_percent - self.reference_severity_percent)


@dataclasses.dataclass(frozen=True, kw_only=True)
class GateReport:
    """How far an engine is from its reference.

    Parameters
    ----------
    dice
        Pooled over all pictures, at 0.5; 1 when both find nothing anywhere.
    largest_error, error_p999
        Over all pixels of all pictures.
    crossing_share
        Pixels that are on the other side of 0.5, of all.
    pictures
        One by one.
    thresholds
        What was asked for.
    finding_threshold
        Probability from which the reference decides.
    """

    dice: float
    largest_error: float
    error_p999: float
    crossing_share: float
    pictures: tuple[PictureComparison, ...]
    thresholds: Thresholds
    finding_threshold: float = DETECTION_THRESHOLD

    @property
    def flips(self) -> tuple[PictureComparison, ...]:
        """Pictures whose detection differs."""
        return tuple(picture for picture in self.pictures if picture.flipped)

    @property
    def lungs(self) -> list[tuple[str, LungComparison]]:
        """By picture's name, where they are served."""
        return [(one.name, one.lungs) for one in self.pictures if one.lungs is not None]

    @property
    def classifier(self) -> list[tuple[str, ClassifierComparison]]:
        """By picture's name, where one is served."""
        return [(one.name, one.classifier) for one in self.pictures if one.classifier is not None]

    @property
    def severity_change_percent(self) -> float:
        """The largest of any picture, in percentage points."""
        return max((picture.severity_change_percent for picture in self.pictures), default=0.0)

    def reasons(self) -> list[str]:
        """Why this is not the same doctor; empty when it is."""
        allowed, found = self.thresholds, []
        broken = [one.name for one in self.pictures if not one.reference_finite]
        if broken:
            found.append(
                f"the reference itself gives NaN or infinity on {some(broken)}: the network is broken"
            )
        poisoned = [one.name for one in self.pictures if not one.finite]
        if poisoned:
            found.append(f"the engine gives NaN or infinite probabilities on {some(poisoned)}")
        stuck = [one.name for one in self.pictures if one.constant]
        if stuck:
            found.append(f"the engine gives one value everywhere on {some(stuck)}")
        if len(self.flips) > allowed.max_flips:
            margins = [f"{one.name} by {one.margin:+.3f}" for one in self.flips]
            found.append(
                f"the engine decides otherwise than its reference on {len(self.flips)} of "
                f"{len(self.pictures)} pictures: {some(margins)}"
            )
        if self.dice < allowed.min_dice:
            found.append(
                f"expected Dice of at least {allowed.min_dice} against the reference, found {self.dice:.5f} "
                f"over {len(self.pictures)} pictures"
            )
        judged = [one for one in self.pictures if one.infected_pixels >= _COUNTED_PIXELS]
        low = [f"{one.name} {one.dice:.3f}" for one in judged if one.dice < allowed.min_image_dice]
        if low:
            found.append(
                f"expected Dice of at least {allowed.min_image_dice} on each picture, found {some(low)}"
            )
        if self.lungs:
            found += lung_reasons(self.lungs, allowed.lungs)
        elif self.severity_change_percent > allowed.max_severity_change_percent:
            found.append(
                f"expected severities within {allowed.max_severity_change_percent} percentage points, found a "
                f"change of {self.severity_change_percent:.2f}"
            )
        if self.classifier:
            found += classifier_reasons(self.classifier, allowed.classifier)
        if self.error_p999 > allowed.max_error_p999:
            found.append(
                f"expected 99.9 % of the probabilities within {allowed.max_error_p999} of the reference's, "
                f"found {self.error_p999:.3f}"
            )
        moved = [one.name for one in self.pictures if not one.consistent]
        if moved:
            found.append(
                f"decision or severity is not what {self.finding_threshold:g} gives for the engine's "
                f"probability, so that its threshold was moved: {some(moved)}"
            )
        recoloured = [
            one.name for one in self.pictures if one.map_error_share > allowed.max_map_error_share
        ]
        if recoloured:
            found.append(
                f"the infection map is not what its own probability gives on {some(recoloured)}"
            )
        return found

    @property
    def passed(self) -> bool:
        """Whether this is the same doctor."""
        return not self.reasons()

    def require(self) -> None:
        """Refuse an engine that is not the same doctor.

        Raises
        ------
        GateFailed
            With every reason.
        """
        if reasons := self.reasons():
            raise GateFailed("; ".join(reasons))

    def summary(self) -> dict[str, Any]:
        """Figures without any picture's name: for a manifest, which travels."""
        return {
            "passed": self.passed,
            "pictures": len(self.pictures),
            "dice": self.dice,
            "min_image_dice": min((one.dice for one in self.pictures), default=1.0),
            "flips": len(self.flips),
            "severity_change_percent": self.severity_change_percent,
            "largest_error": self.largest_error,
            "error_p999": self.error_p999,
            "crossing_share": self.crossing_share,
            **({"lungs": lung_summary([one for _, one in self.lungs])} if self.lungs else {}),
            **(
                {"classifier": classifier_summary([one for _, one in self.classifier])}
                if self.classifier
                else {}
            ),
            "thresholds": dataclasses.asdict(self.thresholds),
        }

    def as_json(self) -> dict[str, Any]:
        """Everything, picture by picture."""
        return {
            **self.summary(),
            "reasons": self.reasons(),
            "flips": [one.name for one in self.flips],
            "by_picture": [dataclasses.asdict(one) for one in self.pictures],
        }


Pair = tuple[NDArray[np.uint8], Prediction, Prediction]
"""A picture, what the reference says of it, and what the engine says."""


def compare(
    reference: Runner,
    judged: Runner,
    pictures: Sequence[tuple[str, NDArray[np.uint8]]],
    *,
    thresholds: Thresholds = THRESHOLDS,
    progress: Progress = no_progress,
    on_pair: Callable[[PictureComparison, Pair], None] = lambda *_: None,
) -> GateReport:
    """Let both judge named pictures.

    Parameters
    ----------
    reference, judged
        The trained network, and what is to be served instead.
    pictures
        Name and (224, 224) uint8 network input of each.
    thresholds
        What is asked for.
    progress
        Told each picture.
    on_pair
        Given each comparison with what was compared.
    """
    comparisons: list[PictureComparison] = []
    errors: list[NDArray[np.float16]] = []
    both = either = crossing = 0
    threshold = DETECTION_THRESHOLD
    for index, (name, picture) in enumerate(pictures):
        wanted, found = reference.predict(name, picture), judged.predict(name, picture)
        threshold = wanted.finding.threshold
        masks = [one.probability >= threshold for one in (wanted, found)]
        both += int((masks[0] & masks[1]).sum())
        either += int(masks[0].sum() + masks[1].sum())
        crossing += int((masks[0] != masks[1]).sum())
        # Sixteen bits are plenty for a quantile, and a thousand pictures are a hundred megabytes.
        errors.append(_error(wanted, found).astype(np.float16).ravel())
        comparison = _compare_one(name, picture, wanted, found)
        comparisons.append(comparison)
        on_pair(comparison, (picture, wanted, found))
        progress("comparing with the reference", index + 1, len(pictures))
    pooled = np.concatenate(errors) if errors else np.zeros(1, np.float16)
    return GateReport(
        dice=2 * both / either if either else 1.0,
        largest_error=max((one.largest_error for one in comparisons), default=0.0),
        error_p999=float(np.quantile(pooled, 0.999)),
        crossing_share=crossing / pooled.size,
        pictures=tuple(comparisons),
        thresholds=thresholds,
        finding_threshold=threshold,
    )


def _compare_one(
    name: str, picture: NDArray[np.uint8], wanted: Prediction, found: Prediction
) -> PictureComparison:
    threshold = wanted.finding.threshold
    masks = [one.probability >= threshold for one in (wanted, found)]
    sizes = int(masks[0].sum() + masks[1].sum())
    error = _error(wanted, found)
    own = by_the_paper(found.probability, picture, found.lungs, finding=wanted.finding)
    off = np.abs(own.infection_map.astype(np.int16) - found.infection_map).max(axis=-1)
    severity_error = abs(own.severity_percent - found.severity_percent)
    return PictureComparison(
        name=name,
        dice=2 * int((masks[0] & masks[1]).sum()) / sizes if sizes else 1.0,
        infected_pixels=int(masks[0].sum()),
        detected=found.detected,
        reference_detected=wanted.detected,
        margin=float(found.probability.max()) - threshold,
        reference_margin=float(wanted.probability.max()) - threshold,
        severity_percent=found.severity_percent,
        reference_severity_percent=wanted.severity_percent,
        largest_error=float(error.max()),
        error_p999=float(np.quantile(error, 0.999)),
        crossing_share=float((masks[0] != masks[1]).mean()),
        map_error_share=float((off > _MAP_LEVELS).mean()),
        consistent=own.detected == found.detected and severity_error < _HALF_A_PIXEL_PERCENT,
        finite=bool(np.isfinite(found.probability).all()),
        reference_finite=bool(np.isfinite(wanted.probability).all()),
        constant=bool(np.ptp(found.probability) == 0 and np.ptp(wanted.probability) > 0),
        lungs=compare_lungs(wanted, found),
        classifier=compare_classifiers(wanted, found),
    )


def _error(wanted: Prediction, found: Prediction) -> NDArray[np.float32]:
    """Absolute error of each pixel; where either is no number it is as large as it can be."""
    error = np.abs(wanted.probability - found.probability)
    return np.where(np.isfinite(error), error, np.float32(1)).astype(np.float32)
