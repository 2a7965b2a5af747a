"""Measures of how far one answer is from another, or from what its own probability gives."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from infmap_kit.answer.answer import Answer

_MAP_LEVELS = 8


def map_error_share(own: Answer, actual: Answer) -> float:
    """Pixels of a map that are not the formula's colour; all of them where there is no map."""
    if own.infection_map is None or actual.infection_map is None:
        return 1.0
    off = np.abs(own.infection_map.astype(np.int16) - actual.infection_map).max(axis=-1)
    return float((off > _MAP_LEVELS).mean())


def probability_error(expected: Answer, actual: Answer) -> NDArray[np.float32]:
    """Absolute error of each pixel; where either is no number it is as large as it can be."""
    error = np.abs(expected.probability - actual.probability)
    return np.where(np.isfinite(error), error, np.float32(1)).astype(np.float32)


def is_summarised(actual: Answer) -> bool:
    """Whether an answer's summary is that of its own probabilities; where none is served, nothing is wrong."""
    return actual.summary is None or actual.summary.agrees_with(actual.probability)
