"""The infection map's colours: how a probability is painted on the radiograph's gray.

Both have 256 levels, so that every paint is one table, which the rendering graph looks up pixel by pixel.
"""

from __future__ import annotations

import functools

import cv2
import numpy as np
from numpy.typing import NDArray

from infmap_kit.model.paint import BY_THE_PAPER, PAPER, Paint

JET = "jet"
"""The paper's table."""

MOST_OPAQUE = 0.6
"""Opacity of the colour at a probability of 1: the radiograph stays to be read below it."""

_LEVELS = 256


def colour_scale(name: str = JET) -> NDArray[np.uint8]:
    """The colours of a table of OpenCV's, (256, 3) uint8 RGB."""
    levels = np.arange(_LEVELS, dtype=np.uint8).reshape(_LEVELS, 1)
    colours = cv2.applyColorMap(levels, getattr(cv2, f"COLORMAP_{name.upper()}"))
    return cv2.cvtColor(colours, cv2.COLOR_BGR2RGB).reshape(_LEVELS, 3).astype(np.uint8)


@functools.cache
def colour_table(name: str = JET) -> NDArray[np.uint8]:
    """Colour of each probability level at full value, of a table in ``model.finding.COLOUR_TABLES``.

    Returns
    -------
    NDArray
        (256, 3) uint8 RGB, read-only: hue and saturation of OpenCV's table, through OpenCV's 8 bit
        HSV. Entry 0 is white, so that pixels of no probability stay as they are.
    """
    hsv = cv2.cvtColor(colour_scale(name).reshape(_LEVELS, 1, 3), cv2.COLOR_RGB2HSV)
    hsv[..., 2] = 255
    table = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB).reshape(_LEVELS, 3).astype(np.uint8)
    table[0] = 255
    table.setflags(write=False)
    return table


@functools.cache
def paint_table(paint: Paint = PAPER, finding_colours: str = JET) -> NDArray[np.uint8]:
    """The colour that each probability level makes of each gray.

    Parameters
    ----------
    paint
        How it is painted; in which place, the table does not know.
    finding_colours
        Name of the colour table where the paint names none.

    Returns
    -------
    NDArray
        (256, 256, 3) uint8 RGB, read-only, by level (the whole part of 255 times the probability) and gray.
        ``paper``: the gray times :func:`colour_table`, over 255. ``opacity``: the gray mixed with
        :func:`colour_scale`, of which there is :data:`MOST_OPAQUE` times the level over 255. Rounded half up; a
        level below ``paint_from``, and level 0, leaves the gray.
    """
    name = paint.colours or finding_colours
    gray = np.arange(_LEVELS, dtype=np.float64)[np.newaxis, :, np.newaxis]
    if paint.paint == BY_THE_PAPER:
        exact = gray * colour_table(name)[:, np.newaxis].astype(np.float64) / (_LEVELS - 1)
    else:
        level = np.arange(_LEVELS, dtype=np.float64)[:, np.newaxis, np.newaxis]
        opacity = MOST_OPAQUE * level / (_LEVELS - 1)
        exact = (1 - opacity) * gray + opacity * colour_scale(name)[:, np.newaxis]
    exact[: _level_of(paint.paint_from)] = gray
    table = np.floor(exact + 0.5).astype(np.uint8)
    table.setflags(write=False)
    return table


def overlay_table(paint: Paint, finding_colours: str = JET) -> NDArray[np.uint8]:
    """The colour and opacity to lay over a gray, so that a screen gets :func:`paint_table` by mixing itself.

    Returns
    -------
    NDArray
        (256, 4) uint8 RGB and opacity, by level. By ``opacity`` it is mixed with the gray, by the ``paper`` the
        two are multiplied, over 255; both to 1 of what the table has.
    """
    name = paint.colours or finding_colours
    table = np.full((_LEVELS, 4), _LEVELS - 1, np.uint8)
    if paint.paint == BY_THE_PAPER:
        table[:, :3] = colour_table(name)
        table[: _level_of(paint.paint_from)] = _LEVELS - 1
    else:
        table[:, :3] = colour_scale(name)
        table[:, 3] = np.floor(MOST_OPAQUE * np.arange(_LEVELS) + 0.5)
        table[: _level_of(paint.paint_from), 3] = 0
    return table


def _level_of(probability: float) -> int:
    return int(np.float32(probability) * np.float32(_LEVELS - 1))


def infection_map(
    canvas: NDArray[np.uint8],
    probability: NDArray[np.float32],
    table: str = JET,
    *,
    paint: Paint = PAPER,
    lungs: NDArray[np.uint8] | None = None,
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
        Name of the finding's colour table.
    paint
        How it is painted.
    lungs
        (224, 224) uint8, 0 or 1, which a paint inside the lungs needs; without any pixel of a lung it is
        painted everywhere.

    Returns
    -------
    NDArray
        (H, W, 3) uint8 RGB: what :func:`paint_table` has for ``uint8(255 * probability)`` and the canvas.
    """
    height, width = canvas.shape
    fitted = cv2.resize(probability, (width, height), interpolation=cv2.INTER_LINEAR)
    if paint.in_lungs and lungs is not None and lungs.any():
        inside = cv2.resize(
            lungs.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR
        )
        fitted = np.where(inside >= np.float32(0.5), fitted, np.float32(0))
    level = (fitted * np.float32(_LEVELS - 1)).astype(np.uint8)
    painted: NDArray[np.uint8] = paint_table(paint, table)[level, canvas]
    return painted


def mask_at(
    field: NDArray[np.float32], size: tuple[int, int], threshold: float
) -> NDArray[np.uint8]:
    """The mask of where a field reaches a threshold, at another size.

    Parameters
    ----------
    field
        (224, 224) float32, brought to that size as for the infection map (bilinear, half-pixel centres), so
        that the mask's edge is the map's.
    size
        Height and width in pixels.
    threshold
        From which a pixel is inside.

    Returns
    -------
    NDArray
        (height, width) uint8, 0 or 1.
    """
    height, width = size
    mask = cv2.resize(field, (width, height), interpolation=cv2.INTER_LINEAR) >= threshold
    if not mask.any():
        # A lone pixel's peak is lost between the new ones, and a detection must not be.
        decided = (field >= threshold).astype(np.uint8)
        mask = cv2.resize(decided, (width, height), interpolation=cv2.INTER_NEAREST_EXACT) > 0
    return mask.astype(np.uint8)


def encode_png(infection_map: NDArray[np.uint8]) -> bytes:
    """An infection map, (H, W, 3) uint8 RGB, as PNG."""
    bgr = cv2.cvtColor(infection_map, cv2.COLOR_RGB2BGR)
    # Level 1: writing the file would otherwise take longer than everything before it.
    return cv2.imencode(".png", bgr, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()
