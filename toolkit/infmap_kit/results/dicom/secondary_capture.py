"""The Secondary Capture, which every viewer shows: radiograph and map with their words, or the bare map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from infmap_kit.imaging.dicom.dataset import text_of
from infmap_kit.results.dicom.author import MANUFACTURER, Author
from infmap_kit.results.dicom.reference import pixel_aspect
from infmap_kit.results.sheet.lettering import Lettering
from infmap_kit.results.sheet.panels import painted_map
from infmap_kit.results.sheet.sheet import Capture, SheetText, draw_sheet
from infmap_kit.results.words.conclusion import conclusion, notice, short_notice, warned
from infmap_kit.results.words.words import Words

if TYPE_CHECKING:
    from pydicom import Dataset

    from infmap_kit.answer.answer import Answer
    from infmap_kit.imaging.radiograph import Radiograph

_UPRIGHT = ["L", "F"]
_LEAST_LETTERS, _SMALLEST_LETTERS = 10, 8
"""Pixels of letters in the foot of a bare map, at least, and of one that is narrow."""
_NARROW = 128
"""Width in pixels below which a map is narrow."""
_MOST_ROWS = 2
_FOOT_SHARE = 4
"""The part of a map's height that a foot may take: a quarter."""


def secondary_capture(
    radiograph: Radiograph, answer: Answer, author: Author, capture: Capture
) -> Dataset:
    """Write a sheet, which is upright, or the bare map at native size, which lies as the source lies.

    Pixels are compressed without loss by JPEG-LS. What is burned in identifies nobody, so that Burned In
    Annotation (PS3.3, C.7.6.1) is the radiograph's own, whose pixels are shown: "NO" where that says "NO".
    """
    from highdicom.sc import SCImage
    from pydicom import Dataset
    from pydicom.uid import JPEGLSLossless

    finding, source = author.finding, author.source
    if capture is Capture.BARE:
        words = Words(author.language)
        short = short_notice(finding, words)
        painted = radiograph.as_stored(painted_map(radiograph, answer, finding))
        picture = with_foot(painted, [f"{_model(author, words)} · {short}", short])
        described, shown = f"{finding.title} map", "The map"
    else:
        picture = _sheet(radiograph, answer, author, capture)
        described = f"{finding.title} map with its legend"
        shown = "Map with contours, scale and words"
        if capture is Capture.BESIDE:
            shown = "Radiograph and map with contours, scale and words"
    written = SCImage.from_ref_dataset(
        ref_dataset=source,
        pixel_array=picture,
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        # Replaced by the source's own where the picture lies like the source.
        patient_orientation=("L", "F"),
        transfer_syntax_uid=JPEGLSLossless,
        **author.identification("sc", series_number=9001, described=described),
    )
    author.signed(written)
    if capture is Capture.BARE:
        aspect = pixel_aspect(source)
        if aspect != [1, 1]:
            written.PixelAspectRatio = aspect
    else:
        # Pixels of a sheet are square, and of no size on the patient.
        for keyword in ("PixelSpacing", "ImagerPixelSpacing", "PixelAspectRatio"):
            written.pop(keyword, None)
        written.PatientOrientation = _UPRIGHT if radiograph.sides_stated else None
    # As compressed pixels are written (PS3.5, A.4); who sends it from memory has nobody to mend it.
    written["PixelData"].is_undefined_length = True
    burned_in = text_of(source, "BurnedInAnnotation")
    if burned_in in ("YES", "NO"):
        written.BurnedInAnnotation = burned_in
    else:
        written.pop("BurnedInAnnotation", None)
    written.DerivationDescription = (
        f"{finding.name} by {MANUFACTURER}. {shown}, burned in; none of it identifies the patient"
    )
    origin = Dataset()
    origin.ReferencedSOPClassUID = source.SOPClassUID
    origin.ReferencedSOPInstanceUID = source.SOPInstanceUID
    written.SourceImageSequence = [origin]
    return written


def _sheet(
    radiograph: Radiograph, answer: Answer, author: Author, capture: Capture
) -> NDArray[np.uint8]:
    words, finding, source = Words(author.language), author.finding, author.source
    rows, columns = pixel_aspect(source)
    aspect = columns / rows if radiograph.orientation.transposed else rows / columns
    return draw_sheet(
        radiograph,
        answer,
        finding,
        words,
        SheetText(
            conclusion=conclusion(answer, finding, words, sides_stated=radiograph.sides_stated),
            warnings=warned((*radiograph.warnings, *answer.warnings), words),
            remarks=[_model(author, words), notice(finding, words)],
        ),
        capture=capture,
        # Reading has brought the patient's right to the picture's left where it is stated.
        sides_known=radiograph.sides_stated,
        aspect=aspect,
    )


def _model(author: Author, words: Words) -> str:
    return words("model", name=author.model_name, version=author.model_version)


def with_foot(picture: NDArray[np.uint8], texts: Sequence[str]) -> NDArray[np.uint8]:
    """Write over the lower edge of a copy of a picture, (H, W, 3) uint8.

    Parameters
    ----------
    picture
        The picture.
    texts
        What may be written, the longest first: the first that needs no more than two rows, else the last. Where
        that would hide more than a quarter of the picture, nothing is written.
    """
    height, width = picture.shape[:2]
    pixels = round(0.016 * min(height, 2 * width))
    lettering = Lettering(
        pixels=max(_LEAST_LETTERS if width >= _NARROW else _SMALLEST_LETTERS, pixels)
    )
    margin = lettering.pixels // 2
    choices = [lettering.rows(text, width - 2 * margin) for text in texts]
    rows = next((rows for rows in choices if len(rows) <= _MOST_ROWS), choices[-1])
    foot = lettering.line_pixels * len(rows) + margin
    burned = picture.copy()
    if foot > height / _FOOT_SHARE:
        # The map is what it is for; tags of the object say the same.
        return burned
    top = height - foot
    burned[top:] //= 4
    image = Image.fromarray(burned)
    draw = ImageDraw.Draw(image)
    for number, row in enumerate(rows):
        lettering.write(draw, (margin, top + margin // 2 + number * lettering.line_pixels), row)
    return np.asarray(image)
