"""Reading back what the toolkit wrote."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray


def read_picture(path: Path | str, *, gray: bool = False) -> NDArray[np.uint8]:
    """A picture file by OpenCV: (H, W) when ``gray``, else (H, W, 3) BGR."""
    pixels = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE if gray else cv2.IMREAD_COLOR)
    assert pixels is not None, f"{path} is no picture"
    return pixels.astype(np.uint8, copy=False)
