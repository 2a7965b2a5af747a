"""Drawn chest radiographs with known lungs and a known infection.

For the first try, for warm-up and for tests: of no patient, in any number, and with exact masks.
The picture is a sum of densities along the beam, as in a real radiograph (tissue and bone add, air
takes away), then a film's S-curve and a detector's noise. It resembles a chest; nothing medical
can be learnt from it.
"""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
from numpy.typing import NDArray

from infmap_kit.imaging.radiograph import Radiograph, refuse_size
from infmap_kit.imaging.synthetic.anatomy import Field, Plate, Point, grain

_RIGHT, _LEFT = -1, 1  # the patient's sides

_LUNGS: dict[int, tuple[Point, ...]] = {
    _RIGHT: (
        (0.052, 0.180), (0.090, 0.112), (0.155, 0.092), (0.225, 0.135), (0.296, 0.250),
        (0.350, 0.400), (0.382, 0.570), (0.396, 0.720), (0.402, 0.815), (0.352, 0.752),
        (0.262, 0.702), (0.165, 0.700), (0.085, 0.742), (0.092, 0.650), (0.070, 0.530),
        (0.064, 0.410), (0.054, 0.290),
    ),
    _LEFT: (
        (0.052, 0.180), (0.088, 0.112), (0.150, 0.092), (0.220, 0.135), (0.291, 0.250),
        (0.346, 0.400), (0.380, 0.570), (0.396, 0.730), (0.404, 0.840), (0.360, 0.785),
        (0.290, 0.742), (0.235, 0.752), (0.216, 0.690), (0.175, 0.590), (0.112, 0.500),
        (0.080, 0.420), (0.092, 0.335), (0.078, 0.270),
    ),
}  # fmt: skip
_BODY: tuple[Point, ...] = (
    (-0.02, -0.15), (0.115, -0.15), (0.112, -0.020), (0.150, 0.040), (0.270, 0.070), (0.420, 0.095),
    (0.540, 0.170), (0.560, 0.300), (0.525, 0.420), (0.498, 0.600), (0.492, 0.800), (0.500, 1.150),
    (-0.02, 1.150),
)  # fmt: skip
_HILA: dict[int, Point] = {_RIGHT: (0.078, 0.440), _LEFT: (0.088, 0.415)}


@dataclasses.dataclass(frozen=True, eq=False)
class SyntheticRadiograph:
    """A drawn radiograph with its true masks.

    Parameters
    ----------
    radiograph
        The picture.
    infection_mask
        (H, W) uint8, 1 where the lung is infected, else 0.
    lung_mask
        (H, W) uint8, 1 where lung can be seen, else 0; the infection lies inside.
    """

    radiograph: Radiograph
    infection_mask: NDArray[np.uint8]
    lung_mask: NDArray[np.uint8]


def synthetic_radiograph(
    seed: int, *, height: int = 1024, width: int = 1024, infected: bool = True, extent: float = 1.0
) -> SyntheticRadiograph:
    """Draw a frontal chest radiograph.

    Parameters
    ----------
    seed
        Same seed, same picture; another seed, another chest. The chest is the same with and
        without infection.
    height, width
        Size in pixels, at least 64.
    infected
        Whether to draw patches like ground glass, mostly low and at the lungs' rim.
    extent
        How far the patches have grown, in (0, 1]: the smaller, the smaller each is, until none is left. The
        chest stays the same, so that several make a course.

    Raises
    ------
    InputRejected
        When the size is outside the limits of a :class:`Radiograph`.
    """
    refuse_size(width=width, height=height)
    random = np.random.default_rng(seed)
    plate = Plate(
        height=height,
        width=width,
        midline=float(random.uniform(0.485, 0.515)),
        scale=float(random.uniform(0.94, 1.04)),
    )
    lungs = {side: plate.outline(_varied(_LUNGS[side], random), side) for side in (_RIGHT, _LEFT)}
    lung_mask = np.maximum(lungs[_RIGHT], lungs[_LEFT])
    air = _air(plate, lung_mask)
    texture = _vessels(plate, random) + 0.10 * grain(random, plate, 0.006)
    density = _soft_tissue(plate, random) + _mediastinum(plate) + _bones(plate, random)
    # Drawn last, so that the chest before it is the same for both.
    noise = random.standard_normal((height, width), dtype=np.float32)
    opacity, infection_mask = plate.empty(), np.zeros_like(lung_mask)
    if infected:
        opacity, infection_mask = _infection(plate, random, lung_mask, extent)
    # Filled air spaces hide the vessels between them.
    density += air * (0.25 * opacity + 0.15 * texture * (1 - 0.6 * opacity) - 0.42)
    pixels = _exposed(plate, density, noise)
    name = f"synthetic-{seed}" if infected else f"synthetic-{seed}-normal"
    radiograph = Radiograph(pixels, name, "image/png", ("drawn, not taken",))
    return SyntheticRadiograph(radiograph, infection_mask, lung_mask)


