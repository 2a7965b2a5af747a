"""Shapes of a drawn chest: outlines, tubes and blobs, placed by shares of height and width."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]
"""(H, W) float32, a density."""

Point = tuple[float, float]
"""Distance from the midline and from the top edge, as shares of the width and the height."""

# Fixed-point fraction of OpenCV's drawing functions: corners at a 16th of a pixel.
_SHIFT = 4


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plate:
    """The area of a drawing.

    Parameters
    ----------
    height, width
        Size in pixels.
    midline
        Place of the spine, as a share of the width.
    scale
        Size of the chest; 1 fills the plate.
    """

    height: int
    width: int
    midline: float = 0.5
    scale: float = 1.0

    @property
    def unit(self) -> float:
        """Pixels of a share of 1 of the shorter side."""
        return min(self.height, self.width) * self.scale

    def pixels(self, points: Sequence[Point], side: int) -> NDArray[np.float64]:
        """(N, 2) x and y in pixels; ``side`` -1 is the patient's right, on the picture's left."""
        share = np.asarray(points, np.float64) * self.scale
        x = (self.midline + side * share[:, 0]) * self.width
        y = (share[:, 1] + (1 - self.scale) / 2) * self.height
        return np.stack([x, y], axis=1)

    def empty(self) -> Field:
        """Return a field of zeros."""
        return np.zeros((self.height, self.width), np.float32)

    def outline(self, points: Sequence[Point], side: int) -> NDArray[np.uint8]:
        """(H, W) uint8, 1 inside the smooth closed curve through the points."""
        mask = np.zeros((self.height, self.width), np.uint8)
        corners = _fixed(smooth(self.pixels(points, side), closed=True))
        cv2.fillPoly(mask, [corners], 1, shift=_SHIFT)
        return mask

    def tube(
        self, points: Sequence[Point], side: int, *, diameter: float, hollow: float = 0.0
    ) -> Field:
        """Draw a bent tube: 1 across, less by ``hollow`` along its axis."""
        field = self.empty()
        self.draw(field, points, side, diameter=diameter, density=1.0)
        if hollow:
            self.draw(field, points, side, diameter=0.55 * diameter, density=1 - hollow)
        return field

    def draw(
        self, field: Field, points: Sequence[Point], side: int, *, diameter: float, density: float
    ) -> None:
        """Draw a bent line of one density over what is there."""
        curve = _fixed(smooth(self.pixels(points, side), closed=False))
        thickness = max(1, round(diameter * self.unit))
        cv2.polylines(field, [curve], False, density, thickness, cv2.LINE_AA, _SHIFT)

    def blob(self, centre: Point, side: int, radii: Point, *, degrees: float = 0.0) -> Field:
        """Draw a bell: 1 in the centre, 0.5 at the radii."""
        (x, y), turn = self.pixels([centre], side)[0], np.deg2rad(degrees * side)
        columns = (np.arange(self.width, dtype=np.float32) - np.float32(x))[np.newaxis]
        rows = (np.arange(self.height, dtype=np.float32) - np.float32(y))[:, np.newaxis]
        along = np.float32(np.cos(turn)) * columns + np.float32(np.sin(turn)) * rows
        across = np.float32(np.cos(turn)) * rows - np.float32(np.sin(turn)) * columns
        along *= np.float32(1 / (radii[0] * self.unit))
        across *= np.float32(1 / (radii[1] * self.unit))
        bell: Field = np.exp2(-(along * along + across * across))
        return bell

    def soften(self, field: Field, radius: float) -> Field:
        """Blur by a radius given as a share of the shorter side."""
        return soften(field, radius * self.unit)


def soften(field: Field, sigma: float) -> Field:
    """Gaussian blur; wide ones on a smaller grid, where they look the same and cost little."""
    step = max(1, int(sigma / 4))
    height, width = field.shape
    if step == 1:
        return _as_field(cv2.GaussianBlur(field, (0, 0), max(sigma, 0.3)))
    small = cv2.resize(field, (-(-width // step), -(-height // step)), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), sigma / step)
    return _as_field(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC))


def grain(random: np.random.Generator, plate: Plate, radius: float) -> Field:
    """Noise of mean 0 and standard deviation 1 whose grains have about this radius (a share)."""
    step = max(1.0, radius * plate.unit)
    size = (int(plate.width / step) + 2, int(plate.height / step) + 2)
    coarse = random.standard_normal((size[1], size[0]), dtype=np.float32)
    field = cv2.resize(coarse, (plate.width, plate.height), interpolation=cv2.INTER_CUBIC)
    return _as_field(field / max(float(field.std()), 1e-6))


def smooth(points: NDArray[np.float64], *, closed: bool) -> NDArray[np.float64]:
    """Lay a Catmull-Rom curve through points, sixteen steps between two."""
    if closed:
        padded = np.concatenate([points[-1:], points, points[:2]])
    else:
        first, last = 2 * points[:1] - points[1:2], 2 * points[-1:] - points[-2:-1]
        padded = np.concatenate([first, points, last])
    t = np.linspace(0, 1, 16, endpoint=False)[:, np.newaxis]
    a, b, c, d = padded[:-3], padded[1:-2], padded[2:-1], padded[3:]
    pieces = [
        b[i]
        + 0.5 * t * (c[i] - a[i])
        + t**2 * (a[i] - 2.5 * b[i] + 2 * c[i] - 0.5 * d[i])
        + t**3 * (1.5 * (b[i] - c[i]) + 0.5 * (d[i] - a[i]))
        for i in range(len(a))
    ]
    return np.concatenate([*pieces, padded[-2:-1]])


def _fixed(points: NDArray[np.float64]) -> NDArray[np.int32]:
    fixed: NDArray[np.int32] = np.rint(points * 2**_SHIFT).astype(np.int32)
    return fixed


def _as_field(array: object) -> Field:
    return np.asarray(array, np.float32)
