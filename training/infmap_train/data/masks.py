"""Masks as people store them: 0 and 255, 0 and 1, a palette, colours, soft edges."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from infmap_kit.errors import InputRejected
from infmap_train.data.picture_files import read_pixels

_LABELS = 16
"""Up to this value, whole numbers are labels and no gray."""


def read_mask(path: Path, shape: tuple[int, ...]) -> tuple[NDArray[np.uint8], str]:
    """Read a mask whatever it is stored as.

    What counts is decided by the values alone: of two, the one that is not 0; of more, which are soft edges,
    half of what the file's type can hold. Of a colour the strongest channel counts.

    Parameters
    ----------
    path
        The file.
    shape
        (H, W) of its radiograph.

    Returns
    -------
    tuple
        (H, W) uint8, 0 or 255, and how the file stores it, empty for 0 and 255: for people.

    Raises
    ------
    InputRejected
        When it cannot be decoded, is of another size, or holds several labels or a faint gray, of which nobody
        says what they mean.
    """
    stored = read_pixels(path, cv2.IMREAD_UNCHANGED)
    if stored is None:
        raise InputRejected("mask", f"its mask {path} cannot be decoded")
    if stored.shape[:2] != shape:
        height, width = stored.shape[:2]
        reason = (
            f"expected a mask of {shape[1]}x{shape[0]} as its radiograph, found {width}x{height}"
        )
        raise InputRejected("mask", reason)
    gray, coloured = _strongest_channel(stored)
    values = np.unique(gray)
    words = "coloured" if coloured else ""
    if values.size <= 2:
        if values[0] != 0 and values.size == 2:
            raise InputRejected(
                "mask", f"its mask holds {values[0]} and {values[1]}: expected 0 outside"
            )
        highest = int(values[-1])
        if highest not in (0, 255):
            words = " and ".join(filter(None, (words, f"of 0 and {highest}")))
        # A mask of one value alone is all of it or nothing.
        return np.where(gray > 0, 255, 0).astype(np.uint8), words
    half, highest = np.iinfo(gray.dtype).max // 2, int(values[-1])
    if highest <= half:
        kind = "labels" if highest <= _LABELS else "faint gray values"
        raise InputRejected(
            "mask",
            f"its mask holds {kind} up to {highest}, and which of them count is not known: write it with 0 "
            "and 255",
        )
    words = " and ".join(filter(None, (words, f"soft, cut above {half}")))
    return np.where(gray > half, 255, 0).astype(np.uint8), words


def _strongest_channel(stored: NDArray[Any]) -> tuple[NDArray[Any], bool]:
    """(H, W) of a picture with any channels, and whether it has colours; what is transparent counts as 0."""
    picture = stored
    if picture.ndim == 2:
        return picture, False
    if picture.shape[2] in (2, 4):
        alpha = picture[..., -1:]
        opaque = picture[..., :-1]
        # A mask that is drawn in the alpha channel alone: one colour everywhere, here and there transparent.
        picture = np.where(alpha > np.iinfo(alpha.dtype).max // 2, opaque, 0)
        if np.ptp(alpha) and not picture.any():
            picture = alpha
    strongest = picture.max(axis=2)
    return strongest, bool((picture != picture[..., :1]).any())
