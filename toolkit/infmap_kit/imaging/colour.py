"""The infection map's colours: jet(probability) reflected onto the radiograph (paper, II-D), or another table.

Hue and saturation come from the probability, the value from the radiograph. In HSV a colour is its
full-value colour times its value, so one table of 256 colours and a multiplication make the map.
"""

from __future__ import annotations

import functools

import cv2
import numpy as np
from numpy.typing import NDArray

JET = "jet"
"""The paper's table."""

_LEVELS = 256


@functools.cache
def colour_table(name: str = JET) -> NDArray[np.uint8]:
    """Colour of each probability level at full value, of a table in ``model.finding.COLOUR_TABLES``.

    Returns
    -------
    NDArray
        (256, 3) uint8 RGB, read-only: hue and saturation of OpenCV's table, through OpenCV's 8 bit
        HSV. Entry 0 is white, so that pixels of no probability stay as they are.
    """
    levels = np.arange(_LEVELS, dtype=np.uint8).reshape(_LEVELS, 1)
    colours = cv2.applyColorMap(levels, getattr(cv2, f"COLORMAP_{name.upper()}"))
    hsv = cv2.cvtColor(colours, cv2.COLOR_BGR2HSV)
    hsv[..., 2] = 255
    table = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB).reshape(_LEVELS, 3).astype(np.uint8)
    table[0] = 255
    table.setflags(write=False)
    return table


def infection_map(
    canvas: NDArray[np.uint8], probability: NDArray[np.float32], table: str = JET
) -> NDArray[np.uint8]:
    """Paint an infection map, as the rendering graph does.

    Parameters
    ----------
    canvas
        (H, W) uint8, the radiograph at any size.
    probability
        (224, 224) float32 in [0, 1], or of any other size; brought to the canvas' size bilinearly
        with half-pixel centres.
    table
        Name of the colour table.

    Returns
    -------
    NDArray
        (H, W, 3) uint8 RGB: ``canvas * colours[uint8(255 * probability)] / 255``, rounded half up.
    """
    height, width = canvas.shape
    fitted = cv2.resize(probability, (width, height), interpolation=cv2.INTER_LINEAR)
    level = (fitted * np.float32(_LEVELS - 1)).astype(np.uint8)
    product = canvas[..., np.newaxis] * colour_table(table).astype(np.uint16)[level]
    # The quotient is a whole number of 255ths, so + 127 rounds half up without floats.
    return ((product + 127) // 255).astype(np.uint8)


def encode_png(infection_map: NDArray[np.uint8]) -> bytes:
    """An infection map, (H, W, 3) uint8 RGB, as PNG."""
    bgr = cv2.cvtColor(infection_map, cv2.COLOR_RGB2BGR)
    # Level 1: writing the file would otherwise take longer than everything before it.
    return cv2.imencode(".png", bgr, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()