def _varied(points: tuple[Point, ...], random: np.random.Generator) -> list[Point]:
    shifts = random.normal(0, 0.004, (len(points), 2))
    return [(x + dx, y + dy) for (x, y), (dx, dy) in zip(points, shifts.tolist(), strict=True)]


def _air(plate: Plate, lung_mask: NDArray[np.uint8]) -> Field:
    """The amount of air that the beam meets: little at the lungs' rim, most in their middle."""
    depth = cv2.distanceTransform(lung_mask, cv2.DIST_L2, 3) / (0.11 * plate.unit)
    bulge = np.sqrt(np.clip(depth, 0, 1) * (2 - np.clip(depth, 0, 1)))
    return plate.soften((0.42 * lung_mask + 0.58 * bulge).astype(np.float32), 0.0035)


def _soft_tissue(plate: Plate, random: np.random.Generator) -> Field:
    body = np.maximum(plate.outline(_BODY, _RIGHT), plate.outline(_BODY, _LEFT))
    depth = np.clip(cv2.distanceTransform(body, cv2.DIST_L2, 3) / (0.20 * plate.unit), 0, 1)
    field = plate.soften(((0.18 + 0.38 * np.sqrt(depth)) * body).astype(np.float32), 0.004)
    # Below the diaphragm the beam meets liver and bowel instead of air.
    belly = plate.empty()
    belly[int(0.72 * plate.height) :] = 1
    field += 0.14 * plate.soften(belly, 0.06) * body
    stomach = plate.blob((0.235, 0.835), _LEFT, (0.070, 0.028), degrees=-12) > 0.5
    field -= 0.13 * plate.soften(stomach.astype(np.float32), 0.008)
    # Breast or chest muscle, denser towards its lower rim.
    for side in (_RIGHT, _LEFT):
        muscle = plate.blob((0.270, 0.560), side, (0.130, 0.150)) > 0.5
        field += 0.045 * plate.soften(muscle.astype(np.float32), 0.016)
    field += 0.014 * grain(random, plate, 0.09) * body
    return field


def _mediastinum(plate: Plate) -> Field:
    heart = plate.blob((0.075, 0.610), _LEFT, (0.165, 0.125), degrees=38) > 0.5
    field = 0.15 * plate.soften(heart.astype(np.float32), 0.012)
    column = plate.tube([(0, -0.1), (0, 0.4), (0, 1.1)], _LEFT, diameter=0.105)
    field += 0.16 * plate.soften(column, 0.016)
    knob = plate.tube([(0.045, 0.300), (0.062, 0.310)], _LEFT, diameter=0.075)
    field += 0.07 * plate.soften(knob, 0.006)
    trachea = plate.tube([(0.0, -0.1), (-0.004, 0.2), (0.0, 0.335)], _LEFT, diameter=0.034)
    for side in (_RIGHT, _LEFT):
        bronchus = plate.tube([(0.0, 0.33), (0.04, 0.385), (0.075, 0.43)], side, diameter=0.022)
        trachea = np.maximum(trachea, 0.7 * bronchus)
        x, y = _HILA[side]
        field += 0.10 * plate.blob((x + 0.012, y + 0.02), side, (0.030, 0.060), degrees=12)
    field -= 0.10 * plate.soften(trachea, 0.005)
    return field


