"""The familiarity of a picture to the infection's network: whether it is like those that it learnt from."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from infmap_kit.answer.part import PartAnswer
from infmap_kit.imaging.radiograph import InputWarning, WarningCode

UNFAMILIAR = InputWarning(
    WarningCode.UNFAMILIAR,
    "the picture is unlike the radiographs that this network learnt from: do not rely on its answer",
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class FamiliarityAnswer(PartAnswer):
    """The familiarity of one radiograph.

    Parameters
    ----------
    value
        1 at the centre of what the network learnt from, 0 at the distance beyond which 1 in 100 radiographs of
        the same kind lies, and below 0 outside.
    """

    value: float

    @property
    def is_finite(self) -> bool:
        """Whether it is a number."""
        return math.isfinite(self.value)

    @property
    def is_familiar(self) -> bool:
        """Whether the picture is like those that the network learnt from; what is no number is not."""
        return self.value >= 0

    @property
    def warnings(self) -> tuple[InputWarning, ...]:
        """See :attr:`PartAnswer.warnings`."""
        return () if self.is_familiar else (UNFAMILIAR,)

    def as_json(self, *, detected: bool) -> dict[str, Any]:
        """See :meth:`PartAnswer.as_json`."""
        return {"familiarity": round(self.value, 4)}
