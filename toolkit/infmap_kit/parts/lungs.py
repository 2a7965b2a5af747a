"""The network of the lungs: severity is then of them, by lung and zone."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from infmap_kit.errors import ExportError
from infmap_kit.model.finding import FindingSpec
from infmap_kit.model.identity import ModelIdentity
from infmap_kit.model.spec import DETECTION_THRESHOLD, ModelSpec
from infmap_kit.model.tensors import (
    LUNG_OUTPUTS,
    LUNG_SEGMENTATION,
    LUNG_SEVERITY,
    LUNGS,
    RAW_LUNG_PROBABILITY,
    SEVERITY,
    SEVERITY_AT,
    SEVERITY_OF_LUNGS,
    ZONE_SEVERITY,
)
from infmap_kit.parts.check import Check, dice_checks, dice_of, refusal
from infmap_kit.parts.part import SegmentationPart

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from infmap_kit.answer.answer import Answer
    from infmap_kit.answer.part import PartAnswer
    from infmap_kit.answer.severity import LungAnswer
    from infmap_kit.parts.part import Outputs
    from infmap_kit.parts.recording import Recording

_ALL = 100.0
_ROUNDING_PERCENT = 1e-3


@dataclasses.dataclass(frozen=True, kw_only=True)
class LungBounds:
    """The largest deviations of lungs, and of the figures that follow from them, from the reference's.

    Parameters
    ----------
    min_dice, min_image_dice
        Dice pooled over all pictures, and of each.
    max_severity_change_percent
        Change of both lungs or either, in percentage points of them. The coarsest expert score (geographic
        extent, 0 to 8) moves by a step for an eighth of the lungs; a fifth of that is not seen.
    max_zone_change_percent
        Change of a zone: its border moves with the first and the last row of its lung.
    """

    min_dice: float = 0.999
    min_image_dice: float = 0.95
    max_severity_change_percent: float = 2.5
    max_zone_change_percent: float = 5.0


_BOUNDS = {
    "bf16": LungBounds(min_dice=0.998),
    "int8": LungBounds(min_dice=0.99, min_image_dice=0.9),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class LungComparison:
    """The deviation of an engine's lungs from its reference's on one picture.

    Parameters
    ----------
    reference_pixels, pixels, common_pixels
        Sizes of the two masks and of what they share.
    severity_change_percent
        Largest change of both lungs together, of each, and at each threshold; 100 where only one of the two
        runners has a value.
    zone_change_percent
        Largest change of any zone.
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
        """Dice of the two masks; 1 when both are empty."""
        return _dice([self])


