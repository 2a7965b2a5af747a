"""The comparison of an engine with its reference: both are asked about the same pictures."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infmap_kit.answer.answer import Answer
from infmap_kit.errors import GateFailed
from infmap_kit.gate.bounds import Thresholds, thresholds_for
from infmap_kit.gate.measures import is_summarised, map_error_share, probability_error
from infmap_kit.gate.runners import Runner, by_the_paper, require_probabilities
from infmap_kit.graphs.precision.int8_record import Int8Record
from infmap_kit.model.spec import DETECTION_THRESHOLD
from infmap_kit.parts.check import (
    Check,
    dice_checks,
    dice_of,
    reasons_of,
    refusal,
    some,
    summary_of,
)
from infmap_kit.parts.registry import optional_parts
from infmap_kit.progress import Progress, no_progress


@dataclasses.dataclass(frozen=True, kw_only=True)
class PictureComparison:
    """The deviation of an engine from its reference on one picture.

    Parameters
    ----------
    name
        The picture's name.
    dice
        Dice of the two masks at 0.5; 1 when both are empty.
    infected_pixels
        Size of the reference's mask.
    detected, reference_detected
        The two decisions.
    margin, reference_margin
        Largest probability less 0.5: how clear the decision was.
    severity_percent, reference_severity_percent
        Infected share of the picture, or of the lungs where they are served.
    largest_error, error_p999
        Largest error of a pixel's probability, and the bound that 99.9 % stay within.
    crossing_share
        Share of the pixels that are on the other side of 0.5.
    map_error_share
        Share of the infection map's pixels that are not the colour that the formula of its paint gives for the
        engine's own probability.
    consistent
        Whether decision and severity are what 0.5 gives for the engine's own probability.
    summarised
        Whether the probabilities in bytes, and the figures beside them, are those of the engine's own
        probability; true where they are not served.
    finite, reference_finite
        Whether all probabilities are numbers.
    constant
        Whether the engine gives one value everywhere and its reference does not.
    parts
        Comparisons of the other parts that are served, by their names.
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
    summarised: bool
    parts: Mapping[str, Any]

    @property
    def flipped(self) -> bool:
        """Whether the two decide differently."""
        return self.detected != self.reference_detected

    @property
    def badness(self) -> tuple[bool, bool, float, float]:
        """Sort key for what to look at first: no numbers, a changed decision, a low Dice, a large error."""
        return (not self.finite, self.flipped, -self.dice, self.largest_error)

    @property
    def severity_change_percent(self) -> float:
        """The change in percentage points of the picture, or of the lungs where they are served."""
        return abs(self.severity_percent - self.reference_severity_percent)


