"""A classifier beside the infection's network: its own detection, and a map of where it looked."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from infmap_kit.errors import ExportError
from infmap_kit.model.finding import FindingSpec
from infmap_kit.model.identity import ModelIdentity
from infmap_kit.model.run_folder import CLASSIFIER_GRAPH
from infmap_kit.model.spec import ClassifierSpec, ModelSpec
from infmap_kit.model.tensors import ACTIVATION_MAP, CLASSIFIER, CLASSIFIER_PROBABILITY, Tensor
from infmap_kit.parts.check import Check
from infmap_kit.parts.part import Part

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from infmap_kit.answer.answer import Answer
    from infmap_kit.answer.classifier import ClassifierAnswer
    from infmap_kit.answer.part import PartAnswer
    from infmap_kit.parts.part import Outputs
    from infmap_kit.parts.recording import Recording


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClassifierBounds:
    """The largest deviations of a classifier from its reference. It computes in FP32 on every target.

    Parameters
    ----------
    max_error
        Error of the probability. The decision at 0.5 may not change at all.
    max_activation_error
        Error that 99.9 % of a map's pixels stay within, relative to the map's peak.
    """

    max_error: float = 0.01
    max_activation_error: float = 0.02


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClassifierComparison:
    """The deviation of a classifier from its reference on one picture.

    Parameters
    ----------
    detected, reference_detected
        Whether the probability reaches the finding's threshold.
    error, activation_error
        As the bounds have them; 1 where one of the two is no number or not there.
    """

    detected: bool
    reference_detected: bool
    error: float
    activation_error: float

    @property
    def flipped(self) -> bool:
        """Whether the two decide differently."""
        return self.detected != self.reference_detected


class Classifier(Part):
    """One of the paper's classifiers (III-C)."""

    def __init__(self) -> None:
        super().__init__(
            name="classifier",
            graph=CLASSIFIER,
            graph_file=CLASSIFIER_GRAPH,
            help="Run folder of a classifier (`infmap-train classify`), which is served beside the "
            "segmentation in fp32.",
            noun="a classifier",
            trained_with="infmap-train classify",
        )

    @property
    def asked_outputs(self) -> tuple[Tensor, ...]:
        """See :attr:`Part.asked_outputs`: the activation map is for explanations."""
        return (CLASSIFIER_PROBABILITY,)

    def require(self, spec: ModelSpec, run: Path) -> None:
        """See :meth:`Part.require`."""
        if not isinstance(spec.network, ClassifierSpec):
            raise ExportError(
                f"{run} holds {spec.name}, which segments, and --classifier takes a classifier: train one with "
                f"`{self.trained_with}`"
            )

    def read(self, outputs: Outputs, model: ModelIdentity) -> ClassifierAnswer | None:
        """See :meth:`Part.read`."""
        if CLASSIFIER_PROBABILITY.name not in outputs:
            return None
        return _answer(outputs, model.finding)

    def reference(
        self, raw: Outputs, probability: NDArray[np.float32], finding: FindingSpec
    ) -> ClassifierAnswer:
        """See :meth:`Part.reference`."""
        return _answer(raw, finding)

    def bounds(self, precision: str) -> ClassifierBounds:
        """See :meth:`Part.bounds`."""
        return ClassifierBounds()

    def compare(self, reference: Answer, actual: Answer) -> ClassifierComparison | None:
        """See :meth:`Part.compare`."""
        import numpy as np

        from infmap_kit.answer.answer import classifier_of

        expected, classifier = classifier_of(reference), classifier_of(actual)
        if expected is None:
            return None
        if classifier is None or classifier.activation is None or expected.activation is None:
            return ClassifierComparison(
                detected=False,
                reference_detected=expected.detected,
                error=1.0,
                activation_error=1.0,
            )
        return ClassifierComparison(
            # An engine's own answer carries no finding; both are held to the reference's threshold.
            detected=classifier.probability >= expected.threshold,
            reference_detected=expected.detected,
            error=_quantile(np.array([expected.probability - classifier.probability])),
            activation_error=_quantile(expected.activation - classifier.activation),
        )

    def checks(
        self, compared: Sequence[tuple[str, ClassifierComparison]], bounds: ClassifierBounds
    ) -> list[Check]:
        """See :meth:`Part.checks`."""
        flips = [name for name, comparison in compared if comparison.flipped]
        return [
            Check(
                key="flips",
                value=len(flips),
                label="classifier: detections that change",
                text=str(len(flips)),
                at_most=0,
                reason=f"the classifier decides otherwise on {flips[0]} and {len(flips) - 1} more pictures"
                if flips
                else "",
            ),
            _error_check(
                "largest_error",
                "probability",
                bounds.max_error,
                max((comparison.error, name) for name, comparison in compared),
            ),
            _error_check(
                "activation_error",
                "activation map",
                bounds.max_activation_error,
                max((comparison.activation_error, name) for name, comparison in compared),
            ),
        ]

    def pack(self, answer: PartAnswer) -> dict[str, bytes]:
        """See :meth:`Part.pack`."""
        from infmap_kit.answer.classifier import ClassifierAnswer
        from infmap_kit.parts.recording import packed_probability

        if not isinstance(answer, ClassifierAnswer) or answer.activation is None:
            return {}
        return {
            "png": packed_probability(answer.activation),
            "json": json.dumps(answer.probability).encode(),
        }

    def unpack(
        self, recording: Recording, probability: NDArray[np.float32], finding: FindingSpec
    ) -> ClassifierAnswer:
        """See :meth:`Part.unpack`."""
        from infmap_kit.answer.classifier import ClassifierAnswer

        return ClassifierAnswer(
            probability=recording.number(self.name),
            activation=recording.probability(self.name),
            threshold=finding.threshold,
        )


def _answer(outputs: Outputs, finding: FindingSpec) -> ClassifierAnswer:
    from infmap_kit.answer.classifier import ClassifierAnswer

    return ClassifierAnswer(
        probability=float(outputs[CLASSIFIER_PROBABILITY.name]),
        activation=outputs.get(ACTIVATION_MAP.name),
        threshold=finding.threshold,
    )


def _error_check(key: str, what: str, bound: float, largest: tuple[float, str]) -> Check:
    error, name = largest
    return Check(
        key=key,
        value=error,
        label=f"classifier: error of {what}",
        text=f"{error:.2e}",
        at_most=bound,
        reason=f"expected the classifier's {what} within {bound} of its reference's, found {error:.3f} on "
        f"{name}",
    )


def _quantile(difference: NDArray[np.floating]) -> float:
    """The error that 99.9 % of the differences stay within; what is no number counts as the largest, 1."""
    import numpy as np

    error = np.abs(difference)
    return float(np.quantile(np.where(np.isfinite(error), error, 1.0), 0.999))
