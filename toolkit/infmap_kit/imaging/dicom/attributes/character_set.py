"""The character sets of texts in DICOM files: all defined terms, wrong spellings that are met, and others.

(PS3.3, C.12.1.1.2, has the defined terms; PS3.5, 6.1, says how they are used.) Texts are decoded here and not
by pydicom, which leaves the escape sequences of ISO-IR 58 in a name and knows none of ISO-IR 203.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, MutableSequence
from typing import TYPE_CHECKING, Any

from infmap_kit.imaging.radiograph import InputWarning, WarningCode

if TYPE_CHECKING:
    from pydicom import Dataset

UTF_8 = "ISO_IR 192"

TEXTS = (
    *("PatientName", "PatientID", "IssuerOfPatientID", "AccessionNumber", "StudyID"),
    *("StudyDescription", "ReferringPhysicianName"),
)
"""Attributes of text that results copy."""

_TEXT_VRS = ("PN", "LO", "SH", "LT", "ST", "UC", "UT", "UN")

# Of DICOM, and of Windows and Taiwan, whose names can mean nothing else.
_ALONE = {
    "192": "utf_8", "GB18030": "gb18030", "GBK": "gbk", "BIG5": "big5",
    **{f"CP{page}": f"cp{page}" for page in range(1250, 1259)},
}  # fmt: skip
"""Character sets that are used without any other."""
# Numbers of ISO's registry to Python's codecs of what has the high bit set. What Korean Windows writes beyond
# KS X 1001 is in its code page.
_REGISTERED = {
    "13": "shift_jis", "100": "latin_1", "101": "iso8859_2", "109": "iso8859_3", "110": "iso8859_4",
    "126": "iso8859_7", "127": "iso8859_6", "138": "iso8859_8", "144": "iso8859_5", "148": "iso8859_9",
    "149": "cp949", "166": "iso8859_11", "203": "iso8859_15", "58": "gb2312",
}  # fmt: skip
_WITHOUT_HIGH_BIT = ("6", "87", "159")
# Escape sequences of PS3.3, tables C.12-3 and C.12-4: to the codec of what has the high bit set ...
_HIGH = {
    b"\x1b)I": "shift_jis", b"\x1b-A": "latin_1", b"\x1b-B": "iso8859_2", b"\x1b-C": "iso8859_3",
    b"\x1b-D": "iso8859_4", b"\x1b-F": "iso8859_7", b"\x1b-G": "iso8859_6", b"\x1b-H": "iso8859_8",
    b"\x1b-L": "iso8859_5", b"\x1b-M": "iso8859_9", b"\x1b-T": "iso8859_11", b"\x1b-b": "iso8859_15",
    b"\x1b$)C": "cp949", b"\x1b$)A": "gb2312",
}  # fmt: skip
# ... and of what has not: two bytes a letter, or ASCII.
_LOW = {
    b"\x1b$B": "iso2022_jp", b"\x1b$@": "iso2022_jp", b"\x1b$(D": "iso2022_jp_2", b"\x1b(B": "",
    b"\x1b(J": "",
}  # fmt: skip
_ESCAPE = re.compile(rb"(\x1b(?:\$?[()\-.][0-~]|\$[@-~]|.?))", re.DOTALL)
# After these the first character set holds again (PS3.5, 6.1.2.5.3).
_DELIMITER_OF_NAMES = re.compile(rb"([\^=\\\r\n\f\t])")
_DELIMITER = re.compile(rb"([\\\r\n\f\t])")

# Codecs by their usual names, which some programs write in the place of a defined term.
_OTHER_NAMES = {
    "UTF8": "192", "UNICODE": "192", "LATIN1": "100", "ISO88591": "100", "ISO88592": "101",
    "ISO88593": "109", "ISO88594": "110", "ISO88595": "144", "ISO88596": "127", "ISO88597": "126",
    "ISO88598": "138", "ISO88599": "148", "ISO885911": "166", "ISO885915": "203", "TIS620": "166",
    "ISO2022GB18030": "GB18030", "ISO2022GBK": "GBK",
    "GB2312": "GBK", "EUCKR": "149", "KSC5601": "149", "KSX1001": "149", "SHIFTJIS": "13",
    "SJIS": "13", "ASCII": "6", "USASCII": "6",
    **{name: name for name in _ALONE if name != "192"},
    **{f"WINDOWS{page}": f"CP{page}" for page in range(1250, 1259)},
}  # fmt: skip
_TERM = re.compile(r"ISO(?:2022)?IR(\d+)|ISO2022(\d+)|IR(\d+)")
_PLAIN = ("13", "100", "101", "109", "110", "126", "127", "138", "144", "148", "166", "203")
_DEFAULT = ("", "ISO_IR 6", "ISO 2022 IR 6")
_EXTENSIONS = frozenset(f"ISO 2022 IR {number}" for number in (*_PLAIN, "58", "87", "149", "159"))
_DEFINED = {
    *_DEFAULT,
    *_EXTENSIONS,
    *(f"ISO_IR {number}" for number in _PLAIN),
    UTF_8,
    "GB18030",
    "GBK",
}

# pydicom writes single bytes of JIS X 0201 as question marks, and highdicom has no term of 6; UTF-8 holds all.
_WRITTEN = {
    **{f"ISO_IR {number}": _REGISTERED[number] for number in _PLAIN if number not in ("13", "203")},
    UTF_8: "utf_8", "GB18030": "gb18030", "GBK": "gbk",
}  # fmt: skip

_UNNAMED = (
    "the names are not ASCII, and the file does not say in which character set they are (Specific Character "
    "Set is missing or says ASCII): results keep their bytes"
)
_NO_TERM = "Specific Character Set is no defined term, and was taken for the one that it resembles"
_UNESCAPED = (
    "the names are written without the escape sequences that their Specific Character Set asks for, and were "
    "read in the one set that has such letters"
)


def decode_texts(dataset: Dataset) -> tuple[InputWarning, ...]:
    """Put the texts of a data set that was just parsed in place of their bytes.

    What is not of the character set that the file names becomes U+FFFD: another guess would be a name that
    nobody has. Where the file names none, the bytes stay as they are.

    Returns
    -------
    tuple
        What a reader of the names should know; the texts themselves are not quoted.
    """
    from pydicom import DataElement
    from pydicom.datadict import dictionary_VR, tag_for_keyword

    terms = _terms(dataset)
    # What is left to pydicom is ASCII, or bytes that are kept.
    dataset.set_original_encoding(*dataset.original_encoding, ["latin_1"])
    foreign: dict[str, bytes] = {}
    for keyword in TEXTS:
        raw = _raw(dataset, keyword)
        if raw is not None and not (raw.isascii() and b"\x1b" not in raw):
            foreign[keyword] = raw
    if not foreign:
        return ()
    if all(term in _DEFAULT for term in terms) and not any(
        b"\x1b" in raw for raw in foreign.values()
    ):
        return (InputWarning(WarningCode.CHARACTER_SET, _UNNAMED),)
    unescaped = False
    unreadable = False
    for keyword, raw in foreign.items():
        tag = tag_for_keyword(keyword) or 0
        vr = dictionary_VR(tag)
        text, guessed = _decoded(raw, terms, _DELIMITER_OF_NAMES if vr == "PN" else _DELIMITER)
        unescaped |= guessed
        unreadable |= "\ufffd" in text
        dataset[tag] = DataElement(tag, vr, text.rstrip(" \0"))
    said = _doubt(terms, unescaped=unescaped, unreadable=unreadable)
    return (InputWarning(WarningCode.CHARACTER_SET, said),) if said else ()


def written_character_set(source: Dataset, texts: Iterable[str]) -> str:
    """Character set for results that hold a data set's texts.

    Parameters
    ----------
    source
        A data set after :func:`decode_texts`.
    texts
        What is to be written.

    Returns
    -------
    str
        The source's own where that is one defined term without code extensions and holds the texts; empty
        where the source names none, so that bytes stay what they were; UTF-8 otherwise.
    """
    terms = _terms(source)
    if all(term in _DEFAULT for term in terms):
        return "" if all(_fits(text, "latin_1") for text in texts) else UTF_8
    term = terms[0]
    if len(terms) == 1 and term in _WRITTEN and all(_fits(text, _WRITTEN[term]) for text in texts):
        return term
    return UTF_8


def _fits(text: str, codec: str) -> bool:
    try:
        text.encode(codec)
    except UnicodeEncodeError:
        return False
    return True


def _doubt(terms: list[str], *, unescaped: bool, unreadable: bool) -> str:
    numbers = [_number(term) for term in terms]
    unknown = sum(number is None for number in numbers)
    if unknown and unreadable:
        return (
            "the names are in a character set that is not known; what is not ASCII in them is left out "
            f"(Specific Character Set has {unknown} term(s) that DICOM does not define)"
        )
    if unreadable:
        # Other terms are whatever stands in the file.
        known = [term for term in terms if term in _DEFINED and term]
        named = "\\".join(known) or "the character set"
        return f"some of the names cannot be read in {named}, which the file names"
    alone_in_a_list = len(terms) > 1 and any(number in _ALONE for number in numbers)
    if alone_in_a_list or not all(term in _DEFINED for term in terms):
        return _NO_TERM
    return _UNESCAPED if unescaped else ""


def _decoded(raw: bytes, terms: list[str], delimiter: re.Pattern[bytes]) -> tuple[str, bool]:
    """The text of some bytes, and whether their character set had to be told without an escape sequence."""
    numbers = [_number(term) or "" for term in terms]
    alone = next((_ALONE[number] for number in numbers if number in _ALONE), None)
    if alone:
        return raw.decode(alone, "replace").replace("\x1b", "\ufffd"), False
    first = _REGISTERED.get(numbers[0]) if numbers else None
    high, guessed = first, False
    if high is None and b"\x1b" not in raw:
        others = {_REGISTERED[number] for number in numbers if number in _REGISTERED}
        if len(others) == 1:
            high, guessed = others.pop(), not raw.isascii()
    if b"\x1b" not in raw:
        return raw.decode(high or "ascii", "replace"), guessed
    low, text = "", ""
    for part in _ESCAPE.split(raw):
        if part in _HIGH:
            high = _HIGH[part]
        elif part in _LOW:
            low = _LOW[part]
        elif part.startswith(b"\x1b"):
            text += "\ufffd"
        elif low:
            text += _two_bytes(part, low, high)
        else:
            for piece in delimiter.split(part):
                text += piece.decode(high or "ascii", "replace")
                if delimiter.fullmatch(piece):
                    high = first or high
    return text, guessed


def _two_bytes(part: bytes, low: str, high: str | None) -> str:
    """Letters of two bytes without the high bit, among which others may have it."""
    start = b"\x1b$B" if low == "iso2022_jp" else b"\x1b$(D"
    pieces = re.findall(rb"[\0-\x7f]+|[\x80-\xff]+", part)
    return "".join(
        (start + piece).decode(low, "replace")
        if piece.isascii()
        else piece.decode(high or "ascii", "replace")
        for piece in pieces
    )


def _terms(dataset: Dataset) -> list[str]:
    raw = _raw(dataset, "SpecificCharacterSet")
    text = (
        raw.decode("ascii", "replace")
        if raw is not None
        else _text(dataset, "SpecificCharacterSet")
    )
    terms = [term.strip(" \0") for term in text.split("\\")]
    return terms if any(terms) else []


def _number(term: str) -> str | None:
    """The registered number of a term, or its name where it has none; ``None`` for one that resembles none."""
    if not term:
        return "6"
    plain = re.sub(r"[^A-Z0-9]", "", term.upper())
    found = _TERM.fullmatch(plain)
    number = next(filter(None, found.groups()), "") if found else _OTHER_NAMES.get(plain, "")
    known = number in _REGISTERED or number in _ALONE or number in _WITHOUT_HIGH_BIT
    return number if known else None


def _raw(dataset: Dataset, keyword: str) -> bytes | None:
    """The bytes of an attribute that was not looked at yet."""
    from pydicom.datadict import tag_for_keyword

    element: Any = dataset.get_item(tag_for_keyword(keyword) or 0, keep_deferred=True)
    value = getattr(element, "value", None)
    if keyword in TEXTS and getattr(element, "VR", None) not in (None, *_TEXT_VRS):
        return None
    return value if isinstance(value, bytes) else None


def _text(dataset: Dataset, keyword: str) -> str:
    try:
        value = dataset.get(keyword) or ""
        return "\\".join(map(str, value)) if isinstance(value, MutableSequence) else str(value)
    # pydicom reads a value when it is asked for, and names no closed set of errors for damaged ones.
    except Exception:  # noqa: BLE001
        return ""