@dataclasses.dataclass(frozen=True, kw_only=True)
class GateReport:
    """The deviation of an engine from its reference over all pictures.

    Parameters
    ----------
    dice, largest_error, error_p999, crossing_share
        As in :class:`PictureComparison`, over all pixels of all pictures.
    pictures
        The comparisons of the single pictures.
    thresholds
        The bounds.
    finding_threshold
        Probability from which the reference decides.
    int8
        Convolutions that each INT8 network keeps in a higher precision, by graph; empty without INT8.
    """

    dice: float
    largest_error: float
    error_p999: float
    crossing_share: float
    pictures: tuple[PictureComparison, ...]
    thresholds: Thresholds
    finding_threshold: float = DETECTION_THRESHOLD
    int8: Mapping[str, Int8Record] = dataclasses.field(default_factory=dict)

    @property
    def flips(self) -> tuple[PictureComparison, ...]:
        """Pictures whose detection differs."""
        return tuple(picture for picture in self.pictures if picture.flipped)

    def part(self, name: str) -> list[tuple[str, Any]]:
        """Comparisons of one part by picture's name; empty where it is not served."""
        return [(shot.name, shot.parts[name]) for shot in self.pictures if name in shot.parts]

    @property
    def severity_change_percent(self) -> float:
        """The largest change of severity of any picture, in percentage points."""
        return max((picture.severity_change_percent for picture in self.pictures), default=0.0)

    def checks(self) -> list[Check]:
        """Everything that the infection's network is held to."""
        allowed, pictures = self.thresholds, self.pictures
        broken = [picture.name for picture in pictures if not picture.reference_finite]
        poisoned = [picture.name for picture in pictures if not picture.finite]
        stuck = [picture.name for picture in pictures if picture.constant]
        moved = [picture.name for picture in pictures if not picture.consistent]
        coarse = [picture.name for picture in pictures if not picture.summarised]
        max_share = allowed.max_map_error_share
        recoloured = [picture.name for picture in pictures if picture.map_error_share > max_share]
        margins = [f"{picture.name} by {picture.margin:+.3f}" for picture in self.flips]
        # Where lungs are served, severity is of them, and their own checks bound it.
        max_change = None if self.part("lungs") else allowed.max_severity_change_percent
        return [
            refusal(
                broken, "the reference itself gives NaN or infinity on {}: the network is broken"
            ),
            refusal(poisoned, "the engine gives NaN or infinite probabilities on {}"),
            refusal(stuck, "the engine gives one value everywhere on {}"),
            *dice_checks(
                self.dice,
                [(picture.name, picture.dice, picture.infected_pixels) for picture in pictures],
                min_dice=allowed.min_dice,
                min_image_dice=allowed.min_image_dice,
            ),
            Check(
                key="flips",
                value=len(self.flips),
                label="detections changed",
                text=str(len(self.flips)),
                at_most=allowed.max_flips,
                reason=f"the engine decides otherwise than its reference on {len(self.flips)} of "
                f"{len(pictures)} pictures: {some(margins)}",
            ),
            Check(
                key="severity_change_percent",
                value=self.severity_change_percent,
                label="largest change of severity, percentage points",
                text=f"{self.severity_change_percent:.4f}",
                at_most=max_change,
                reason=f"expected severities within {max_change} percentage points, found a change of "
                f"{self.severity_change_percent:.2f}"
                if max_change is not None
                else "",
            ),
            Check(
                key="largest_error",
                value=self.largest_error,
                label="largest error of a probability",
                text=f"{self.largest_error:.2e}",
            ),
            Check(
                key="error_p999",
                value=self.error_p999,
                label="99.9 % of the errors are within",
                text=f"{self.error_p999:.2e}",
                at_most=allowed.max_error_p999,
                reason=f"expected 99.9 % of the probabilities within {allowed.max_error_p999} of the "
                f"reference's, found {self.error_p999:.3f}",
            ),
            Check(
                key="crossing_share",
                value=self.crossing_share,
                label=f"pixels on the other side of {self.finding_threshold:g}",
                text=f"{self.crossing_share:.2e}",
            ),
            refusal(
                moved,
                f"decision or severity is not what {self.finding_threshold:g} gives for the engine's "
                "probability, so that its threshold was moved: {}",
            ),
            refusal(
                coarse,
                "the probability in bytes, or a figure beside it, is not the engine's own on {}",
            ),
            refusal(recoloured, "the infection map is not what its own probability gives on {}"),
        ]

    def part_checks(self) -> dict[str, list[Check]]:
        """Everything that each further part that is served is held to, by the part's name."""
        compared = {part: self.part(part.name) for part in optional_parts()}
        return {
            part.name: part.checks(comparisons, self.thresholds.parts[part.name])
            for part, comparisons in compared.items()
            if comparisons
        }

    def all_checks(self) -> list[Check]:
        """The checks of the infection's network and of every further part."""
        return [*self.checks(), *itertools.chain.from_iterable(self.part_checks().values())]

    def reasons(self) -> list[str]:
        """The reasons why the engine is not equivalent; empty when it is."""
        return reasons_of(self.all_checks())

    @property
    def passed(self) -> bool:
        """Whether the engine is equivalent to its reference."""
        return not self.reasons()

    def require(self) -> None:
        """Refuse an engine that is not equivalent.

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
            **summary_of(self.checks()),
            **{name: summary_of(checks) for name, checks in self.part_checks().items()},
            "thresholds": self.thresholds.as_json(),
        }

    def as_json(self) -> dict[str, Any]:
        """Everything, picture by picture."""
        return {
            **self.summary(),
            "reasons": self.reasons(),
            "flips": [picture.name for picture in self.flips],
            "int8": {
                name: {**record.as_json(), "not_int8": len(record.not_int8)}
                for name, record in self.int8.items()
            },
            "by_picture": [_picture_json(picture) for picture in self.pictures],
        }


def _picture_json(picture: PictureComparison) -> dict[str, Any]:
    document = dataclasses.asdict(picture)
    parts = document.pop("parts")
    return document | {part.name: parts.get(part.name) for part in optional_parts()}


Pair = tuple[NDArray[np.uint8], Answer, Answer]
"""A picture, the reference's answer and the engine's."""


def compare(
    reference: Runner,
    candidate: Runner,
    pictures: Sequence[tuple[str, NDArray[np.uint8]]],
    *,
    thresholds: Thresholds | None = None,
    progress: Progress = no_progress,
    on_pair: Callable[[PictureComparison, Pair], None] = lambda *_: None,
) -> GateReport:
    """Ask two runners about named pictures, and compare their answers.

    Parameters
    ----------
    reference, candidate
        The trained network, and what is to be served instead.
    pictures
        Name and (H, H) uint8 network input of each.
    thresholds
        The bounds; those of FP32 when they are not given.
    progress
        Called for each picture.
    on_pair
        Called with each comparison and what was compared.

    Raises
    ------
    ExportError
        When what the reference answers are no probabilities.
    """
    comparisons: list[PictureComparison] = []
    errors: list[NDArray[np.float16]] = []
    both = either = crossing = 0
    threshold = DETECTION_THRESHOLD
    for index, (name, picture) in enumerate(pictures):
        expected = reference.predict(name, picture)
        require_probabilities(expected.probability)
        # An engine's answer says nothing of its finding; both are held to the reference's.
        actual = dataclasses.replace(candidate.predict(name, picture), finding=expected.finding)
        threshold = expected.finding.threshold
        masks = [answer.probability >= threshold for answer in (expected, actual)]
        both += int((masks[0] & masks[1]).sum())
        either += int(masks[0].sum() + masks[1].sum())
        crossing += int((masks[0] != masks[1]).sum())
        error = probability_error(expected, actual)
        # Sixteen bits are plenty for a quantile, and a thousand pictures are a hundred megabytes.
        errors.append(error.astype(np.float16).ravel())
        comparison = _compare_picture(name, picture, expected, actual, error)
        comparisons.append(comparison)
        on_pair(comparison, (picture, expected, actual))
        progress("comparing with the reference", index + 1, len(pictures))
    pooled = np.concatenate(errors) if errors else np.zeros(1, np.float16)
    return GateReport(
        dice=dice_of(both, either),
        largest_error=max((comparison.largest_error for comparison in comparisons), default=0.0),
        error_p999=float(np.quantile(pooled, 0.999)),
        crossing_share=crossing / pooled.size,
        pictures=tuple(comparisons),
        thresholds=thresholds if thresholds is not None else thresholds_for("fp32"),
        finding_threshold=threshold,
    )


def _compare_picture(
    name: str,
    picture: NDArray[np.uint8],
    expected: Answer,
    actual: Answer,
    error: NDArray[np.float32],
) -> PictureComparison:
    finding = expected.finding
    mask, actual_mask = (answer.probability >= finding.threshold for answer in (expected, actual))
    recomputed = {
        part.name: answer
        for part in optional_parts()
        if (answer := part.recomputed(actual)) is not None
    }
    own = by_the_paper(actual.probability, picture, recomputed, finding=finding, paint=actual.paint)
    compared = {part.name: part.compare(expected, actual) for part in optional_parts()}
    severity_error = abs(own.severity_percent - actual.severity_percent)
    return PictureComparison(
        name=name,
        dice=dice_of(int((mask & actual_mask).sum()), int(mask.sum() + actual_mask.sum())),
        infected_pixels=int(mask.sum()),
        detected=actual.detected,
        reference_detected=expected.detected,
        margin=actual.probability_max - finding.threshold,
        reference_margin=expected.probability_max - finding.threshold,
        severity_percent=actual.severity_percent,
        reference_severity_percent=expected.severity_percent,
        largest_error=float(error.max()),
        error_p999=float(np.quantile(error, 0.999)),
        crossing_share=float((mask != actual_mask).mean()),
        map_error_share=map_error_share(own, actual),
        consistent=own.detected == actual.detected
        and severity_error < 50 / picture.size,  # half a pixel
        finite=bool(np.isfinite(actual.probability).all()),
        reference_finite=bool(np.isfinite(expected.probability).all()),
        constant=bool(np.ptp(actual.probability) == 0 and np.ptp(expected.probability) > 0),
        summarised=is_summarised(actual),
        parts={name: found for name, found in compared.items() if found is not None},
    )
