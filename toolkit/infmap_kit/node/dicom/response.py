"""The meaning of a destination's answers (DICOM PS3.4, B.2.3; PS3.7, annex C; PS3.18, annex I)."""

from __future__ import annotations

import dataclasses
import enum
import json
from typing import Any
from xml.etree import ElementTree as ET

from infmap_kit.errors import InfmapError


class DestinationUnavailable(InfmapError):
    """A destination takes nothing at all just now: it is away, busy or full, or rejects the node."""


class AssociationRejected(DestinationUnavailable):
    """A destination rejects the association (PS3.8, 9.3.4); it says why, or not.

    Parameters
    ----------
    ae_title
        AE title of the node.
    source, reason
        Source and reason of the A-ASSOCIATE-RJ.
    """

    CALLING, CALLED = (1, 3), (1, 7)

    def __init__(self, ae_title: str, *, source: int, reason: int) -> None:
        self.why = (source, reason)
        said = {
            self.CALLING: ": it does not know this AE title",
            self.CALLED: ": it goes by another title",
        }
        super().__init__(f"it rejects the association of {ae_title}{said.get(self.why, '')}")


class Meaning(enum.Enum):
    """The meaning of an answer for the object that was sent."""

    STORED = enum.auto()
    REFUSED = enum.auto()
    REFUSED_FOR_GOOD = enum.auto()


@dataclasses.dataclass(frozen=True)
class StoreResponse:
    """A destination's answer about one object; the remark is a warning or a reason, empty for plain success."""

    meaning: Meaning
    remark: str = ""


_WARNINGS = {
    0xB000: "coercion of data elements",
    0xB006: "elements discarded",
    0xB007: "data set does not match SOP class",
    0x0107: "attribute list error",
    0x0116: "attribute value out of range",
}
_FOR_GOOD = {0x0122: "SOP class not supported", 0x0117: "invalid object instance"}

# Tags of a Store Instances Response.
_STORED, _FAILED, _OTHER_FAILURES = "00081199", "00081198", "0008119A"
_INSTANCE, _WARNING, _FAILURE = "00081155", "00081196", "00081197"
_PROCESSING_FAILURE = 0x0110


def response_of(status: int) -> StoreResponse:
    """Read a status of C-STORE, or a failure reason of STOW-RS, which are the same numbers.

    Raises
    ------
    DestinationUnavailable
        When the destination is out of resources: that is not about this object.
    """
    shown = f"0x{status:04X}"
    if status == 0x0000:
        return StoreResponse(Meaning.STORED)
    if status & 0xF000 == 0xB000 or status in _WARNINGS:
        return StoreResponse(Meaning.STORED, f"{shown} {_WARNINGS.get(status, 'a warning')}")
    if status & 0xFF00 == 0xA700 or status == 0x0213:
        raise DestinationUnavailable(f"it is out of resources ({shown})")
    if status & 0xFF00 == 0xA900:
        return StoreResponse(Meaning.REFUSED_FOR_GOOD, f"{shown} data set does not match SOP class")
    if status in _FOR_GOOD:
        return StoreResponse(Meaning.REFUSED_FOR_GOOD, f"{shown} {_FOR_GOOD[status]}")
    # 0xCxxx, "cannot understand", is also what many a PACS says when something failed inside it.
    return StoreResponse(
        Meaning.REFUSED, f"{shown} {'cannot understand' if status >> 12 == 0xC else 'refused'}"
    )


def response_about(instance: str, document: bytes) -> StoreResponse | None:
    """Read what a Store Instances Response (PS3.18, 10.5.3 and annex I) says of the object that was sent.

    Parameters
    ----------
    instance
        SOP Instance UID of the object, the only one of its request.
    document
        Answer of the archive: DICOM JSON, or XML from archives without JSON.

    Returns
    -------
    StoreResponse | None
        ``None`` when it does not name the object, or is something else, such as a page to sign in.

    Raises
    ------
    DestinationUnavailable
        When the destination is out of resources.
    """
    try:
        statement = _parsed(document)
        for item in _values(statement, _FAILED) + _values(statement, _OTHER_FAILURES):
            # A failure without a name is of the one object there was.
            if _values(item, _INSTANCE) in ([], [instance]):
                return _failure(int((_values(item, _FAILURE) or [0])[0]) or _PROCESSING_FAILURE)
        for item in _values(statement, _STORED):
            if _values(item, _INSTANCE) == [instance]:
                return response_of(int((_values(item, _WARNING) or [0])[0]))
    # What strangers answer can be malformed in each of these ways.
    except (
        ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError,
        ET.ParseError,
    ):  # fmt: skip
        pass
    return None


def _failure(reason: int) -> StoreResponse:
    response = response_of(reason)
    if response.meaning is Meaning.STORED:
        return StoreResponse(Meaning.REFUSED, f"0x{reason:04X} refused")
    return response


def _parsed(document: bytes) -> Any:
    if document.lstrip().startswith(b"<"):
        # The document is short, and expat itself bounds what entities grow to.
        return _as_json(ET.fromstring(document))  # noqa: S314
    return json.loads(document)


def _as_json(item: ET.Element) -> dict[str, Any]:
    """An item of the Native DICOM Model (PS3.19, annex A) in the form of DICOM JSON (PS3.18, annex F)."""
    return {
        attribute.attrib["tag"]: {
            "Value": [_as_json(inner) for inner in attribute.findall("{*}Item")]
            or [value.text for value in attribute.findall("{*}Value")]
        }
        for attribute in item.findall("{*}DicomAttribute")
    }


def _values(item: Any, tag: str) -> list[Any]:
    return list(item.get(tag, {}).get("Value", []))
