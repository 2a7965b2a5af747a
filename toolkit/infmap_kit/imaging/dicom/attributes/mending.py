"""Attributes that are missing, badly written or of another kind: a safe value with a word, or a refusal.

What is said names the attribute, what was found and what is done, and quotes no text of the file. Afterwards
every attribute that decoding and display look at is of the type that they expect.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from infmap_kit.errors import InputRejected
from infmap_kit.imaging.dicom.attributes.values import (
    NAMES,
    decimals,
    has_own_vr,
    integer,
    is_given,
    put,
    words,
)
from infmap_kit.imaging.radiograph import InputWarning, Reason, WarningCode

if TYPE_CHECKING:
    from pydicom import Dataset

_FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")
_SHAPES = ("IDENTITY", "INVERSE")
_COLOURS = ("PALETTECOLOR", "RGB", "HSV", "ARGB", "CMYK", "XYB")
_OPPOSITES = ("LR", "AP", "HF")


def mend_tags(dataset: Dataset) -> tuple[InputWarning, ...]:
    """Give attributes that are missing or badly written their safe value, and say which, what and why.

    A decimal comma is a point, and a number is taken whatever its VR; a window without a partner, of no width
    or of words is none; a rescale slope without intercept has 0, an intercept without slope 1; without Pixel
    Representation values are unsigned, without Bits Stored all bits count, without Samples per Pixel there is
    one, and without Photometric Interpretation the picture is taken for MONOCHROME2, which the look at its
    polarity refuses if it is not.

    Raises
    ------
    InputRejected
        ``unreadable``, for an attribute that has no safe value.
    """
    for keyword in NAMES:
        # Empty ones of another VR are not even read as empty.
        if keyword in dataset and not is_given(dataset, keyword):
            put(dataset, keyword, None)
    said = [
        *_windows(dataset),
        *_rescale(dataset),
        *(
            line
            for name in ("PixelSpacing", "ImagerPixelSpacing")
            for line in _spacing(dataset, name)
        ),
        *_term(dataset, "PresentationLUTShape", _SHAPES, None),
        *_orientation(dataset),
    ]
    if "PixelData" in dataset:
        said += _layout(dataset)
        said += _padding(dataset)
    return (InputWarning(WarningCode.MENDED_TAGS, "; ".join(said)),) if said else ()


def _windows(dataset: Dataset) -> list[str]:
    said = _term(dataset, "VOILUTFunction", _FUNCTIONS, "LINEAR")
    read = {keyword: decimals(dataset, keyword) for keyword in ("WindowCenter", "WindowWidth")}
    said += [line for _, lines in read.values() for line in lines]
    (centres, _), (widths, _) = read.values()
    least = 1.0 if str(dataset.get("VOILUTFunction") or "LINEAR") == "LINEAR" else 1e-6
    kept = []
    unpaired, without_width = len(centres) != len(widths), False
    for centre, width in zip(centres, widths, strict=False):
        if centre is None or width is None:
            unpaired = True
        elif width < least:
            without_width = True
        else:
            kept.append((centre, width))
    if unpaired:
        said.append(
            "Window Center and Window Width are not in pairs: those without a partner are left out"
        )
    if without_width:
        said.append("Window Width is none that a window can have: that window is left out")
    if said:
        put(dataset, "WindowCenter", [_text(centre) for centre, _ in kept] or None)
        put(dataset, "WindowWidth", [_text(width) for _, width in kept] or None)
    return said


def _rescale(dataset: Dataset) -> list[str]:
    said: list[str] = []
    one: dict[str, float | None] = {}
    for keyword in ("RescaleSlope", "RescaleIntercept"):
        numbers, lines = decimals(dataset, keyword)
        if None in numbers or len(set(numbers)) > 1:
            raise InputRejected(
                Reason.UNREADABLE,
                f"expected a number as {NAMES[keyword]}, found none: what the values mean is not known",
                found={"damaged": NAMES[keyword]},
            )
        one[keyword] = numbers[0] if numbers else None
        if len(numbers) > 1:
            lines.append(f"{NAMES[keyword]} has the same value several times: it is taken once")
        said += lines
    slope, intercept = one["RescaleSlope"], one["RescaleIntercept"]
    if (slope is None) != (intercept is None):
        if slope is None:
            said.append("Rescale Intercept has no Rescale Slope: 1 is taken")
        else:
            said.append("Rescale Slope has no Rescale Intercept: 0 is taken")
        slope, intercept = slope if slope is not None else 1.0, intercept or 0.0
    if slope == 0:
        raise InputRejected(
            Reason.UNREADABLE,
            "expected a Rescale Slope other than 0, which makes all values the same: export it anew",
            found={"damaged": "Rescale Slope"},
        )
    if said and slope is not None and intercept is not None:
        put(dataset, "RescaleSlope", _text(slope))
        put(dataset, "RescaleIntercept", _text(intercept))
    return said


def _spacing(dataset: Dataset, keyword: str) -> list[str]:
    numbers, said = decimals(dataset, keyword)
    if said:
        whole = len(numbers) == 2 and None not in numbers
        put(
            dataset,
            keyword,
            [_text(number) for number in numbers if number is not None] if whole else None,
        )
    return said


def _layout(dataset: Dataset) -> list[str]:
    """Rows, columns and bits as integers."""
    said: list[str] = []
    for keyword in ("Rows", "Columns", "BitsAllocated"):
        if integer(dataset, keyword, said) is None:
            raise InputRejected(
                Reason.UNREADABLE,
                f"expected a number of {NAMES[keyword]}, found none: store the radiograph anew",
                found={"missing": NAMES[keyword]},
            )
    allocated = int(dataset.BitsAllocated)
    frames = integer(dataset, "NumberOfFrames", said)
    if frames is None and "NumberOfFrames" in dataset:
        put(dataset, "NumberOfFrames", None)
    high = integer(dataset, "HighBit", said)
    if high is None:
        put(dataset, "HighBit", None)
    if integer(dataset, "SamplesPerPixel", said) is None:
        said.append(_taken(dataset, "SamplesPerPixel", 1))
    stored = integer(dataset, "BitsStored", said)
    if not stored:
        usual = high + 1 if high is not None and 1 <= high < allocated else allocated
        said.append(_taken(dataset, "BitsStored", usual))
    representation = integer(dataset, "PixelRepresentation", said)
    if representation is None and not is_given(dataset, "PixelRepresentation"):
        said.append(_taken(dataset, "PixelRepresentation", 0))
    elif representation not in (0, 1):
        raise InputRejected(
            Reason.UNREADABLE,
            "expected 0 or 1 as Pixel Representation, found neither: whether values are signed is not known",
            found={"damaged": "Pixel Representation"},
        )
    if (
        high is not None
        and 1 <= dataset.BitsStored <= high < allocated
        and not _encapsulated(dataset)
    ):
        said.append(
            f"High Bit is {high} with {dataset.BitsStored} Bits Stored: values are taken from the upper bits, "
            "look whether the picture is right"
        )
    return said + _photometric(dataset)


def _photometric(dataset: Dataset) -> list[str]:
    keyword = "PhotometricInterpretation"
    if not is_given(dataset, keyword):
        return [_taken(dataset, keyword, "MONOCHROME2")]
    written = words(dataset, keyword)
    values = {re.sub(r"[^A-Z0-9]", "", one.upper()) for one in written}
    found = values.pop() if len(values) == 1 else ""
    if found in ("MONOCHROME1", "MONOCHROME2"):
        if written == [found] and has_own_vr(dataset, keyword):
            return []
        put(dataset, keyword, found)
        return [f"Photometric Interpretation is badly written: it is read as {found}"]
    if dataset.SamplesPerPixel == 1 and found not in _COLOURS and not found.startswith("YBR"):
        raise InputRejected(
            Reason.UNREADABLE,
            "expected MONOCHROME1 or MONOCHROME2 as Photometric Interpretation, found no term of DICOM: "
            "whether white is dense is not known",
            found={"damaged": "Photometric Interpretation"},
        )
    if not has_own_vr(dataset, keyword):
        put(dataset, keyword, "\\".join(written))
    return []


def _padding(dataset: Dataset) -> list[str]:
    said: list[str] = []
    for keyword in ("PixelPaddingValue", "PixelPaddingRangeLimit"):
        given = is_given(dataset, keyword)
        if integer(dataset, keyword, said) is None and given:
            put(dataset, keyword, None)
            said.append(f"{NAMES[keyword]} is no number: it is left out")
    return said


def _orientation(dataset: Dataset) -> list[str]:
    if not is_given(dataset, "PatientOrientation"):
        return []
    values = [value.upper() for value in words(dataset, "PatientOrientation")]
    if len(values) == 2 and all(_is_direction(value) for value in values) and _cross(*values):
        put(dataset, "PatientOrientation", values)
        return []
    put(dataset, "PatientOrientation", None)
    if values and not any(values):
        return []
    if len(values) == 1:
        return ["Patient Orientation has one value instead of two: it is left out"]
    return ["Patient Orientation has not the two directions that it should: it is left out"]


def _cross(rows: str, columns: str) -> bool:
    """Whether two directions run along two axes of the patient."""
    return not any({rows[0], columns[0]} <= set(pair) for pair in _OPPOSITES)


def _is_direction(value: str) -> bool:
    """Whether letters are a direction of PS3.3, C.7.6.1.1.1: none twice, and no two that are opposite."""
    known = bool(value) and set(value) <= set("LRAPHF") and len(set(value)) == len(value)
    return known and not any(set(pair) <= set(value) for pair in _OPPOSITES)


def _term(dataset: Dataset, keyword: str, known: tuple[str, ...], instead: str | None) -> list[str]:
    """Bring one of the standard's terms to its spelling."""
    if not is_given(dataset, keyword):
        return []
    written = words(dataset, keyword)
    values = {re.sub(r"[ -]", "_", value.upper()) for value in written}
    found = values.pop() if len(values) == 1 else ""
    if written == [found] and found in known and has_own_vr(dataset, keyword):
        return []
    if found in known:
        put(dataset, keyword, found)
        return [f"{NAMES[keyword]} is badly written: it is read as {found}"]
    put(dataset, keyword, instead)
    done = f"{instead} is taken" if instead else "it is left out"
    return [f"{NAMES[keyword]} is none that DICOM has: {done}"]


def _encapsulated(dataset: Dataset) -> bool:
    return bool(dataset.file_meta.TransferSyntaxUID.is_encapsulated)


def _taken(dataset: Dataset, keyword: str, value: int | str) -> str:
    how = "no number" if is_given(dataset, keyword) else "missing"
    put(dataset, keyword, value)
    return f"{NAMES[keyword]} is {how}: {value} is taken"


def _text(number: float) -> str:
    """A decimal string of at most 16 characters (PS3.5, 6.2)."""
    return f"{number:.9g}"