def _bones(plate: Plate, random: np.random.Generator) -> Field:
    field = plate.empty()
    tilt = random.normal(0, 0.004)
    # Vertebrae: bodies with dense rims and a gap for the disc, and the pedicles on them.
    spine, pedicles = plate.empty(), plate.empty()
    for i in range(15):
        y = -0.02 + 0.071 * i
        spine += plate.tube([(0, y - 0.016), (0, y + 0.016)], _LEFT, diameter=0.056, hollow=0.25)
        for side in (_RIGHT, _LEFT):
            pedicles += plate.tube([(0.019, y - 0.010), (0.019, y)], side, diameter=0.012)
    field += 0.06 * plate.soften(spine, 0.004) + 0.03 * plate.soften(pedicles, 0.003)
    for side in (_RIGHT, _LEFT):
        ribs = plate.empty()
        for i in range(10):
            ribs += _rib(plate, side, i, tilt * side)
        field += 0.092 * plate.soften(ribs, 0.0016)
        clavicle = plate.tube(
            [(0.028, 0.195), (0.090, 0.168), (0.180, 0.146), (0.270, 0.112), (0.375, 0.108)],
            side, diameter=0.025, hollow=0.35,
        )  # fmt: skip
        field += 0.15 * plate.soften(clavicle, 0.0016)
        field += _shoulder(plate, side)
    return field


def _wall(y: float) -> float:
    """Half width of the rib cage at a height."""
    heights = (0.08, 0.13, 0.20, 0.30, 0.45, 0.60, 0.80, 1.00)
    return float(np.interp(y, heights, (0.13, 0.225, 0.278, 0.328, 0.374, 0.398, 0.414, 0.42)))


def _rib(plate: Plate, side: int, index: int, tilt: float) -> Field:
    """Draw one rib: from the spine up and out, round the wall, and the upper ones forward and down."""
    top = 0.118 + 0.066 * index + tilt
    drop = 0.045 + 0.010 * index
    reach = _wall(top + drop)
    t = np.linspace(0, 1, 9)
    x = 0.032 + (reach - 0.032) * np.sin(t * np.pi / 2) ** 0.9
    y = top - 0.032 * np.sin(np.pi * np.minimum(t * 1.5, 1)) + drop * t**2.2
    back: list[Point] = list(zip(x.tolist(), y.tolist(), strict=True))
    rib = plate.tube(back, side, diameter=0.0225, hollow=0.45)
    if index < 7:
        t = np.linspace(0, 1, 7)
        inner = 0.115 + 0.020 * index
        x = reach - (reach - inner) * (1 - np.cos(t * np.pi / 2)) ** 0.9
        y = y[-1] + (0.105 + 0.004 * index) * np.sin(t * np.pi / 2)
        front: list[Point] = list(zip(x.tolist(), y.tolist(), strict=True))
        # Where they overlap it is one bone, so the greater counts, not the sum.
        rib = np.maximum(rib, 0.55 * plate.tube(front, side, diameter=0.026, hollow=0.40))
    return rib


def _shoulder(plate: Plate, side: int) -> Field:
    scapula = plate.outline(
        [(0.345, 0.140), (0.410, 0.135), (0.432, 0.190), (0.415, 0.260), (0.400, 0.400),
         (0.378, 0.440), (0.355, 0.330), (0.330, 0.210)], side,
    ).astype(np.float32)  # fmt: skip
    rim = scapula - plate.soften(scapula, 0.010)
    humerus = (plate.blob((0.468, 0.165), side, (0.044, 0.046)) > 0.5).astype(np.float32)
    shaft = plate.tube(
        [(0.484, 0.180), (0.505, 0.300), (0.515, 0.46)], side, diameter=0.050, hollow=0.4
    )
    bone = 0.035 * scapula + 0.09 * np.clip(rim, 0, 1) + 0.10 * np.maximum(humerus, shaft)
    return plate.soften(bone.astype(np.float32), 0.003)


