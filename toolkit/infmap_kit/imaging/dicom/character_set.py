"""The character sets of texts in DICOM files: all defined terms, wrong spellings that are met, and others.

(PS3.3, C.12.1.1.2 and C.12.1.1.3, have the defined terms; PS3.5, 6.1, says how they are used.)
"""

from __future__ import annotations

import re
from collections.abc import MutableSequence
from typing import TYPE_CHECKING, Any

from infmap_kit.imaging.radiograph import InputWarning

if TYPE_CHECKING:
    from pydicom import Dataset

UTF_8 = "ISO_IR 192"

TEXTS = (
    *("PatientName", "PatientID", "IssuerOfPatientID", "AccessionNumber", "StudyID"),
    *("StudyDescription", "ReferringPhysicianName"),
)
"""Attributes of text that results copy."""

_ALONE = {"192": "utf_8", "GB18030": "gb18030", "GBK": "gbk"}
# Numbers of ISO's registry to Python's codecs. 149 is met without code extensions (Orthanc writes it so), where
# only "ISO 2022 IR 149" is defined; what Korean Windows writes beyond KS X 1001 is in its code page.
_REGISTERED = {
    "6": "latin_1", "13": "shift_jis", "100": "latin_1", "101": "iso8859_2", "109": "iso8859_3",
    "110": "iso8859_4", "126": "iso8859_7", "127": "iso8859_6", "138": "iso8859_8", "144": "iso8859_5",
    "148": "iso8859_9", "149": "cp949", "166": "iso8859_11", "203": "iso8859_15", **_ALONE,
}  # fmt: skip
_EXTENDED = {
    **_REGISTERED, "58": "iso_ir_58", "87": "iso2022_jp", "149": "euc_kr", "159": "iso2022_jp_2",
}  # fmt: skip
# Codecs of their usual names, which some programs write in the place of a defined term.
_OTHER_NAMES = {
    "UTF8": "192", "UNICODE": "192", "LATIN1": "100", "ISO88591": "100", "ISO88592": "101",
    "ISO88593": "109", "ISO88594": "110", "ISO88595": "144", "ISO88596": "127", "ISO88597": "126",
    "ISO88598": "138", "ISO88599": "148", "ISO885911": "166", "ISO885915": "203", "TIS620": "166",
    "GB18030": "GB18030", "GBK": "GBK", "ISO2022GBK": "GBK", "EUCKR": "149", "KSC5601": "149",
    "KSX1001": "149", "SHIFTJIS": "13", "SJIS": "13", "ASCII": "6", "USASCII": "6",
}  # fmt: skip
_TERM = re.compile(r"ISO(2022)?IR(\d+)|ISO(2022)(\d+)|IR(\d+)")
_DEFINED = re.compile(r"ISO_IR \d+|ISO 2022 IR \d+|GB18030|GBK|")


def give_encodings(dataset: Dataset) -> None:
    """Let a data set's texts be read by what its Specific Character Set means, however it is spelled.

    Bytes of a character set that is not known are shown as U+FFFD, beside what is ASCII: another guess would be
    a name that nobody has.
    """
    terms = _terms(dataset)
    codecs = [_codec(term, extended=len(terms) > 1) or "ascii" for term in terms]
    alone = [codec for codec in codecs if codec in _ALONE.values()]
    dataset.set_original_encoding(*dataset.original_encoding, alone[:1] or codecs or ["latin_1"])


def text_warnings(dataset: Dataset) -> tuple[InputWarning, ...]:
    """What a reader of names should know; the texts themselves are not quoted."""
    terms = _terms(dataset)
    raw = [_raw(dataset, keyword) for keyword in TEXTS]
    if not any(not value.isascii() for value in raw if value is not None):
        return ()
    unknown = [term for term in terms if _codec(term, extended=len(terms) > 1) is None]
    if unknown:
        text = (
            "the names are in a character set that is not known; what is not ASCII in them is left out "
            f"(Specific Character Set has {len(unknown)} term(s) that DICOM does not define)"
        )
        return (InputWarning("character-set", text),)
    if not any(terms):
        text = (
            "the names are not ASCII, and the file does not say in which character set they are (Specific "
            "Character Set is missing): results keep their bytes"
        )
        return (InputWarning("character-set", text),)
    if any("\ufffd" in _text(dataset, keyword) for keyword in TEXTS):
        text = (
            f"some of the names cannot be read in {terms[0]}, the character set that the file names"
        )
        return (InputWarning("character-set", text),)
    if not all(_DEFINED.fullmatch(term) for term in terms) or terms == ["ISO_IR 149"]:
        text = (
            "Specific Character Set is no defined term, and was taken for the one that it resembles"
        )
        return (InputWarning("character-set", text),)
    return ()


def is_written_as_is(terms: object) -> bool:
    """Whether results can be written in a character set: a single defined term without code extensions."""
    from pydicom.charset import python_encoding

    return isinstance(terms, str) and terms in python_encoding and not terms.startswith("ISO 2022")


def _terms(dataset: Dataset) -> list[str]:
    raw = _raw(dataset, "SpecificCharacterSet")
    text = (
        raw.decode("ascii", "replace")
        if raw is not None
        else _text(dataset, "SpecificCharacterSet")
    )
    terms = [term.strip(" \0") for term in text.split("\\")]
    return terms if any(terms) else []


def _codec(term: str, *, extended: bool) -> str | None:
    """Python's codec for a term; ``None`` for one that resembles none."""
    if not term:
        return "latin_1"
    plain = re.sub(r"[^A-Z0-9]", "", term.upper())
    found = _TERM.fullmatch(plain)
    number = next((n for n in found.groups() if n and n != "2022"), "") if found else ""
    number = number or _OTHER_NAMES.get(plain, "")
    table = _EXTENDED if extended or "2022" in plain else _REGISTERED
    return table.get(number)


def _raw(dataset: Dataset, keyword: str) -> bytes | None:
    """The bytes of an attribute that was not looked at yet."""
    from pydicom.datadict import tag_for_keyword

    element: Any = dataset.get_item(tag_for_keyword(keyword) or 0, keep_deferred=True)
    value = getattr(element, "value", None)
    return value if isinstance(value, bytes) else None


def _text(dataset: Dataset, keyword: str) -> str:
    try:
        value = dataset.get(keyword) or ""
        return "\\".join(map(str, value)) if isinstance(value, MutableSequence) else str(value)
    # pydicom reads a value when it is asked for, and names no closed set of errors for damaged ones.
    except Exception:  # noqa: BLE001
        return ""
