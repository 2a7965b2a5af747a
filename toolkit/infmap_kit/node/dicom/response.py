"""The meaning of a destination's answers (DICOM PS3.4, B.2.3 and PS3.7, annex C)."""

from __future__ import annotations

import dataclasses
import enum

from infmap_kit.errors import InfmapError


class DestinationUnavailable(InfmapError):
    """A destination takes nothing at all just now: it is away, busy or full, or rejects the node."""


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
