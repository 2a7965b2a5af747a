"""The facts that the header of a raster file states, whatever its format."""

from __future__ import annotations

import dataclasses

from infmap_kit.errors import InputRejected
from infmap_kit.imaging.radiograph import Reason


@dataclasses.dataclass(frozen=True, kw_only=True)
class Header:
    """The header of a raster file.

    Parameters
    ----------
    media_type
        ``image/png``, ``image/jpeg`` or ``image/tiff``.
    width, height
        Size as stored, before any turning.
    channels
        Samples a pixel; 3 for a palette.
    pixel_bytes
        Bytes that a pixel takes once it is decoded, with its transparency.
    is_deep
        Whether a sample has more than 8 bits; told of a TIFF alone.
    orientation
        Exif and TIFF orientation, 1 (as stored) to 8.
    white_is_zero
        Whether small values are bright, as a TIFF may say.
    complete
        Whether the file reaches its end.
    more_pages
        Whether a TIFF or PNG has other pictures after this one.
    """

    media_type: str
    width: int
    height: int
    channels: int
    pixel_bytes: int = 1
    is_deep: bool = False
    orientation: int = 1
    white_is_zero: bool = False
    complete: bool = True
    more_pages: bool = False


def damaged(kind: str) -> InputRejected:
    """A rejection of a file whose header is no such one, or could be read in two ways."""
    return InputRejected(
        Reason.UNREADABLE, f"the file begins as a {kind} does, but its header is damaged"
    )
