"""The map as a picture that every viewer shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from infmap_kit.imaging.colour import infection_map
from infmap_kit.results.dicom.author import MANUFACTURER, Author
from infmap_kit.results.dicom.reference import pixel_aspect

if TYPE_CHECKING:
    from pydicom import Dataset

    from infmap_kit.answer.answer import Answer
    from infmap_kit.imaging.radiograph import Radiograph

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_CAPITAL_PIXELS = 22
"""Height of that font's letters at scale 1."""


def secondary_capture(radiograph: Radiograph, answer: Answer, author: Author) -> Dataset:
    """Write the answer's map at native size, lying as the source lies, with a burned-in line.

    An answer that brings no map has it painted here.
    """
    from highdicom.sc import SCImage
    from pydicom import Dataset
    from pydicom.uid import ExplicitVRLittleEndian

    finding, source, painted = author.finding, author.source, answer.infection_map
    if painted is None:
        painted = infection_map(radiograph.pixels, answer.probability, finding.colour_table)
    picture = radiograph.as_stored(painted)
    line = f"{author.model_name}, version {author.model_version}. {finding.short_notice}."
    written = SCImage.from_ref_dataset(
        ref_dataset=source,
        pixel_array=with_line(picture, line),
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        # Replaced by the source's own, as the picture lies like the source.
        patient_orientation=("L", "F"),
        transfer_syntax_uid=ExplicitVRLittleEndian,
        **author.identification("sc", series_number=9001, described=f"{finding.title} map"),
    )
    aspect = pixel_aspect(source)
    if aspect != [1, 1]:
        written.PixelAspectRatio = aspect
    written.BurnedInAnnotation = "NO"
    written.DerivationDescription = f"{finding.name} map by {MANUFACTURER}"
    origin = Dataset()
    origin.ReferencedSOPClassUID = source.SOPClassUID
    origin.ReferencedSOPInstanceUID = source.SOPInstanceUID
    written.SourceImageSequence = [origin]
    return author.signed(written)


def with_line(picture: NDArray[np.uint8], text: str) -> NDArray[np.uint8]:
    """Write a text over the lower edge of a copy of a picture, (H, W, 3) uint8, in as many rows as it needs.

    The font has letters of ASCII alone.
    """
    height, width = picture.shape[:2]
    letter = max(8, round(0.012 * height))
    scale, thickness = letter / _CAPITAL_PIXELS, max(1, round(letter / 12))
    rows = _wrapped(text.encode("ascii", "replace").decode(), width - 2 * letter, scale, thickness)
    step = 2 * letter
    top = max(0, height - step * len(rows) - letter // 2)
    burned = picture.copy()
    burned[top:] //= 4
    for number, row in enumerate(rows):
        place = (letter, top + step * number + round(1.6 * letter))
        cv2.putText(burned, row, place, _FONT, scale, (255, 255, 255), thickness, cv2.LINE_AA)
    return burned


def _wrapped(text: str, width: int, scale: float, thickness: int) -> list[str]:
    """Words in rows of at most ``width`` pixels; a longer word has a row of its own."""
    rows: list[str] = []
    for word in text.split():
        longer = f"{rows[-1]} {word}" if rows else word
        if rows and cv2.getTextSize(longer, _FONT, scale, thickness)[0][0] <= width:
            rows[-1] = longer
        else:
            rows.append(word)
    return rows
