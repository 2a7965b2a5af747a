"""The infection map of a result, small, from the file that lies beside its JSON."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from infmap_kit.errors import InfmapError, InputRejected
from infmap_kit.imaging.dicom.dataset import native_pixels, read_dataset
from infmap_kit.imaging.headers.png import PNG_SIGNATURE, essential_png
from infmap_kit.imaging.headers.reading import read_header
from infmap_kit.imaging.radiograph import refuse_size
from infmap_kit.imaging.readers import read_content
from infmap_kit.progression.result import Result

SIDE = 320
"""Longest side of a small map in pixels."""


def small_map(result: Result) -> NDArray[np.uint8] | None:
    """Read the map of a result.

    Returns
    -------
    NDArray or None
        (H, W, 3) uint8 RGB, not larger than ``SIDE``; ``None`` where no map lies beside the JSON, or none
        that can be read: a course is one without pictures as well.
    """
    for name in result.pictures:
        path = result.file.parent / name
        if path.is_file():
            try:
                return _small(_pixels(path))
            except InfmapError:
                continue
    return None


def _pixels(path: Path) -> NDArray[np.uint8]:
    content = read_content(path)
    if not content.startswith(PNG_SIGNATURE):
        return _secondary_capture(content)
    header = read_header(content)
    refuse_size(width=header.width, height=header.height)
    decoded = cv2.imdecode(np.frombuffer(essential_png(content), np.uint8), cv2.IMREAD_COLOR_RGB)
    if decoded is None:
        raise InputRejected("unreadable", "no picture", file=str(path))
    return decoded.astype(np.uint8, copy=False)


def _secondary_capture(content: bytes) -> NDArray[np.uint8]:
    """Read a capture as the toolkit writes it and no other: RGB of 8 bits, uncompressed."""
    try:
        dataset = read_dataset(content)
        height, width = int(dataset.Rows), int(dataset.Columns)
        refuse_size(width=width, height=height)
        is_ours = dataset.PhotometricInterpretation == "RGB" and dataset.BitsAllocated == 8
        is_ours &= not dataset.file_meta.TransferSyntaxUID.is_encapsulated
        native = native_pixels(dataset, content)
        stored = dataset.PixelData if native is None else native
        values = np.frombuffer(stored if is_ours else b"", np.uint8)
        return values[: height * width * 3].reshape(height, width, 3)
    except InfmapError:
        raise
    # pydicom names no closed set of errors for damaged files.
    except Exception as error:
        raise InputRejected("unreadable", "no map") from error


def _small(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = pixels.shape[:2]
    scale = min(1.0, SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
