"""A check that a DICOM file holds all the pixels that it announces, without decoding or loading them."""

from __future__ import annotations

import hashlib
import os
import struct
import sys
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from infmap_kit.imaging.dicom.dataset import read_header
from infmap_kit.imaging.dicom.quiet import quiet

if TYPE_CHECKING:
    from pydicom import Dataset

_SIZES = (
    *("Rows", "Columns", "SamplesPerPixel", "BitsAllocated", "NumberOfFrames"),
    "PhotometricInterpretation",
)
_PIXELS = {
    0x7FE00008: "FloatPixelData",
    0x7FE00009: "DoubleFloatPixelData",
    0x7FE00010: "PixelData",
}
_LONG_VRS = (b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"UN")
_UNDEFINED = 0xFFFFFFFF
_ITEM, _DELIMITER = 0xFFFEE000, 0xFFFEE0DD
_END_OF_IMAGE = b"\xff\xd9"
"""Ends JPEG, JPEG-LS and JPEG 2000 alike."""
_ENDED = tuple(f"1.2.840.10008.1.2.4.{number}" for number in (50, 51, 57, 70, 80, 81))
"""JPEG and JPEG-LS, in whose compressed values that end never occurs. Some write JPEG 2000 without it."""
_TAIL_BYTES = 2**16
"""Bytes at a picture's end in which its end of image is looked for; some fill up their items."""
_MOST_FRAGMENTS = 100_000


def missing_pixels(file: Path) -> str:
    """Say in which way a file's pixels are fewer than announced.

    Uncompressed pixels are compared with the tags that give their size (PS3.5, 8.1.1), compressed ones with
    their items up to the delimiter (PS3.5, A.4), of which a JPEG's hold its end of image. What is odd
    otherwise is the decoder's to refuse.

    Parameters
    ----------
    file
        A DICOM file with preamble, not deflated, whose attributes before the pixels can be read.

    Returns
    -------
    str
        What is missing; empty for a whole file, and for one of which it cannot be told.

    Raises
    ------
    OSError
        When the file cannot be read.
    """
    with file.open("rb") as stream:
        try:
            with quiet():
                tags = read_header(stream, _SIZES)
                return _missing(stream, tags)
        except OSError:
            raise
        # pydicom names no closed set of errors for damaged files.
        except Exception:  # noqa: BLE001
            return ""


def pixel_digest(stream: BinaryIO, header: Dataset) -> str:
    """SHA-256 of a file's pixels as they are stored, so that two files can be compared without loading either.

    Parameters
    ----------
    stream
        The file, where its header has ended.
    header
        That header, of :func:`~infmap_kit.imaging.dicom.dataset.read_header`.
    """
    is_implicit, is_little = header.original_encoding
    order = "<" if is_little else ">"
    left = _announced_bytes(stream, order, is_implicit=bool(is_implicit))
    if left is None or left == _UNDEFINED:
        # What cannot be measured is compared to the end of the file.
        left = sys.maxsize
    digest = hashlib.sha256()
    while left > 0 and (content := stream.read(min(left, 2**20))):
        digest.update(content)
        left -= len(content)
    return digest.hexdigest()


def _missing(stream: BinaryIO, tags: Dataset) -> str:
    is_implicit, is_little = tags.original_encoding
    order = "<" if is_little else ">"
    length = _announced_bytes(stream, order, is_implicit=bool(is_implicit))
    if length is None:
        return "it has no pixels, or ends before them"
    left = os.fstat(stream.fileno()).st_size - stream.tell()
    if length == _UNDEFINED:
        has_end = tags.file_meta.get("TransferSyntaxUID") in _ENDED
        return _missing_fragments(stream, order, left, has_end=has_end)
    if left < length:
        return f"it ends after {left} of {length} bytes of its pixels"
    expected = _expected_bytes(tags)
    return f"it has {length} bytes of pixels, its tags announce {expected}" * (length < expected)


def _announced_bytes(stream: BinaryIO, order: str, *, is_implicit: bool) -> int | None:
    """Read the header of the pixels' element, before which pydicom has stopped."""
    header = stream.read(8)
    if len(header) < 8:
        return None
    group, element = struct.unpack_from(f"{order}HH", header)
    if group << 16 | element not in _PIXELS:
        return None
    if is_implicit:
        return int(struct.unpack_from(f"{order}I", header, 4)[0])
    if header[4:6] not in _LONG_VRS:
        return int(struct.unpack_from(f"{order}H", header, 6)[0])
    more = stream.read(4)
    return int(struct.unpack(f"{order}I", more)[0]) if len(more) == 4 else None


def _expected_bytes(tags: Dataset) -> int:
    numbers = [int(tags.get(name) or 0) for name in ("Rows", "Columns", "BitsAllocated")]
    samples, frames = (int(tags.get(name) or 1) for name in ("SamplesPerPixel", "NumberOfFrames"))
    # Two pixels share their colours (PS3.3, C.7.6.3.1.2).
    if str(tags.get("PhotometricInterpretation")) == "YBR_FULL_422":
        samples = 2
    rows, columns, bits = numbers
    return (rows * columns * bits * samples * frames + 7) // 8


def _missing_fragments(stream: BinaryIO, order: str, left: int, *, has_end: bool) -> str:
    cut = "it ends in the middle of its compressed pixels"
    last = b""
    for number in range(_MOST_FRAGMENTS):
        header = stream.read(8)
        left -= len(header)
        if not header and last.rstrip(b"\0").endswith(_END_OF_IMAGE):
            return ""
        if len(header) < 8:
            return cut
        group, element, length = struct.unpack(f"{order}HHI", header)
        tag = group << 16 | element
        if tag == _DELIMITER:
            # The first item is the table of offsets.
            if number < 2:
                return "it has no compressed pixels"
            return cut if has_end and _END_OF_IMAGE not in last else ""
        if tag != _ITEM:
            return ""
        if length > left:
            return cut
        stream.seek(max(length - _TAIL_BYTES, 0), os.SEEK_CUR)
        # The end may lie across two items.
        last = last[-1:] + stream.read(min(length, _TAIL_BYTES))
        left -= length
    return ""
