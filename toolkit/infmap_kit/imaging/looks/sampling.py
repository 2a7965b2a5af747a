"""Small copies of a picture, on which its look is measured."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

_EVEN_EDGE = 12
_MIN_LEFT = 0.25
_LOW, _HIGH = 0.15, 0.85


def sampled(pixels: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Shrink a picture, (H, W) uint8, to (size, size) uint8, by averaging some of its pixels.

    Not every pixel: averaging them all would take longer than reading the file.
    """
    rows, columns = (max(1, extent // (2 * size)) for extent in pixels.shape)
    strided = np.ascontiguousarray(pixels[::rows, ::columns])
    return cv2.resize(strided, (size, size), interpolation=cv2.INTER_AREA).astype(np.uint8)


def without_even_edges(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Cut off collimated edges: rows and columns that are of one level but for a letter in them.

    Parameters
    ----------
    picture
        (N, N) uint8, from :func:`sampled`.

    Returns
    -------
    NDArray
        (H, W) uint8; along an axis on which less than a quarter would be left, nothing is cut.
    """
    return np.ascontiguousarray(picture[inner_part(picture, picture.shape)])


def inner_part(picture: NDArray[np.uint8], shape: tuple[int, ...]) -> tuple[slice, slice]:
    """What :func:`without_even_edges` leaves of a picture, (N, N) uint8, as rows and columns of another size.

    Parameters
    ----------
    picture
        From :func:`sampled`.
    shape
        The height and width that the slices are for.
    """
    count = len(picture)
    low, high = round(_LOW * (count - 1)), round(_HIGH * (count - 1))
    # NumPy sorts 16 bits in a twentieth of the time that 8 bits take, and signed ones can be subtracted.
    wide = picture.astype(np.int16)
    inner = []
    for axis, extent in zip((1, 0), shape, strict=True):
        levels = np.sort(wide, axis=axis).take((low, high), axis=axis)
        lively = np.flatnonzero(np.diff(levels, axis=axis).ravel() > _EVEN_EDGE)
        too_few = len(lively) < _MIN_LEFT * count
        first, last = (0, count - 1) if too_few else (int(lively[0]), int(lively[-1]))
        inner.append(slice(first * extent // count, (last + 1) * extent // count))
    return inner[0], inner[1]
