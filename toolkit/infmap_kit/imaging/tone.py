"""The mapping of a detector's values to 8 bits."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from infmap_kit.errors import InputRejected
from infmap_kit.imaging.radiograph import Reason

_TAIL_PERCENT = 0.1

_PART_VALUES = 2**20
"""So many values are looked up at a time: indexing widens them to 64 bits."""


def eight_bits(
    values: NDArray[Any], counts: NDArray[np.int64] | None = None
) -> tuple[NDArray[np.uint8], str]:
    """Bring values of any range to 8 bits when nothing says how they are meant to be shown.

    Values that are 8 bits in a wider container, as they stand or times 257 (how a PNG widens
    them), come back exactly. Others are scaled linearly, so that the lowest and highest 0.1 % are
    black and white: detectors store 10, 12 or 14 bits in 16, and the picture's own range is what
    is left to go by; the plain minimum and maximum would let a burnt-in letter or a dead pixel
    flatten everything else.

    Parameters
    ----------
    values
        (H, W) integers or floats; or the (N,) values that occur in a picture, in any order.
    counts
        (N,) how often each occurs; once when not given.

    Returns
    -------
    tuple
        uint8 of the values' shape, and a phrase that names the change, empty when there was none.

    Raises
    ------
    InputRejected
        ``pixel-type`` when a value is not finite, ``blank`` when all but a few are the same.
    """
    if values.dtype == np.uint8:
        return values, ""
    if values.dtype == np.uint16 and counts is None:
        return _eight_bits_of_each(values)
    lowest, highest = values.min(), values.max()
    if not (np.isfinite(lowest) and np.isfinite(highest)):
        raise InputRejected(
            Reason.PIXEL_TYPE, "expected finite values, found some that are infinite or no number"
        )
    if values.dtype.kind in "iu" and lowest >= 0:
        if highest <= 255:
            return values.astype(np.uint8), "8 bit values out of a wider type"
        narrowed, rest = np.divmod(values, values.dtype.type(257))
        if highest <= 65535 and not rest.any():
            return narrowed.astype(np.uint8), "16 bit values divided by 257"
    tails = (_TAIL_PERCENT, 100 - _TAIL_PERCENT)
    low, high = np.percentile(values, tails) if counts is None else _tails(values, counts, tails)
    if low == high:
        raise InputRejected(
            Reason.BLANK, "expected a chest X-ray, found a picture of one even brightness"
        )
    pixels = rounded((values - low) * (255 / (high - low)))
    return pixels, (
        f"values scaled from {low:g} ... {high:g}, all but the outer {_TAIL_PERCENT} % on each side"
    )


def _eight_bits_of_each(values: NDArray[np.uint16]) -> tuple[NDArray[np.uint8], str]:
    """:func:`eight_bits` of the values that occur, looked up for each pixel: as floats they would fill a GB."""
    flat = values.ravel()
    parts = range(0, flat.size, _PART_VALUES)
    counts = np.zeros(2**16, np.int64)
    for start in parts:
        counts += np.bincount(flat[start : start + _PART_VALUES], minlength=len(counts))
    present = np.flatnonzero(counts)
    levels = np.zeros(len(counts), np.uint8)
    levels[present], note = eight_bits(present.astype(np.uint16), counts[present])
    pixels = np.empty(flat.size, np.uint8)
    for start in parts:
        pixels[start : start + _PART_VALUES] = levels[flat[start : start + _PART_VALUES]]
    return pixels.reshape(values.shape), note


def _tails(
    values: NDArray[Any], counts: NDArray[np.int64], percents: tuple[float, float]
) -> tuple[float, float]:
    """``np.percentile`` of each value as often as it occurs."""
    order = np.argsort(values, kind="stable")
    ends = np.cumsum(counts[order])
    low, high = (
        np.interp(
            place := percent / 100 * (ends[-1] - 1),
            (np.floor(place), np.floor(place) + 1),
            values[order][np.searchsorted(ends, (np.floor(place), np.ceil(place)), side="right")],
        )
        for percent in percents
    )
    return float(low), float(high)


def window(
    values: NDArray[Any], *, centre: float, width: float, function: str = "LINEAR"
) -> NDArray[np.uint8]:
    """Show values through a DICOM window.

    Parameters
    ----------
    values
        (H, W) integers or floats, modality units.
    centre, width
        The window, in the same units.
    function
        ``LINEAR``, ``LINEAR_EXACT`` or ``SIGMOID``.

    Returns
    -------
    NDArray
        (H, W) uint8: 0 at and below the window, 255 at and above it.

    Raises
    ------
    InputRejected
        ``unreadable`` when the width or the function is none that DICOM knows.

    Notes
    -----
    Source: DICOM PS3.3, C.11.2.1.2 and C.11.2.1.3.
    """
    centred = values.astype(np.float64)
    narrowest = 1.0 if function == "LINEAR" else 1e-6
    if not (np.isfinite(centre) and np.isfinite(width) and width >= narrowest):
        raise InputRejected(
            Reason.UNREADABLE,
            f"expected a finite window at least {narrowest:g} wide, found centre {centre:g}, width {width:g}",
        )
    match function:
        case "LINEAR":
            # A width of 1 is a threshold; the smallest step stands in for the division by zero.
            share = (centred - (centre - 0.5)) / max(width - 1, 1e-9) + 0.5
        case "LINEAR_EXACT":
            share = (centred - centre) / width + 0.5
        case "SIGMOID":
            # exp of more than 700 overflows, and the answer has long been 0.
            share = 1 / (1 + np.exp(np.minimum(-4 * (centred - centre) / width, 700)))
        case _:
            raise InputRejected(
                Reason.UNREADABLE,
                "expected the VOI LUT function LINEAR, LINEAR_EXACT or SIGMOID, found another",
            )
    return rounded(share * 255)


def rounded(levels: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Round levels half up into 0 ... 255."""
    pixels: NDArray[np.uint8] = np.floor(np.clip(levels, 0, 255) + 0.5).astype(np.uint8)
    return pixels
