"""The answer of one part of a model besides the infection's network."""

from __future__ import annotations

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True, kw_only=True)
class PartAnswer:
    """A part's answer about one radiograph."""

    @property
    def is_finite(self) -> bool:
        """Whether every value is a number."""
        return True

    def as_json(self, *, detected: bool) -> dict[str, Any]:
        """Keys and values for the answer's JSON; ``detected`` is the decision of the infection's network."""
        raise NotImplementedError
