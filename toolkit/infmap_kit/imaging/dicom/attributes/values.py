"""Reading and setting the values of attributes whatever their VR, for what is not as the standard has it."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import MutableSequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydicom import Dataset
    from pydicom.tag import BaseTag

NAMES = {
    "WindowCenter": "Window Center", "WindowWidth": "Window Width", "RescaleSlope": "Rescale Slope",
    "RescaleIntercept": "Rescale Intercept", "PixelSpacing": "Pixel Spacing", "Rows": "Rows",
    "ImagerPixelSpacing": "Imager Pixel Spacing", "Columns": "Columns", "HighBit": "High Bit",
    "BitsAllocated": "Bits Allocated", "SamplesPerPixel": "Samples per Pixel",
    "BitsStored": "Bits Stored", "PixelRepresentation": "Pixel Representation",
    "NumberOfFrames": "Number of Frames", "PixelPaddingValue": "Pixel Padding Value",
    "PixelPaddingRangeLimit": "Pixel Padding Range Limit", "VOILUTFunction": "VOI LUT Function",
    "PresentationLUTShape": "Presentation LUT Shape",
    "PhotometricInterpretation": "Photometric Interpretation",
}  # fmt: skip
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_TEXT_VRS = ("DS", "IS", "CS", "LO", "SH", "LT", "ST", "UT", "UC", "AS", "UN", None)
_NUMBER_VRS = ("US", "SS", "UL", "SL", "UV", "SV", "FL", "FD", "US or SS")


def is_given(dataset: Dataset, keyword: str) -> bool:
    """Whether an attribute is there and not empty; it need not be readable."""
    tag = _tag(keyword)
    element: Any = dataset.get_item(tag, keep_deferred=True) if tag in dataset else None
    value = None if element is None else element.value
    if isinstance(value, bytes) and not _is_binary(element.VR, keyword):
        return bool(value.strip(b" \0"))
    return value not in (None, "", b"")


def has_own_vr(dataset: Dataset, keyword: str) -> bool:
    """Whether an attribute has the VR that it should have, or another one of binary numbers for such."""
    vr, own = dataset.get_item(_tag(keyword), keep_deferred=True).VR, _usual_vr(keyword)
    return vr in (own, None) or (vr in _NUMBER_VRS and own in _NUMBER_VRS)


def _is_binary(vr: str | None, keyword: str) -> bool:
    """Whether bytes under a VR are numbers; what pads a text may be one of them."""
    if vr in (None, "UN"):
        return _usual_vr(keyword) in _NUMBER_VRS
    return vr not in _TEXT_VRS


def put(dataset: Dataset, keyword: str, value: Any) -> None:
    """Set a value under the attribute's own VR, whatever it had; ``None`` takes it away."""
    dataset.pop(keyword, None)
    if value is not None:
        setattr(dataset, keyword, value)


def words(dataset: Dataset, keyword: str) -> list[str]:
    """The texts of an attribute; none where it holds something else."""
    if not is_given(dataset, keyword):
        return []
    return [part for part in _parts(dataset, keyword) or [] if isinstance(part, str)]


def integer(dataset: Dataset, keyword: str, said: list[str]) -> int | None:
    """Read a single integer, and put it in its place if it is stored in another way; ``None`` for none."""
    if not is_given(dataset, keyword):
        return None
    parts = _parts(dataset, keyword) or [""]
    text = str(parts[0]) if len(set(parts)) == 1 else ""
    number = float(text) if _NUMBER.fullmatch(text) else math.nan
    if not number.is_integer():
        return None
    if not (
        has_own_vr(dataset, keyword)
        and len(parts) == 1
        and (not isinstance(parts[0], str) or "." not in text)
    ):
        put(dataset, keyword, int(number))
        said.append(f"{NAMES[keyword]} is no integer as it is stored: it is read as {int(number)}")
    return int(number)


def decimals(dataset: Dataset, keyword: str) -> tuple[list[float | None], list[str]]:
    """Numbers of an attribute, ``None`` for what is none; and what is to be said."""
    if not is_given(dataset, keyword):
        return [], []
    parts = _parts(dataset, keyword)
    if not parts:
        return [None], [f"{NAMES[keyword]} holds what is no number: it is left out"]
    numbers: list[float | None] = []
    odd = comma = False
    for part in parts:
        if isinstance(part, str) and "," in part and not _NUMBER.fullmatch(part):
            part = part.replace(",", ".")
            comma = bool(_NUMBER.fullmatch(part)) or comma
        number = float(part) if not isinstance(part, str) or _NUMBER.fullmatch(part) else None
        if number is not None and not math.isfinite(number):
            number = None
        odd |= number is None and part != ""
        numbers.append(number)
    said = []
    if odd:
        said.append(f"{NAMES[keyword]} holds what is no number: it is left out")
    elif comma:
        said.append(f"{NAMES[keyword]} has a decimal comma: it is read as a point")
    elif not has_own_vr(dataset, keyword):
        said.append(
            f"{NAMES[keyword]} has another VR than its own: its numbers are taken all the same"
        )
    return numbers, said


def _parts(dataset: Dataset, keyword: str) -> list[str | float] | None:
    """The values of an attribute, whatever its VR; ``None`` where it holds neither text nor numbers."""
    element: Any = dataset.get_item(_tag(keyword), keep_deferred=True)
    raw, vr = element.value, element.VR
    if isinstance(raw, bytes) and vr in ("OW", "OB", "UN") and _is_binary(vr, keyword):
        is_little = dataset.original_encoding[1] is not False
        return [int.from_bytes(raw, "little" if is_little else "big")] if len(raw) == 2 else None
    if isinstance(raw, bytes) and _is_binary(vr, keyword):
        try:
            raw = dataset[_tag(keyword)].value
        # pydicom reads a value when it is asked for, and names no closed set of errors for damaged ones.
        except Exception:  # noqa: BLE001
            return None
    if isinstance(raw, bytes):
        raw = raw.decode("latin_1")
    if isinstance(raw, str):
        return [part.strip(" \0") for part in raw.split("\\")]
    values = list(raw) if isinstance(raw, MutableSequence) else [raw]
    if not all(isinstance(value, str | int | float) for value in values):
        return None
    return [value.strip(" \0") if isinstance(value, str) else float(value) for value in values]


# pydicom looks a keyword up anew each time, which is half of what reading these attributes costs.
@functools.cache
def _tag(keyword: str) -> BaseTag:
    from pydicom.tag import Tag

    return Tag(keyword)


@functools.cache
def _usual_vr(keyword: str) -> str:
    from pydicom.datadict import dictionary_VR

    return str(dictionary_VR(_tag(keyword)))
