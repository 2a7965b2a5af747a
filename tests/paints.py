"""Infection maps painted by OpenCV and NumPy, with nothing of the toolkit's."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from infmap_kit.model.paint import Paint


def painted_apart(
    canvas: NDArray[np.uint8],
    fitted: NDArray[Any],
    paint: Paint,
    finding_colours: str = "jet",
    inside: NDArray[np.bool_] | None = None,
) -> NDArray[np.float64]:
    """A map of a probability that has the canvas' size already, (H, W, 3) in 0 to 255.

    By the paper (II-D) through OpenCV's HSV, else as a mixture of at most 60 % of the colour.
    """
    level = (255 * fitted).astype(np.uint8)
    name = paint.colours or finding_colours
    colours = cv2.applyColorMap(level, getattr(cv2, f"COLORMAP_{name.upper()}"))
    gray = np.repeat(canvas[..., np.newaxis], 3, axis=-1).astype(np.float64)
    if paint.paint == "paper":
        hsv = cv2.cvtColor(colours, cv2.COLOR_BGR2HSV)
        hsv[..., 2] = canvas
        painted = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB).astype(np.float64)
    else:
        opacity = 0.6 * level[..., np.newaxis] / 255
        painted = opacity * colours[..., ::-1] + (1 - opacity) * gray
    bare = (level == 0) | (level < np.floor(255 * paint.paint_from))
    if inside is not None:
        bare |= ~inside
    return np.where(bare[..., np.newaxis], gray, painted)
