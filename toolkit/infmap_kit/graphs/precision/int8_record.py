"""The precision of a network's convolutions in INT8, as manifests and the gate's report state it."""

from __future__ import annotations

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True, kw_only=True)
class Int8Record:
    """The convolutions of a network in INT8, and those that compute in a higher precision.

    Parameters
    ----------
    kept
        Names of the convolutions that were kept as they were.
    left
        Names of those that were quantised, and that the engine computes in the higher precision all the same.
    quantised
        Number of those that compute in 8-bit integers; ``None`` where an older export did not count them.
    rest
        Precision of those that do not.
    calibration_pictures
        Number of pictures that set the ranges.
    split
        Number of convolutions over joined features that were split.
    kept_because
        Why they were kept.
    """

    kept: tuple[str, ...]
    rest: str
    calibration_pictures: int
    left: tuple[str, ...] = ()
    quantised: int | None = None
    split: int = 0
    kept_because: str = ""

    @property
    def not_int8(self) -> tuple[str, ...]:
        """Names of all convolutions that compute in a higher precision."""
        return (*self.kept, *self.left)

    def as_json(self) -> dict[str, Any]:
        """Return the record as a manifest holds it."""
        return {**vars(self), "kept": list(self.kept), "left": list(self.left)}
