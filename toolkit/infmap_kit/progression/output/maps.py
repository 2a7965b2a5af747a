"""The infection map of a result, small, from the file that lies beside its JSON."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from infmap_kit.errors import InfmapError, InputRejected
from infmap_kit.imaging.dicom.codecs import decoded
from infmap_kit.imaging.dicom.codestreams.fragments import only_frame
from infmap_kit.imaging.dicom.codestreams.jpeg import jpeg_frame
from infmap_kit.imaging.dicom.dataset import native_pixels, read_dataset
from infmap_kit.imaging.headers.png import PNG_SIGNATURE, essential_png
from infmap_kit.imaging.headers.reading import read_header
from infmap_kit.imaging.radiograph import refuse_size
from infmap_kit.imaging.readers import read_content
from infmap_kit.progression.result import Result

_JPEG_LS = "1.2.840.10008.1.2.4.80"

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
    """Read a capture as the toolkit writes it and no other: RGB of 8 bits, in JPEG-LS or uncompressed."""
    try:
        dataset = read_dataset(content)
        height, width = int(dataset.Rows), int(dataset.Columns)
        refuse_size(width=width, height=height)
        is_ours = dataset.PhotometricInterpretation == "RGB" and dataset.BitsAllocated == 8
        syntax = dataset.file_meta.TransferSyntaxUID
        if is_ours and syntax == _JPEG_LS:
            return _decoded(dataset.PixelData, height, width)
        is_ours &= not syntax.is_encapsulated
        native = native_pixels(dataset, content)
        stored = dataset.PixelData if native is None else native
        values = np.frombuffer(stored if is_ours else b"", np.uint8)
        return values[: height * width * 3].reshape(height, width, 3)
    except InfmapError:
        raise
    # pydicom names no closed set of errors for damaged files.
    except Exception as error:
        raise InputRejected("unreadable", "no map") from error


def _decoded(items: bytes, height: int, width: int) -> NDArray[np.uint8]:
    """A picture in JPEG-LS, once its own header says the same size as the tags."""
    frame = only_frame(items, max_bytes=4 * height * width + 2**20)
    size = jpeg_frame(frame)
    if (size.width, size.height, size.components) != (width, height, 3):
        raise InputRejected("unreadable", "no map")
    return decoded(frame, _JPEG_LS, bits_allocated=8).reshape(height, width, 3)


def _small(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = pixels.shape[:2]
    scale = min(1.0, SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