def _vessels(plate: Plate, random: np.random.Generator) -> Field:
    """Vessels that fan out of the hila, fork and get thinner."""
    field = plate.empty()
    for side in (_RIGHT, _LEFT):
        for angle in np.linspace(-80, 88, 10) + random.normal(0, 7, 10):
            _grow(plate, random, field, side, _HILA[side], float(angle), 0.0115)
    return plate.soften(field, 0.0018)


def _grow(
    plate: Plate,
    random: np.random.Generator,
    field: Field,
    side: int,
    start: Point,
    degrees: float,
    diameter: float,
) -> None:
    """Draw a vessel and its forks; the thin ones first, so that none covers a thick one."""
    if diameter < 0.0022:
        return
    x, y = start
    points = [start]
    for bend in random.normal(0, 9, 2).tolist():
        length = float(random.uniform(0.018, 0.042))
        turn = np.deg2rad(degrees + bend)
        x, y = x + length * float(np.cos(turn)), y + length * float(np.sin(turn))
        points.append((x, y))
    for turn in (-1, 1):
        fork = degrees + turn * float(random.uniform(6, 30))
        thinner = diameter * float(random.uniform(0.62, 0.8))
        _grow(plate, random, field, side, points[-1], fork, thinner)
    plate.draw(field, points, side, diameter=diameter, density=min(1.0, diameter / 0.010))


def _infection(
    plate: Plate, random: np.random.Generator, lung_mask: NDArray[np.uint8], extent: float
) -> tuple[Field, NDArray[np.uint8]]:
    """Opacity in [0, 1] with soft rims, and where it counts as infected."""
    field = plate.empty()
    for side in (_RIGHT, _LEFT):
        for _ in range(int(random.integers(2, 5))):
            y = float(np.clip(random.normal(0.56, 0.12), 0.25, 0.72))
            x = float(random.uniform(0.55, 0.95)) * (_wall(y) - 0.03)
            radii = (float(random.uniform(0.035, 0.080)), float(random.uniform(0.045, 0.100)))
            patch = plate.blob((x, y), side, radii, degrees=float(random.uniform(-30, 30)))
            field = np.maximum(field, patch)
    field += 0.12 * grain(random, plate, 0.045) + 0.03 * grain(random, plate, 0.014)
    field -= 1 - extent
    mask = ((field > 0.5) & (lung_mask == 1)).astype(np.uint8)
    rim = np.clip((field - 0.25) / 0.55, 0, 1)
    clouds = 0.85 + 0.14 * grain(random, plate, 0.030) + 0.06 * grain(random, plate, 0.009)
    opacity = rim * rim * (3 - 2 * rim) * np.clip(clouds, 0.4, 1.2)
    return opacity.astype(np.float32), mask


def _exposed(plate: Plate, density: Field, noise: Field) -> NDArray[np.uint8]:
    """Density through a film's S-curve, with more noise where less light came through."""
    level = 1 / (1 + np.exp(-(density - 0.44) / 0.16))
    level += (0.006 + 0.012 * level) * plate.soften(noise, 0.0005) * 1.6
    pixels: NDArray[np.uint8] = np.clip(level * 250, 0, 255).astype(np.uint8)
    _stamp(plate, pixels)
    return pixels


def _stamp(plate: Plate, pixels: NDArray[np.uint8]) -> None:
    """Write into the picture that it is drawn, so that it is not taken for a patient's."""
    size = min(plate.height, plate.width) / 1024
    place = (round(0.02 * plate.width), round(0.035 * plate.height))
    cv2.putText(
        pixels, "SYNTHETIC", place, cv2.FONT_HERSHEY_SIMPLEX, 0.8 * size, 220,
        max(1, round(2 * size)), cv2.LINE_AA,
    )  # fmt: skip
