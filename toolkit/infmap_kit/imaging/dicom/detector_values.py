"""The values that a detector stored, for a viewer in which window and level are moved."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infmap_kit.imaging.dicom.display import is_inverse
from infmap_kit.imaging.dicom.reader import Account, decode_dicom

_LEVELS = 256


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class DetectorValues:
    """A radiograph's values in all their bits, upright, the larger the brighter.

    Parameters
    ----------
    values
        (H, W) uint16, from 0 on.
    tone
        (255,) int: the smallest value that is shown as level 1, 2, ... 255 or brighter; 65536 where none is.
        The picture that the network was given is ``searchsorted(tone, values, side="right")``, to the last bit.
    offset, slope
        The value after rescaling (DICOM PS3.3, C.11.1), in which windows are stated, is
        ``offset + slope * value``; the slope is below 0 where large values are shown dark.
    """

    values: NDArray[np.uint16]
    tone: tuple[int, ...]
    offset: float
    slope: float


def detector_values(content: bytes, pixels: NDArray[np.uint8]) -> DetectorValues | None:
    """Read the stored values of a DICOM file.

    Parameters
    ----------
    content
        The file's bytes.
    pixels
        (H, W) uint8, as they were read from it.

    Returns
    -------
    DetectorValues or None
        ``None`` where 8 bits are all there is, where no tone that only rises leads from the values to the
        pixels (a look-up table may fall), or where the pixels are not this file's.

    Raises
    ------
    InputRejected
        When the file cannot be read (any more).
    """
    account = Account()
    decode_dicom(content, "", secondary_capture=True, account=account)
    stored, dataset = account.stored, account.dataset
    if stored is None or dataset is None or stored.dtype.itemsize == 1:
        return None
    upright = account.orientation.upright(stored)
    if upright.shape != pixels.shape:
        return None
    lowest = int(upright.min())
    # Differences of 16 bits have 16 bits, whichever of the two is signed.
    values: NDArray[np.uint16] = upright.astype(np.uint16) - np.uint16(lowest % 2**16)
    first, sign = lowest, 1
    if is_inverse(dataset):
        highest = int(values.max())
        values, first, sign = np.uint16(highest) - values, lowest + highest, -1
    tone = _tone(values, pixels)
    if tone is None:
        return None
    scale, intercept = _rescaling(dataset)
    return DetectorValues(
        values=values, tone=tone, offset=scale * first + intercept, slope=sign * scale
    )


def _tone(values: NDArray[np.uint16], pixels: NDArray[np.uint8]) -> tuple[int, ...] | None:
    """The rising tone from values to levels, if there is one; bright values shown black become 0."""
    levels = np.full(2**16, -1, np.int16)
    levels[values.ravel()] = pixels.ravel()
    if not np.array_equal(np.take(levels, values), pixels):
        return None
    rising = np.flatnonzero(levels > 0)
    if not rising.size:
        return None
    padding = (levels == 0) & (np.arange(2**16) > rising[0])
    if padding.any():
        values[np.take(padding, values)] = 0
        levels[padding] = -1
        if levels[0] > 0:
            return None
        levels[0] = 0
    occurring = np.flatnonzero(levels >= 0)
    if (np.diff(levels[occurring]) < 0).any():
        return None
    places = np.searchsorted(levels[occurring], np.arange(1, _LEVELS))
    return tuple(int(occurring[i]) if i < occurring.size else 2**16 for i in places)


def _rescaling(dataset: Any) -> tuple[float, float]:
    """Slope and intercept; 1 and 0 where the file has none, or a table instead."""
    slope, intercept = dataset.get("RescaleSlope"), dataset.get("RescaleIntercept")
    if slope in (None, "", 0) or intercept in (None, ""):
        return 1.0, 0.0
    return float(slope), float(intercept)
