"""The answer of one part of a model besides the infection's network."""

from __future__ import annotations

import dataclasses
from typing import Any

from infmap_kit.imaging.radiograph import InputWarning


@dataclasses.dataclass(frozen=True, kw_only=True)
class PartAnswer:
    """A part's answer about one radiograph."""

    @property
    def is_finite(self) -> bool:
        """Whether every value is a number."""
        return True

    @property
    def warnings(self) -> tuple[InputWarning, ...]:
        """Doubts about the radiograph that its reader should know."""
        return ()

    def as_json(self, *, detected: bool) -> dict[str, Any]:
        """Keys and values for the answer's JSON; ``detected`` is the decision of the infection's network."""
        raise NotImplementedError
