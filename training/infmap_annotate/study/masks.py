"""Masks: one encoding for all of them, durable files, and drawings that come from outside."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from infmap_kit.errors import InputRejected
from infmap_kit.imaging.headers.png import PNG_SIGNATURE
from infmap_kit.imaging.headers.reading import read_header
from infmap_kit.model.files import sync_folder

_EXTRA_BYTES = 2**16


def encode_mask(mask: NDArray[np.bool_]) -> bytes:
    """Encode a mask so that its size in bytes depends on its height and width alone.

    One bit a pixel in a PNG without compression or metadata: the network's traffic and the browser's
    list of requests show the same number for every mask of a radiograph.

    Parameters
    ----------
    mask
        (H, W) bool.
    """
    file = io.BytesIO()
    Image.fromarray(mask).save(file, "PNG", compress_level=0)
    return file.getvalue()


def decode_mask(content: bytes) -> NDArray[np.bool_]:
    """Give back what ``encode_mask`` took, (H, W) bool."""
    with Image.open(io.BytesIO(content), formats=["PNG"]) as picture:
        return np.array(picture, dtype=bool)


def most_bytes(*, width: int, height: int) -> int:
    """The most bytes of a drawing of this size: its pixels uncompressed, and a little."""
    return (width + 1) * height + _EXTRA_BYTES


def decode_drawing(content: bytes, *, width: int, height: int) -> NDArray[np.bool_]:
    """Decode a mask that a reader drew.

    Parameters
    ----------
    content
        A PNG from outside, 8-bit gray, 0 or 255.
    width, height
        The radiograph's, in pixels; asked of the header before anything is decoded.

    Returns
    -------
    NDArray
        (H, W) bool.

    Raises
    ------
    InputRejected
        ``not-png`` or ``bad-drawing``.
    """
    if not content.startswith(PNG_SIGNATURE):
        raise InputRejected("not-png", "expected a drawing as PNG, found something else")
    try:
        header = read_header(content)
    except InputRejected as error:
        raise InputRejected(
            "bad-drawing", f"the drawing's PNG is damaged: {error.reason}"
        ) from error
    if (header.width, header.height) != (width, height):
        raise InputRejected(
            "bad-drawing",
            f"expected a drawing of {width}x{height} pixels, the radiograph's size, found "
            f"{header.width}x{header.height}",
        )
    try:
        with Image.open(io.BytesIO(content), formats=["PNG"]) as picture:
            if picture.mode != "L" or getattr(picture, "n_frames", 1) != 1:
                raise InputRejected(
                    "bad-drawing",
                    f"expected one 8-bit gray picture, found {picture.mode} and "
                    f"{getattr(picture, 'n_frames', 1)} frame(s)",
                )
            values = np.array(picture)
    # Pillow's ways to say that a file is damaged, or means harm.
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputRejected("bad-drawing", f"the drawing's PNG is damaged: {error}") from error
    if not np.isin(values, (0, 255)).all():
        raise InputRejected("bad-drawing", "expected pixels of 0 or 255 in a drawing, found others")
    return np.asarray(values == 255)


def dice(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    """Dice coefficient of two masks of one size, in [0, 1]; two empty masks agree."""
    total = int(a.sum()) + int(b.sum())
    return 2 * int((a & b).sum()) / total if total else 1.0


def write_durably(path: Path, content: bytes) -> None:
    """Write beside, sync, rename, and sync the folder: after this a power cut loses nothing."""
    beside = path.with_name(f".{path.name}.part")
    try:
        beside.touch(0o600)
        with beside.open("wb") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    sync_folder(path.parent)
