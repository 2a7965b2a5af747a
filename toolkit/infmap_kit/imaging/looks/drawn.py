"""Whether something white is drawn over the lungs: text, an arrow, a frame.

What is drawn is white, thin and in one piece, or in pieces as near to each other as letters. Ribs, tubes and
wires are thin but seldom white; bellies and plates are white but not thin. So the measure is the extent of the
largest thin white piece where the lungs are. How often that is wrong: docs/looks.md.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from infmap_kit.imaging.looks.sampling import inner_part, sampled
from infmap_kit.imaging.radiograph import InputWarning, WarningCode

DRAWN_ABOVE = 0.03
"""Share of the longer side above which a white piece is warned of: electrodes and clips are smaller."""

WHITE = 240
"""Least level of what is white. Ink has 255, less where a picture was shrunk or compressed afterwards."""

_ABOVE_SURROUNDINGS = 40
"""How far ink is, of 255 levels, above the broad things around it: in a bright belly nothing is found."""

_WIDEST = 0.022
_GAP = 0.01
"""As shares of the longer side: the widest stroke that counts as thin, and the widest gap between letters."""

_LONGER_SIDE = 512
_SAMPLED = 64
_CENTRE_DOWN, _ACROSS, _DOWN = 0.45, 0.37, 0.34
"""The ellipse in which both lungs lie, as shares of what is left inside even edges."""


def drawn_extent(pixels: NDArray[np.uint8]) -> float:
    """Extent of the largest thin white piece over the lungs of an upright picture, (H, W) uint8.

    Returns
    -------
    float
        Its height or width, the larger, as a share of the picture's longer side; 0 where there is none.
    """
    # No averaging: it would take long, and ink be white no more. A line of 1 in 512 is never stepped over.
    step = max(1, max(pixels.shape) // _LONGER_SIDE)
    middle = np.ascontiguousarray(_middle(pixels)[::step, ::step])
    longer = max(pixels.shape) / step
    # The median takes out noise, whose minima would be the surroundings, and leaves the edges of what is broad.
    broad = cv2.morphologyEx(cv2.medianBlur(middle, 3), cv2.MORPH_OPEN, _square(_WIDEST * longer))
    ink = (cv2.subtract(middle, broad) > _ABOVE_SURROUNDINGS) & (middle >= WHITE)
    if not ink.any():
        return 0.0
    height, width = middle.shape
    ellipse = np.zeros(middle.shape, np.uint8)
    cv2.ellipse(ellipse, (width // 2, height // 2), (width // 2, height // 2), 0, 0, 360, 1, -1)
    joined = cv2.morphologyEx(ellipse * ink, cv2.MORPH_CLOSE, _square(_GAP * longer))
    # Outer contours give the same boxes as connected components, in a tenth of the time.
    pieces, _ = cv2.findContours(joined, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return float(max((max(cv2.boundingRect(piece)[2:]) for piece in pieces), default=0) / longer)


def judge_drawn(pixels: NDArray[np.uint8]) -> tuple[InputWarning, ...]:
    """Warn of an upright chest, (H, W) uint8, over whose lungs something is drawn."""
    extent = drawn_extent(pixels)
    if extent <= DRAWN_ABOVE:
        return ()
    text = (
        "something white is possibly drawn over the lungs, such as text, an arrow or a frame (it extends over "
        f"{100 * extent:.0f} % of the picture): look whether it is so, and pass the picture without it"
    )
    return (InputWarning(WarningCode.BURNED_IN, text),)


def _middle(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The part around the ellipse."""
    inner = pixels[inner_part(sampled(pixels, _SAMPLED), pixels.shape)]
    height, width = inner.shape
    top, bottom = (round((_CENTRE_DOWN + side * _DOWN) * height) for side in (-1, 1))
    left, right = (round((0.5 + side * _ACROSS) * width) for side in (-1, 1))
    return inner[top:bottom, left:right]


def _square(extent: float) -> NDArray[np.uint8]:
    """A kernel of an odd number of pixels, at least 3."""
    pixels = max(3, round(extent) | 1)
    return np.ones((pixels, pixels), np.uint8)
