"""Everything that a radiograph's look is judged by, in order."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from infmap_kit.imaging.looks.chest import judge_chest
from infmap_kit.imaging.looks.drawn import judge_drawn
from infmap_kit.imaging.looks.kind import judge_kind
from infmap_kit.imaging.looks.laterality import judge_side, network_view
from infmap_kit.imaging.radiograph import InputWarning


def judge_picture(
    pixels: NDArray[np.uint8], *, turned_over: bool = False
) -> tuple[InputWarning, ...]:
    """Refuse an upright picture, (H, W) uint8, by its look, or warn of what is doubtful in it.

    Parameters
    ----------
    pixels
        Bright = dense.
    turned_over
        Whether the file's own orientation has mirrored the picture.

    Raises
    ------
    InputRejected
        ``blank`` or ``polarity``.
    """
    doubts = judge_chest(pixels)
    if doubts:
        return doubts
    view = network_view(pixels)
    # What is unlike a chest has no side to be wrong about, and no lungs to draw over.
    return judge_kind(view) or (
        *judge_side(view, turned_over=turned_over),
        *judge_drawn(pixels),
    )
