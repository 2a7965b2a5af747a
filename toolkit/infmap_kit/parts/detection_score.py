"""A score of detection beside the paper's rule, by a small graph that comes with the infection's run."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from infmap_kit.errors import ExportError, SpecError
from infmap_kit.model.finding import FindingSpec
from infmap_kit.model.identity import ModelIdentity
from infmap_kit.model.run_folder import DETECTION_SCORE_GRAPH as GRAPH_FILE
from infmap_kit.model.spec import Anatomy, ModelSpec
from infmap_kit.model.tensors import DETECTION_SCORE, DETECTION_SCORE_GRAPH
from infmap_kit.parts.check import Check
from infmap_kit.parts.part import Part

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from infmap_kit.answer.answer import Answer
    from infmap_kit.answer.detection_score import DetectionScoreAnswer
    from infmap_kit.answer.part import PartAnswer
    from infmap_kit.parts.part import Outputs
    from infmap_kit.parts.recording import Recording

RULE, AT_95_SENSITIVITY, AT_95_SPECIFICITY = (
    *("score_rule", "score_at_95_sensitivity", "score_at_95_specificity"),
)
"""Parameters of a served model."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class DetectionScoreBounds:
    """The largest deviation of an engine's score from its reference's.

    Parameters
    ----------
    max_error
        Error of the score, a mean of probabilities; that of single pixels has a bound of its own.
    """

    max_error: float = 0.001


_BOUNDS = {
    "bf16": DetectionScoreBounds(max_error=0.01),
    "int8": DetectionScoreBounds(max_error=0.03),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class DetectionScoreComparison:
    """The deviation of an engine's score on one picture from its reference's; infinite if one has none."""

    error: float


class DetectionScore(Part):
    """A score of the infection's probabilities."""

    def __init__(self) -> None:
        super().__init__(
            name="detection_score",
            graph=DETECTION_SCORE_GRAPH,
            graph_file=GRAPH_FILE,
            noun="a detection score",
            trained_with="infmap-train detection-score",
            settings=dict.fromkeys((RULE, AT_95_SENSITIVITY, AT_95_SPECIFICITY), ""),
            has_own_run=False,
        )

    def require(self, spec: ModelSpec, run: Path) -> None:
        """See :meth:`Part.require`."""
        if spec.anatomy is not Anatomy.INFECTION:
            raise ExportError(
                f"{run} is a network of the {spec.anatomy}, and a score of detection is "
                "of the infection's: name a run of that"
            )

    def identity(self, settings: Mapping[str, str]) -> dict[str, str]:
        """See :meth:`Part.identity`."""
        for name in (AT_95_SENSITIVITY, AT_95_SPECIFICITY):
            _number(settings, name)
        return dict(settings)

    def read(self, outputs: Outputs, model: ModelIdentity) -> DetectionScoreAnswer | None:
        """See :meth:`Part.read`."""
        from infmap_kit.answer.detection_score import DetectionScoreAnswer

        if DETECTION_SCORE.name not in outputs:
            return None
        return DetectionScoreAnswer(
            value=float(outputs[DETECTION_SCORE.name]),
            rule=model.get(RULE, ""),
            at_95_sensitivity=_number(model, AT_95_SENSITIVITY),
            at_95_specificity=_number(model, AT_95_SPECIFICITY),
        )

    def reference(
        self, raw: Outputs, probability: NDArray[np.float32], finding: FindingSpec
    ) -> DetectionScoreAnswer:
        """See :meth:`Part.reference`."""
        from infmap_kit.answer.detection_score import DetectionScoreAnswer

        return DetectionScoreAnswer(value=float(raw[DETECTION_SCORE.name]))

    def bounds(self, precision: str) -> DetectionScoreBounds:
        """See :meth:`Part.bounds`."""
        return _BOUNDS.get(precision, DetectionScoreBounds())

    def compare(self, reference: Answer, actual: Answer) -> DetectionScoreComparison | None:
        """See :meth:`Part.compare`."""
        expected, found = reference.detection_score, actual.detection_score
        if expected is None and found is None:
            return None
        if expected is None or found is None or not math.isfinite(found - expected):
            return DetectionScoreComparison(error=math.inf)
        return DetectionScoreComparison(error=abs(found - expected))

    def checks(
        self, compared: Sequence[tuple[str, DetectionScoreComparison]], bounds: DetectionScoreBounds
    ) -> list[Check]:
        """See :meth:`Part.checks`."""
        error, name = max((comparison.error, name) for name, comparison in compared)
        return [
            Check(
                key="largest_error",
                value=error,
                label="detection score: largest error",
                text=f"{error:.2e}",
                at_most=bounds.max_error,
                reason=f"expected detection scores within {bounds.max_error} of the reference's, found "
                f"{error:.4f} on {name}",
            )
        ]

    def pack(self, answer: PartAnswer) -> dict[str, bytes]:
        """See :meth:`Part.pack`."""
        from infmap_kit.answer.detection_score import DetectionScoreAnswer

        if not isinstance(answer, DetectionScoreAnswer):
            return {}
        return {"json": json.dumps(answer.value).encode()}

    def unpack(
        self, recording: Recording, probability: NDArray[np.float32], finding: FindingSpec
    ) -> DetectionScoreAnswer:
        """See :meth:`Part.unpack`."""
        from infmap_kit.answer.detection_score import DetectionScoreAnswer

        return DetectionScoreAnswer(value=recording.number(self.name))


def _number(settings: Mapping[str, str], name: str) -> float | None:
    if name not in settings:
        return None
    try:
        value = float(settings[name])
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise SpecError(f"expected {name} to be a number of 0 to 1, found {settings[name]!r:.40}")
    return value
