"""Picture files as they are stored, whatever they are called."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from infmap_kit.model.files import write_bytes


def read_pixels(path: Path, flags: int = cv2.IMREAD_GRAYSCALE) -> NDArray[Any] | None:
    """Decode a picture file; ``None`` when it is missing or cannot be decoded.

    OpenCV's own reader takes no file whose name is not UTF-8.

    Parameters
    ----------
    flags
        How, as for ``cv2.imread``; (H, W) uint8 unless something else is asked for.
    """
    try:
        content = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError:
        return None
    return cv2.imdecode(content, flags) if content.size else None


def write_gray(path: Path, pixels: NDArray[np.uint8]) -> None:
    """Write (H, W) uint8 as PNG.

    Raises
    ------
    OSError
        When it cannot be written; OpenCV's own writer would say nothing.
    """
    write_bytes(path, cv2.imencode(".png", pixels)[1].tobytes())
