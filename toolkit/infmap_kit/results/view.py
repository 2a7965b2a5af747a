"""The files that `infmap-kit view` shows beside a result's JSON: the radiograph, the probabilities, the lungs.

They are written where the format ``view`` is asked for. The radiograph is the larger part: as large as the
file that it was read from, and as much of a patient.
"""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from infmap_kit.answer.answer import Answer
from infmap_kit.errors import InputRejected
from infmap_kit.imaging.dicom.detector_values import detector_values
from infmap_kit.imaging.dicom.quiet import quiet
from infmap_kit.imaging.radiograph import Radiograph
from infmap_kit.imaging.readers import read_content

if TYPE_CHECKING:
    from pathlib import Path

    from pydicom import Dataset

RADIOGRAPH, PROBABILITY, LUNGS = "radiograph", "probability", "lungs"

PROBABILITY_STEPS = 2**16 - 1
"""Of a probability in 16 bits: 0.5 lies between two steps, so that exactly what reached it lies above."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ViewPictures:
    """Pictures of one result.

    Parameters
    ----------
    contents
        PNG by what it shows: the radiograph at its own size, in 8 or 16 bits; the probabilities in 16 bits and,
        where they are served, the lungs as 0 and 255, both at the network's size.
    stated
        What a viewer needs to know of them, for the JSON.
    """

    contents: dict[str, bytes]
    stated: dict[str, Any]


def view_pictures(path: Path, radiograph: Radiograph, answer: Answer) -> ViewPictures:
    """Make the pictures of a result.

    Parameters
    ----------
    path
        The radiograph's file: of DICOM, its values are read again in all their bits, which nothing else needs.
    radiograph, answer
        The radiograph, and the answer.
    """
    pixels: NDArray[Any] = radiograph.pixels
    stated: dict[str, Any] = {"tone": None, "offset": 0.0, "slope": 1.0, "spacing_mm": None}
    if radiograph.header is not None:
        stated["spacing_mm"] = _spacing(
            radiograph.header, is_turned=radiograph.orientation.transposed
        )
        try:
            deep = detector_values(read_content(path), radiograph.pixels)
        except InputRejected:
            # Gone or changed since it was read: the 8 bits that were answered about are there.
            deep = None
        if deep is not None:
            pixels = deep.values
            stated |= {"tone": list(deep.tone), "offset": deep.offset, "slope": deep.slope}
    contents = {
        RADIOGRAPH: _png(pixels),
        PROBABILITY: _png(in_16_bits(answer.probability)),
    }
    if answer.lungs is not None:
        contents[LUNGS] = _png(answer.lungs * np.uint8(255))
    return ViewPictures(contents=contents, stated=stated)


def in_16_bits(probability: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Probabilities in [0, 1] to the nearest of 65536 steps."""
    return np.rint(probability.astype(np.float64) * PROBABILITY_STEPS).astype(np.uint16)


def _spacing(header: Dataset, *, is_turned: bool) -> dict[str, Any] | None:
    """Millimetres between the upright picture's rows and columns, and where they were measured."""
    for keyword, place in (("PixelSpacing", "patient"), ("ImagerPixelSpacing", "detector")):
        try:
            with quiet():
                down, across = (float(length) for length in header.get(keyword) or ())
        except (TypeError, ValueError):
            continue
        if all(math.isfinite(length) and length > 0 for length in (down, across)):
            down, across = (across, down) if is_turned else (down, across)
            return {"down": down, "across": across, "at": place}
    return None


def _png(picture: NDArray[Any]) -> bytes:
    return cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()
