"""The header of a file, by its signature."""

from __future__ import annotations

import struct

from infmap_kit.errors import InputRejected
from infmap_kit.imaging.headers.header import Header
from infmap_kit.imaging.headers.jpeg import JPEG_SIGNATURE, jpeg_header
from infmap_kit.imaging.headers.png import PNG_SIGNATURE, png_header
from infmap_kit.imaging.headers.tiff import tiff_header
from infmap_kit.imaging.radiograph import Reason


def read_header(content: bytes) -> Header:
    """Read the header of a PNG, JPEG or TIFF.

    Raises
    ------
    InputRejected
        ``truncated`` when the header itself is cut, ``pixel-type`` for values that are no unsigned
        integers, ``unreadable`` for a header that is none, or that could be read in two ways.
    """
    try:
        if content.startswith(PNG_SIGNATURE):
            return png_header(content)
        if content.startswith(JPEG_SIGNATURE):
            return jpeg_header(content)
        return tiff_header(content)
    except struct.error as error:
        raise InputRejected(
            Reason.TRUNCATED, "the file ends inside its header: copy it again"
        ) from error
