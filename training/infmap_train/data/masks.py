"""Masks in picture files, whatever the files are called."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from infmap_kit.model.files import write_bytes


def read_gray(path: Path) -> NDArray[np.uint8] | None:
    """Decode a picture file to (H, W) uint8; ``None`` when it is missing or cannot be decoded.

    OpenCV's own reader takes no file whose name is not UTF-8.
    """
    try:
        content = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError:
        return None
    if not content.size:
        return None
    decoded = cv2.imdecode(content, cv2.IMREAD_GRAYSCALE)
    return None if decoded is None else decoded.astype(np.uint8, copy=False)


def write_gray(path: Path, pixels: NDArray[np.uint8]) -> None:
    """Write (H, W) uint8 as PNG.

    Raises
    ------
    OSError
        When it cannot be written; OpenCV's own writer would say nothing.
    """
    write_bytes(path, cv2.imencode(".png", pixels)[1].tobytes())
