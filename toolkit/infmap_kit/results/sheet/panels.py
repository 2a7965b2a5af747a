"""The pictures of a sheet: the radiograph, its map with contours, and the scale of colours."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
from numpy.typing import NDArray

from infmap_kit.answer.answer import Answer
from infmap_kit.imaging.colour import infection_map, mask_at, paint_table
from infmap_kit.imaging.radiograph import Radiograph
from infmap_kit.model.finding import FindingSpec
from infmap_kit.model.spec import DETECTION_THRESHOLD
from infmap_kit.results.sheet.lettering import WHITE, Colour

Rgb = NDArray[np.uint8]
"""(H, W, 3) uint8."""

LUNGS_COLOUR: Colour = (0, 220, 230)
FINDING_COLOUR: Colour = WHITE
_SHADE: Colour = (0, 0, 0)
_MID_GRAY = 128
"""Gray of the radiograph below the scale of colours."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PanelSize:
    """Height and width of a panel in pixels, which are square."""

    height: int
    width: int

    @classmethod
    def of(cls, radiograph: Radiograph, aspect: float, *, least: int, most: int) -> PanelSize:
        """The size of a radiograph's panel: its own, but with its longer side within bounds.

        Parameters
        ----------
        radiograph
            The radiograph.
        aspect
            Height of one of its pixels over the width, upright.
        least, most
            Bounds of the longer side in pixels.
        """
        height, width = radiograph.height * aspect, float(radiograph.width)
        side = max(height, width)
        scale = min(max(side, least), most) / side
        return cls(height=max(1, round(height * scale)), width=max(1, round(width * scale)))

    @property
    def line_pixels(self) -> int:
        """Width of contours."""
        return max(2, round(max(self.height, self.width) / 600))


def radiograph_panel(radiograph: Radiograph, size: PanelSize) -> Rgb:
    """The radiograph as it was shown to the network."""
    gray = _fitted(radiograph.pixels, size)
    return np.repeat(gray[..., np.newaxis], 3, axis=-1)


def map_panel(radiograph: Radiograph, answer: Answer, finding: FindingSpec, size: PanelSize) -> Rgb:
    """The map, with the contours of the lungs and of what reaches the threshold."""
    painted = _fitted(painted_map(radiograph, answer, finding), size)
    panel = np.ascontiguousarray(painted)
    shape = (size.height, size.width)
    if answer.lungs is not None:
        lungs = mask_at(answer.lungs.astype(np.float32), shape, DETECTION_THRESHOLD)
        _outline(panel, lungs, LUNGS_COLOUR, size.line_pixels)
    _outline(
        panel,
        mask_at(answer.probability, shape, finding.threshold),
        FINDING_COLOUR,
        size.line_pixels,
    )
    return panel


def painted_map(radiograph: Radiograph, answer: Answer, finding: FindingSpec) -> Rgb:
    """The served map; one that was not asked for is painted here, as the server would."""
    if answer.infection_map is not None:
        return answer.infection_map
    return infection_map(
        radiograph.pixels,
        answer.probability,
        finding.colour_table,
        paint=answer.paint,
        lungs=answer.lungs,
    )


def colour_bar(answer: Answer, finding: FindingSpec, height: int, width: int) -> Rgb:
    """The paint of each probability on a middle gray, 1 at the top."""
    table = paint_table(answer.paint, finding.colour_table)[:, _MID_GRAY]
    levels = (np.linspace(1, 0, height) * (len(table) - 1)).astype(np.uint8)
    return np.repeat(table[levels][:, np.newaxis], width, axis=1)


def _outline(panel: Rgb, mask: NDArray[np.uint8], colour: Colour, line: int) -> None:
    contours, _ = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    # Dark below, so that it is seen on any gray and any colour.
    cv2.drawContours(panel, contours, -1, _SHADE, 2 * line, cv2.LINE_AA)
    cv2.drawContours(panel, contours, -1, colour, line, cv2.LINE_AA)


def _fitted(picture: NDArray[np.uint8], size: PanelSize) -> NDArray[np.uint8]:
    smaller = size.height <= picture.shape[0] and size.width <= picture.shape[1]
    method = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    fitted = cv2.resize(picture, (size.width, size.height), interpolation=method)
    return fitted.astype(np.uint8, copy=False)
