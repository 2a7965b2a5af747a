"""A model's answer about one radiograph: one type for the gate, for results and for every caller."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infmap_kit.answer.classifier import ClassifierAnswer
from infmap_kit.answer.detection_score import DetectionScoreAnswer
from infmap_kit.answer.familiarity import FamiliarityAnswer
from infmap_kit.answer.part import PartAnswer
from infmap_kit.answer.severity import THRESHOLDS, Grade, Lung, LungAnswer, severity_at
from infmap_kit.answer.summary import Summary
from infmap_kit.imaging.radiograph import InputWarning, WarningCode
from infmap_kit.model.finding import COVID_19, FindingSpec
from infmap_kit.model.identity import ModelIdentity
from infmap_kit.model.paint import PAPER, Paint

OUTSIDE_LUNGS = InputWarning(
    WarningCode.OUTSIDE_LUNGS,
    "most of what reached the threshold lies outside the segmented lungs, so that the severity tells little: "
    "look at the radiograph and the contour",
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Answer:
    """A model's answer about one radiograph.

    Parameters
    ----------
    detected
        Whether the finding is there, by the paper's rule: any pixel's probability reaches the threshold.
    severity_percent
        Infected pixels, in percent of ``severity_of``.
    probability
        (224, 224) float32 in [0, 1]; in steps of 1/255 where the answer was asked for without all digits.
    infection_map
        (H, W, 3) uint8 RGB; ``None`` when it was not asked for.
    parts
        Answers of the other parts of the model, by their names.
    model
        Name, version, network, hash and precision of the model that answered.
    timings_ms
        Milliseconds by stage.
    activation_map
        (H, W, 3) uint8 RGB, painted on the radiograph: where a classifier looked; ``None`` when it was not
        asked for.
    finding
        The finding that the model looks for, whose threshold decides.
    paint
        Way in which ``infection_map`` is painted.
    mirror_agreement
        Dice of the mask with that of the mirror image, mirrored back, 1 where both are empty; ``None`` when it
        was not asked for.
    summary
        What was computed of all digits, where a model was asked for its summary; ``None`` else.
    """

    detected: bool
    severity_percent: float
    probability: NDArray[np.float32]
    infection_map: NDArray[np.uint8] | None = None
    parts: Mapping[str, PartAnswer] = dataclasses.field(default_factory=dict)
    model: ModelIdentity = dataclasses.field(default_factory=ModelIdentity)
    timings_ms: Mapping[str, float] = dataclasses.field(default_factory=dict)
    activation_map: NDArray[np.uint8] | None = None
    finding: FindingSpec = COVID_19
    paint: Paint = PAPER
    mirror_agreement: float | None = None
    summary: Summary | None = None

    @property
    def probability_max(self) -> float:
        """Largest probability of any pixel; NaN where any is NaN."""
        return (
            float(self.probability.max()) if self.summary is None else self.summary.probability_max
        )

    @property
    def is_finite(self) -> bool:
        """Whether every value is a number."""
        return bool(np.isfinite(self.probability).all()) and all(
            part.is_finite for part in self.parts.values()
        )

    @property
    def severity_of(self) -> str:
        """``"lungs"`` where lungs are served and found, else ``"image"``."""
        lungs = lungs_of(self)
        return "lungs" if lungs is not None and lungs.of_lungs else "image"

    @property
    def severity_at(self) -> dict[str, float]:
        """``severity_percent`` by the threshold that a pixel must reach, ``"0.3"`` to ``"0.7"``."""
        lungs = lungs_of(self)
        if lungs is not None:
            at = lungs.at
        elif self.summary is not None:
            at = self.summary.severity_at
        else:
            at = severity_at(self.probability)
        pairs = zip(THRESHOLDS, at, strict=True)
        return {f"{threshold:g}": float(value) for threshold, value in pairs}

    @property
    def lungs(self) -> NDArray[np.uint8] | None:
        """(224, 224) uint8, 0 or 1, where lungs are served."""
        lungs = lungs_of(self)
        return None if lungs is None else lungs.mask.astype(np.uint8)

    @property
    def by_lung(self) -> dict[str, Lung] | None:
        """Severity of the ``right`` and the ``left`` lung and their zones, where lungs are served."""
        lungs = lungs_of(self)
        return None if lungs is None else lungs.by_lung

    @property
    def grade(self) -> Grade | None:
        """Grade of the severity of the lungs; ``None`` where none are served or found."""
        lungs = lungs_of(self)
        return None if lungs is None else lungs.grade

    @property
    def classifier_probability(self) -> float | None:
        """Probability by a classifier that is served beside; ``None`` where there is none."""
        classifier = classifier_of(self)
        return None if classifier is None else classifier.probability

    @property
    def classifier_detected(self) -> bool | None:
        """The classifier's decision; ``None`` where there is none."""
        classifier = classifier_of(self)
        return None if classifier is None else classifier.detected

    @property
    def classifier_agrees(self) -> bool | None:
        """Whether mask and classifier decide alike; ``None`` where no classifier is served."""
        detected = self.classifier_detected
        return None if detected is None else detected == self.detected

    @property
    def familiarity(self) -> float | None:
        """The familiarity of the picture, below 0 unlike what the network learnt from; ``None``: not served."""
        familiarity = self.parts.get("familiarity")
        return familiarity.value if isinstance(familiarity, FamiliarityAnswer) else None

    @property
    def detection_score(self) -> float | None:
        """A score beside the paper's rule; ``None`` where none is served."""
        score = self.parts.get("detection_score")
        return score.value if isinstance(score, DetectionScoreAnswer) else None

    @property
    def warnings(self) -> tuple[InputWarning, ...]:
        """Doubts about the answer, its own and its parts', that its reader should know."""
        of_parts = tuple(warning for part in self.parts.values() for warning in part.warnings)
        lungs = lungs_of(self)
        if lungs is None or not lungs.of_lungs or not self.detected:
            return of_parts
        infected = self.probability >= np.float32(self.finding.threshold)
        outside = 2 * (infected & ~lungs.mask).sum() > infected.sum()
        return (*of_parts, OUTSIDE_LUNGS) if outside else of_parts

    def after(self, **timings_ms: float) -> Answer:
        """The same answer with the milliseconds of further stages."""
        return dataclasses.replace(self, timings_ms={**self.timings_ms, **timings_ms})

    def as_json(self) -> dict[str, Any]:
        """The answer without its pictures, for a JSON file."""
        document: dict[str, Any] = {
            "detected": self.detected,
            "probability_max": round(self.probability_max, 8),
            "severity_percent": round(self.severity_percent, 4),
            "severity_of": self.severity_of,
            "grade": None,
            "severity_at_threshold": {
                threshold: round(value, 4) for threshold, value in self.severity_at.items()
            },
            "lungs": None,
        }
        for part in self.parts.values():
            document |= part.as_json(detected=self.detected)
        if self.mirror_agreement is not None:
            document["mirror_agreement"] = round(self.mirror_agreement, 4)
        return {
            **document,
            "model": dict(self.model),
            "timings_ms": {stage: round(value, 3) for stage, value in self.timings_ms.items()},
            "notice": self.finding.notice,
        }

    def _repr_html_(self) -> str:
        """The map beside the figures, for a notebook."""
        # Templates and tables, which a server's runner needs none of.
        from infmap_kit.answer.notebook import answer_html

        return answer_html(self)


def lungs_of(answer: Answer) -> LungAnswer | None:
    """The answer about the lungs; ``None`` where none are served."""
    lungs = answer.parts.get("lungs")
    return lungs if isinstance(lungs, LungAnswer) else None


def classifier_of(answer: Answer) -> ClassifierAnswer | None:
    """The classifier's answer; ``None`` where none is served."""
    classifier = answer.parts.get("classifier")
    return classifier if isinstance(classifier, ClassifierAnswer) else None
