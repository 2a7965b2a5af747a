"""Measures of how well a map of one radiograph points at the infection, whatever the map's scale.

All four measures use the order or the shares of a map's values and no threshold, so that a probability
and an activation are measured alike. Ties are shared out, not decided by the pixels' order.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

Map = NDArray[np.floating]
"""(H, W), zero or positive."""

Mask = NDArray[np.bool_]
"""(H, W) of the same size."""


def share_outside(values: Map, region: Mask) -> float:
    """Share of a map's sum that lies outside of a region; NaN for a map of zeros.

    One minus the energy-based pointing game (Wang et al., Score-CAM, CVPR Workshops 2020), with lungs
    for the bounding box.
    """
    total = float(values.sum(dtype=np.float64))
    return float(values[~region].sum(dtype=np.float64)) / total if total > 0 else math.nan


def pointing_game(values: Map, truth: Mask) -> float:
    """1 when the map's highest pixel is infected, 0 when not; of several highest, their share.

    Zhang et al., Top-down neural attention by excitation backprop, IJCV 2018, without its tolerance
    of 15 pixels. NaN for a map that is the same everywhere: it points nowhere.
    """
    if values.min() == values.max():
        return math.nan
    return float(truth[values == values.max()].mean())


def iou_at_equal_area(values: Map, truth: Mask) -> float:
    """Intersection over union with the truth of the map's highest pixels, as many as are infected.

    The map is given the size and has to find the place. Where the last of these pixels are as high as
    some that are left out, each counts by the share of them that is taken. NaN without infection.
    """
    area = int(truth.sum())
    if area == 0:
        return math.nan
    cut = np.partition(values.ravel(), values.size - area)[values.size - area]
    above, level = values > cut, values == cut
    share = (area - int(above.sum())) / int(level.sum())
    both = int((truth & above).sum()) + share * int((truth & level).sum())
    return both / (2 * area - both)


def average_precision(values: Map, truth: Mask) -> float:
    """Area under the precision-recall steps of the pixels; NaN without infection.

    A map that knows nothing reaches the infected share of the picture.
    """
    if not truth.any():
        return math.nan
    return float(average_precision_score(truth.ravel(), values.ravel()))


MEASURES: dict[str, Callable[[Map, Mask, Mask | None], float]] = {
    "outside_lungs": lambda values, _truth, lungs: (
        math.nan if lungs is None else share_outside(values, lungs)
    ),
    "pointing_game": lambda values, truth, _lungs: pointing_game(values, truth),
    "iou_at_equal_area": lambda values, truth, _lungs: iou_at_equal_area(values, truth),
    "average_precision": lambda values, truth, _lungs: average_precision(values, truth),
}
"""Functions of a map, the true mask and the lungs (``None`` where unknown) that give a share in [0, 1]."""

TITLES = {
    "outside_lungs": "outside the lungs",
    "pointing_game": "pointing game",
    "iou_at_equal_area": "IoU at equal area",
    "average_precision": "average precision",
}