class Lungs(SegmentationPart):
    """The segmentation of the lungs."""

    def __init__(self) -> None:
        super().__init__(
            name="lungs",
            graph=LUNG_SEGMENTATION,
            help="Run folder of a lung network (`infmap-train fit --anatomy lungs`), which is served beside "
            "the infection network.",
            noun="a lung network",
            another="other lungs",
            trained_with="infmap-train fit --anatomy lungs",
            record_prefix="lung_",
            is_lowered=True,
            detection_outputs=LUNG_OUTPUTS,
            settings={
                "grades": "Where the grades none, mild and moderate end, in percent of the lungs; with "
                "--lungs. Without it 0,25,50."
            },
            settings_note="are of the severity of the lungs",
        )

    def require(self, spec: ModelSpec, run: Path) -> None:
        """See :meth:`Part.require`."""
        if spec.anatomy != self.name:
            raise ExportError(
                f"{run} was trained on {spec.anatomy}, and --lungs takes a network of the lungs: train one "
                f"with `{self.trained_with}`"
            )

    def identity(self, settings: Mapping[str, str]) -> dict[str, str]:
        """See :meth:`Part.identity`."""
        from infmap_kit.answer.severity import Grades

        grades = settings.get("grades")
        return {"grades": str(Grades.parse(grades) if grades is not None else Grades())}

    def read(self, outputs: Outputs, model: ModelIdentity) -> LungAnswer | None:
        """See :meth:`Part.read`."""
        import numpy as np

        from infmap_kit.answer.severity import Grades, LungAnswer

        if LUNGS.name not in outputs:
            return None
        return LungAnswer(
            mask=outputs[LUNGS.name].astype(np.bool_),
            of_lungs=bool(outputs[SEVERITY_OF_LUNGS.name]),
            severity_percent=float(outputs[SEVERITY.name]),
            lungs=outputs[LUNG_SEVERITY.name],
            zones=outputs[ZONE_SEVERITY.name],
            at=outputs[SEVERITY_AT.name],
            grades=Grades.parse(model["grades"]) if "grades" in model else Grades(),
        )

    def reference(
        self, raw: Outputs, probability: NDArray[np.float32], finding: FindingSpec
    ) -> LungAnswer:
        """See :meth:`Part.reference`."""
        from infmap_kit.answer.severity import lung_answer

        mask = raw[RAW_LUNG_PROBABILITY.name] >= DETECTION_THRESHOLD
        return lung_answer(probability, mask, threshold=finding.threshold)

    def recomputed(self, answer: Answer) -> LungAnswer | None:
        """See :meth:`Part.recomputed`."""
        from infmap_kit.answer.answer import lungs_of
        from infmap_kit.answer.severity import lung_answer

        lungs = lungs_of(answer)
        if lungs is None:
            return None
        return lung_answer(answer.probability, lungs.mask, threshold=answer.finding.threshold)

    def bounds(self, precision: str) -> LungBounds:
        """See :meth:`Part.bounds`."""
        return _BOUNDS.get(precision, LungBounds())

    def compare(self, reference: Answer, actual: Answer) -> LungComparison | None:
        """See :meth:`Part.compare`."""
        from infmap_kit.answer.answer import lungs_of
        from infmap_kit.answer.severity import lung_answer

        expected, lungs = lungs_of(reference), lungs_of(actual)
        if expected is None and lungs is None:
            return None
        if expected is None or lungs is None:
            return LungComparison(
                reference_pixels=int(expected.mask.sum()) if expected is not None else 0,
                pixels=int(lungs.mask.sum()) if lungs is not None else 0,
                common_pixels=0,
                severity_change_percent=_ALL,
                zone_change_percent=_ALL,
                consistent=False,
            )
        own = lung_answer(actual.probability, lungs.mask, threshold=reference.finding.threshold)
        return LungComparison(
            reference_pixels=int(expected.mask.sum()),
            pixels=int(lungs.mask.sum()),
            common_pixels=int((expected.mask & lungs.mask).sum()),
            severity_change_percent=_severity_change(expected, lungs),
            zone_change_percent=_largest(expected.zones, lungs.zones),
            consistent=_severity_change(own, lungs) < _ROUNDING_PERCENT
            and _largest(own.zones, lungs.zones) < _ROUNDING_PERCENT,
        )

    def checks(
        self, compared: Sequence[tuple[str, LungComparison]], bounds: LungBounds
    ) -> list[Check]:
        """See :meth:`Part.checks`."""
        return [
            *dice_checks(
                _dice([comparison for _, comparison in compared]),
                [(name, found.dice, found.reference_pixels) for name, found in compared],
                min_dice=bounds.min_dice,
                min_image_dice=bounds.min_image_dice,
                of="lungs",
            ),
            _change_check(
                "severity",
                "the lungs",
                bounds.max_severity_change_percent,
                max((comparison.severity_change_percent, name) for name, comparison in compared),
            ),
            _change_check(
                "zone",
                "zones",
                bounds.max_zone_change_percent,
                max((comparison.zone_change_percent, name) for name, comparison in compared),
            ),
            refusal(
                [name for name, comparison in compared if not comparison.consistent],
                "severity of the lungs is not what the engine's own masks give on {}",
            ),
        ]

    def pack(self, answer: PartAnswer) -> dict[str, bytes]:
        """See :meth:`Part.pack`."""
        import numpy as np

        from infmap_kit.answer.severity import LungAnswer
        from infmap_kit.parts.recording import packed

        if not isinstance(answer, LungAnswer):
            return {}
        return {"png": packed(255 * answer.mask.astype(np.uint8))}

    def unpack(
        self, recording: Recording, probability: NDArray[np.float32], finding: FindingSpec
    ) -> LungAnswer:
        """See :meth:`Part.unpack`."""
        import numpy as np

        from infmap_kit.answer.severity import lung_answer

        mask = recording.picture(self.name, np.uint8) > 0
        return lung_answer(probability, mask, threshold=finding.threshold)


def _change_check(what: str, whose: str, bound: float, largest: tuple[float, str]) -> Check:
    change, name = largest
    return Check(
        key=f"{what}_change_percent",
        value=change,
        label=f"largest change of a {'lung' if what == 'severity' else what}'s severity, percentage points",
        text=f"{change:.4f}",
        at_most=bound,
        reason=f"expected severities of {whose} within {bound} percentage points, found a change of "
        f"{change:.2f} on {name}",
    )


def _dice(compared: Sequence[LungComparison]) -> float:
    return dice_of(
        sum(comparison.common_pixels for comparison in compared),
        sum(comparison.reference_pixels + comparison.pixels for comparison in compared),
    )


def _severity_change(expected: LungAnswer, actual: LungAnswer) -> float:
    if expected.of_lungs != actual.of_lungs:
        return _ALL
    return max(
        abs(expected.severity_percent - actual.severity_percent),
        _largest(expected.lungs, actual.lungs),
        _largest(expected.at, actual.at),
    )


def _largest(expected: NDArray[np.float32], actual: NDArray[np.float32]) -> float:
    """Largest difference of two rows of percentages; a value that only one of them has counts as all."""
    import numpy as np

    change = np.abs(expected - actual)
    change[np.isnan(expected) != np.isnan(actual)] = _ALL
    return float(np.nan_to_num(change, nan=0.0).max())
