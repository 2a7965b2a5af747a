"""The right picture of each file, worked out in NumPy from the numbers that were put into it.

It follows DICOM PS3.3, C.11.1, C.11.2 and C.8.11.3.1.2, and knows nothing of the code that reads the files.
"""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
from numpy.typing import NDArray

from conformance.cases import Case

ROWS, COLUMNS = 64, 72
SLOPE, INTERCEPT = 0.5, -7.0

Floats = NDArray[np.float64]


@dataclasses.dataclass(frozen=True, kw_only=True)
class LookUpTable:
    """A modality or VOI LUT: the value that its first entry is for, its entries, and the bits of one."""

    first: int
    entries: NDArray[np.int64]
    bits: int

    def __call__(self, values: Floats) -> Floats:
        """Look values up; those before or after the table get its first or last entry."""
        places = np.round(values).astype(np.int64) - self.first
        return self.entries[np.clip(places, 0, len(self.entries) - 1)].astype(np.float64)


def limits(case: Case) -> tuple[int, int]:
    """Smallest and largest value that the bits stored can hold."""
    bits = case.depth[0]
    return (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if case.sign else (0, 2**bits - 1)


def stored_values(case: Case) -> NDArray[np.int64]:
    """Values to store, (rows, columns): all that can be for lossless syntaxes, smooth ones for lossy."""
    least, largest = limits(case)
    across = np.linspace(0, 1, COLUMNS)[None, :]
    down = np.linspace(0, 1, ROWS)[:, None]
    if case.syntax.error_percent:
        share = 0.15 + 0.7 * (across + down) / 2
    else:
        # Every other row runs the other way, so that a shifted or turned row shows.
        share = np.where(np.arange(ROWS)[:, None] % 2 == 0, across, 1 - across) * 0.5 + down * 0.5
    values = np.rint(least + share * (largest - least)).astype(np.int64)
    if not case.syntax.error_percent:
        values[0, 0], values[-1, -1] = least, largest
    return values


def modality_lut(case: Case) -> LookUpTable:
    """A curve over all stored values."""
    least, largest = limits(case)
    steps = np.linspace(0, 1, largest - least + 1)
    return LookUpTable(
        first=least, entries=np.rint(65535 * np.sqrt(steps)).astype(np.int64), bits=16
    )


def units(case: Case, values: NDArray[np.int64] | Floats) -> Floats:
    """Stored values after the modality step."""
    plain = values.astype(np.float64)
    if case.modality == "rescale":
        return plain * SLOPE + INTERCEPT
    return modality_lut(case)(plain) if case.modality == "modality LUT" else plain


def _range(case: Case) -> tuple[float, float]:
    least, largest = units(case, np.array(limits(case)))
    return float(least), float(largest)


def window(case: Case) -> tuple[float, float]:
    """Centre and width of a window that shows the middle part of the values."""
    least, largest = _range(case)
    return round((least + largest) / 2 + 1, 2), round(0.7 * (largest - least), 2)


def voi_lut(case: Case) -> LookUpTable:
    """A curve over the middle part of the values."""
    least, largest = _range(case)
    first, last = int(least + 0.1 * (largest - least)), int(largest - 0.1 * (largest - least))
    steps = np.linspace(-4, 4, last - first + 1)
    return LookUpTable(
        first=first, entries=np.rint(4095 / (1 + np.exp(-steps))).astype(np.int64), bits=12
    )


def bounds(case: Case) -> tuple[Floats, Floats]:
    """Least and largest right level of each pixel, from 0 to 255, before it is rounded."""
    values = stored_values(case).astype(np.float64)
    error = case.syntax.error_percent / 100 * 2 ** case.depth[0]
    shown = [_shown(case, values + off, error) for off in {-error, error}]
    every = np.array([level for levels in shown for level in levels])
    return every.min(axis=0), every.max(axis=0)


def _shown(case: Case, values: Floats, error: float) -> list[Floats]:
    """Levels of values; several, where the ends of the range are off by as much."""
    shown = units(case, values)
    if case.voi != "none":
        levels = [_by_voi(case, shown)]
    elif case.modality == "none" and not case.sign and case.depth[0] == 8:
        # Eight bits are a picture as they stand.
        levels = [shown]
    else:
        exact = stored_values(case).astype(np.float64)
        ends = [np.percentile(units(case, exact + off), (0.1, 99.9)) for off in {-error, error}]
        levels = [
            (shown - low) / (high - low) * 255
            for (low, _), (_, high) in itertools.product(ends, ends)
        ]
    kept = [np.clip(level, 0, 255) for level in levels]
    return [255 - level for level in kept] if case.polarity.startswith("MONOCHROME1") else kept


def _by_voi(case: Case, shown: Floats) -> Floats:
    if case.voi == "VOI LUT":
        return voi_lut(case)(shown) / 4095 * 255
    centre, width = window(case)
    if case.voi == "SIGMOID":
        return 255 / (1 + np.exp(-4 * (shown - centre) / width))
    if case.voi == "LINEAR_EXACT":
        return ((shown - centre) / width + 0.5) * 255
    return ((shown - (centre - 0.5)) / (width - 1) + 0.5) * 255
