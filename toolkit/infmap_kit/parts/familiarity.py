"""Familiarity: whether a picture is like those that the infection's network learnt from, by its features.

It is a small graph behind the network and no other network: it comes with the network's own run folder, where
`infmap-train familiarity` put it.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from infmap_kit.errors import ExportError
from infmap_kit.model.finding import FindingSpec
from infmap_kit.model.identity import ModelIdentity
from infmap_kit.model.run_folder import FAMILIARITY_GRAPH as GRAPH_FILE
from infmap_kit.model.spec import Anatomy, ModelSpec
from infmap_kit.model.tensors import FAMILIARITY, FAMILIARITY_GRAPH
from infmap_kit.parts.check import Check, some
from infmap_kit.parts.part import Part

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from infmap_kit.answer.answer import Answer
    from infmap_kit.answer.familiarity import FamiliarityAnswer
    from infmap_kit.answer.part import PartAnswer
    from infmap_kit.parts.part import Outputs
    from infmap_kit.parts.recording import Recording


@dataclasses.dataclass(frozen=True, kw_only=True)
class FamiliarityBounds:
    """The largest deviation of an engine's familiarity from its reference's.

    Parameters
    ----------
    max_error
        Error relative to the distance from the centre, which is 1 at the threshold: far outside only the order
        of the distance matters. A picture that is nearer to the threshold than this may change sides; no other.
    """

    max_error: float = 0.01


_BOUNDS = {"bf16": FamiliarityBounds(max_error=0.1), "int8": FamiliarityBounds(max_error=0.2)}
# The features of rounded networks are rounded; the graph behind them computes in FP32 everywhere.


@dataclasses.dataclass(frozen=True, kw_only=True)
class FamiliarityComparison:
    """The deviation of an engine's familiarity from its reference's on one picture.

    Parameters
    ----------
    reference, actual
        The two values; NaN where one is not there.
    """

    reference: float
    actual: float

    @property
    def error(self) -> float:
        """The error relative to the reference's distance, or to the threshold's within it."""
        error = abs(self.actual - self.reference) / max(1.0, 1.0 - self.reference)
        return error if math.isfinite(error) else math.inf

    @property
    def flipped(self) -> bool:
        """Whether one of the two warns and the other does not."""
        return (self.reference >= 0) != (self.actual >= 0)


class Familiarity(Part):
    """The likeness of a picture to those that the infection's network learnt from."""

    def __init__(self) -> None:
        super().__init__(
            name="familiarity",
            graph=FAMILIARITY_GRAPH,
            graph_file=GRAPH_FILE,
            noun="a familiarity",
            trained_with="infmap-train familiarity",
            has_own_run=False,
        )

    def require(self, spec: ModelSpec, run: Path) -> None:
        """See :meth:`Part.require`."""
        if spec.anatomy is not Anatomy.INFECTION:
            raise ExportError(
                f"{run} is a network of the {spec.anatomy}, and familiarity is of the infection's: name a run "
                "of that"
            )

    def read(self, outputs: Outputs, model: ModelIdentity) -> FamiliarityAnswer | None:
        """See :meth:`Part.read`."""
        return _answer(float(outputs[FAMILIARITY.name])) if FAMILIARITY.name in outputs else None

    def reference(
        self, raw: Outputs, probability: NDArray[np.float32], finding: FindingSpec
    ) -> FamiliarityAnswer:
        """See :meth:`Part.reference`."""
        return _answer(float(raw[FAMILIARITY.name]))

    def bounds(self, precision: str) -> FamiliarityBounds:
        """See :meth:`Part.bounds`."""
        return _BOUNDS.get(precision, FamiliarityBounds())

    def compare(self, reference: Answer, actual: Answer) -> FamiliarityComparison | None:
        """See :meth:`Part.compare`."""
        expected, found = reference.familiarity, actual.familiarity
        if expected is None and found is None:
            return None
        return FamiliarityComparison(
            reference=math.nan if expected is None else expected,
            actual=math.nan if found is None else found,
        )

    def checks(
        self, compared: Sequence[tuple[str, FamiliarityComparison]], bounds: FamiliarityBounds
    ) -> list[Check]:
        """See :meth:`Part.checks`."""
        error, name = max((comparison.error, name) for name, comparison in compared)
        flips = [
            f"{name} at {comparison.reference:+.3f}"
            for name, comparison in compared
            if comparison.flipped and not abs(comparison.reference) < bounds.max_error
        ]
        return [
            Check(
                key="largest_error",
                value=error,
                label="familiarity: largest error, relative to the distance",
                text=f"{error:.2e}",
                at_most=bounds.max_error,
                reason=f"expected familiarities within {bounds.max_error} of the reference's, relative to the "
                f"distance, found {error:.3f} on {name}",
            ),
            Check(
                key="flips",
                value=len(flips),
                label=f"familiarity: warnings changed, nearer than {bounds.max_error} to 0 left out",
                text=str(len(flips)),
                at_most=0,
                reason=f"the engine warns of other pictures than its reference: {some(flips)}",
            ),
        ]

    def pack(self, answer: PartAnswer) -> dict[str, bytes]:
        """See :meth:`Part.pack`."""
        from infmap_kit.answer.familiarity import FamiliarityAnswer

        if not isinstance(answer, FamiliarityAnswer):
            return {}
        return {"json": json.dumps(answer.value).encode()}

    def unpack(
        self, recording: Recording, probability: NDArray[np.float32], finding: FindingSpec
    ) -> FamiliarityAnswer:
        """See :meth:`Part.unpack`."""
        return _answer(recording.number(self.name, least=-math.inf))


def _answer(value: float) -> FamiliarityAnswer:
    from infmap_kit.answer.familiarity import FamiliarityAnswer

    return FamiliarityAnswer(value=value)
