"""The header of a PNG, JPEG or TIFF file, read without decoding a pixel.

Only what has to be known before a decoder may be trusted with the file: the size, because a few
hundred bytes can announce gigabytes; whether the file is all there, because some decoders fill what
is missing with gray; and how its values are meant.
"""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from infmap_kit.errors import InputRejected
from infmap_kit.imaging.radiograph import Reason

_Tags = dict[int, NDArray[np.int64]]
_NONE = np.empty(0, np.int64)

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
JPEG_SIGNATURE = b"\xff\xd8\xff"
TIFF_SIGNATURES = (b"II*\0", b"MM\0*")

# What goes before the Exif block of a JPEG.
_EXIF = b"Exif\0\0"

_JPEG_END = b"\xff\xd9"
_JPEG_SCAN, _JPEG_EXIF = 0xDA, 0xE1
_JPEG_SCAN_MARKER = b"\xff\xda"
# C4, C8 and CC lie in the same range and are no frames (ITU-T T.81, table B.1).
JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_LONE = frozenset((0x01, *range(0xD0, 0xD9)))

# TIFF 6.0, section 8 and 15; the Exif block of a JPEG is a small TIFF.
_WIDTH, _LENGTH, _BITS, _PHOTOMETRIC, _ORIENTATION, _SAMPLES = 256, 257, 258, 262, 274, 277
_STRIP_OFFSETS, _STRIP_BYTES, _TILE_OFFSETS, _TILE_BYTES = 273, 279, 324, 325
_TILE_WIDTH, _TILE_LENGTH = 322, 323
_SAMPLE_FORMAT = 339
_WHITE_IS_ZERO, _UNSIGNED = 0, 1
_TIFF_INTEGERS = {1: "u1", 3: "u2", 4: "u4"}
_TAGS_READ = frozenset(
    (
        *(_WIDTH, _LENGTH, _BITS, _PHOTOMETRIC, _ORIENTATION, _SAMPLES, _SAMPLE_FORMAT),
        *(_STRIP_OFFSETS, _STRIP_BYTES, _TILE_OFFSETS, _TILE_BYTES, _TILE_WIDTH, _TILE_LENGTH),
    )
)

# More than any real file has; a bound on the work that a hostile one can make.
_MAX_SEGMENTS = 4096
_MAX_CHUNKS = 2**16
_MAX_TAG_VALUES = 2**20
_MAX_SCANS = 100
_MAX_TILE_SIDE = 4096


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
    orientation
        Exif and TIFF orientation, 1 (as stored) to 8.
    white_is_zero
        Whether small values are bright, as a TIFF may say.
    complete
        Whether the file reaches its end.
    more_pages
        Whether a TIFF has other pictures after this one.
    """

    media_type: str
    width: int
    height: int
    channels: int
    orientation: int = 1
    white_is_zero: bool = False
    complete: bool = True
    more_pages: bool = False


def read_header(content: bytes) -> Header:
    """Read the header of a PNG, JPEG or TIFF.

    Raises
    ------
    InputRejected
        ``truncated`` when the header itself is cut, ``pixel-type`` for values that are no unsigned
        integers, ``unreadable`` for nonsense.
    """
    try:
        if content.startswith(PNG_SIGNATURE):
            return _png(content)
        if content.startswith(JPEG_SIGNATURE):
            return _jpeg(content)
        return _tiff(content)
    except struct.error as error:
        raise InputRejected(
            Reason.TRUNCATED, "the file ends inside its header: copy it again"
        ) from error


def _png(content: bytes) -> Header:
    kind, width, height, _bits, colour = struct.unpack_from(">4sIIBB", content, 12)
    channels = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}.get(colour)
    if kind != b"IHDR" or channels is None:
        raise _nonsense("PNG")
    orientation, position = 1, len(PNG_SIGNATURE)
    for _ in range(_MAX_CHUNKS):
        # Of the last chunk in a file that is cut, length or name may be missing.
        length, kind = struct.unpack(">I4s", content[position : position + 8].ljust(8, b"\0"))
        start, position = position + 8, position + 12 + length
        if kind == b"IEND" or position > len(content):
            break
        if kind == b"eXIf":
            # Some write the prefix, which a JPEG has and a PNG should not.
            block = content[start : start + length].removeprefix(_EXIF)
            orientation = _exif_orientation(block)
    else:
        raise _nonsense("PNG")
    return Header(
        media_type="image/png",
        width=width,
        height=height,
        channels=channels,
        orientation=orientation,
        complete=position <= len(content),
    )


def jpeg_segments(content: bytes) -> Iterator[tuple[int | None, int]]:
    """Marker and place of each segment of a JPEG (ITU-T T.81, B.1.1), up to the start of its scan.

    The place is that of the segment's length. Where no marker stands, ``None`` and the place end the list.

    Raises
    ------
    struct.error
        When the file ends before the scan.
    """
    position = 2
    for _ in range(_MAX_SEGMENTS):
        prefix, marker = struct.unpack_from(">BB", content, position)
        if prefix != 0xFF:
            yield None, position
            return
        position += 1 if marker == 0xFF else 2
        if marker in _JPEG_LONE or marker == 0xFF:
            continue
        yield marker, position
        if marker == _JPEG_SCAN:
            return
        position += struct.unpack_from(">H", content, position)[0]


def _jpeg(content: bytes) -> Header:
    position, orientation = 2, 1
    frame: tuple[int, int, int] | None = None
    for marker, position in jpeg_segments(content):
        if marker is None:
            raise _nonsense("JPEG")
        if marker in JPEG_FRAMES:
            if frame is not None:
                # Which of two counts, decoders do not agree on.
                raise _nonsense("JPEG")
            frame = struct.unpack_from(">xxxHHB", content, position)
        elif marker == _JPEG_EXIF and content.startswith(_EXIF, position + 2):
            (length,) = struct.unpack_from(">H", content, position)
            orientation = _exif_orientation(content[position + 8 : position + length])
    if frame is None or 0 in frame:
        raise _nonsense("JPEG")
    height, width, channels = frame
    # A progressive JPEG is decoded once more for each scan; real ones have about ten.
    if content.count(_JPEG_SCAN_MARKER, position) > _MAX_SCANS:
        raise _nonsense("JPEG")
    return Header(
        media_type="image/jpeg",
        width=width,
        height=height,
        channels=channels,
        orientation=orientation,
        # Looked for behind the scan's start only: the thumbnail before it has an end of its own.
        complete=content.rfind(_JPEG_END, position) >= 0,
    )


def _exif_orientation(block: bytes) -> int:
    """Orientation in an Exif block; 1 when it says none, or is damaged, as viewers do."""
    try:
        tags, _ = _tiff_tags(block)
    except struct.error:
        return 1
    return _orientation(tags)


def _orientation(tags: _Tags) -> int:
    orientation = _first(tags, _ORIENTATION, 1)
    return orientation if 1 <= orientation <= 8 else 1


def _tiff(content: bytes) -> Header:
    tags, more_pages = _tiff_tags(content)
    width, height = _first(tags, _WIDTH, 0), _first(tags, _LENGTH, 0)
    if not width or not height:
        raise _nonsense("TIFF")
    bits, sample_format = _first(tags, _BITS, 1), _first(tags, _SAMPLE_FORMAT, _UNSIGNED)
    if bits > 16 or sample_format != _UNSIGNED:
        raise InputRejected(
            Reason.PIXEL_TYPE,
            f"expected unsigned values of at most 16 bits, found {bits} bits of TIFF sample format "
            f"{sample_format}: save the picture with 8 or 16 bits",
        )
    # A decoder makes room for a whole tile, however small the picture is.
    if max(_first(tags, _TILE_WIDTH, 0), _first(tags, _TILE_LENGTH, 0)) > _MAX_TILE_SIDE:
        raise _nonsense("TIFF")
    starts = tags.get(_STRIP_OFFSETS, tags.get(_TILE_OFFSETS, _NONE))
    sizes = tags.get(_STRIP_BYTES, tags.get(_TILE_BYTES, _NONE))
    pieces = min(len(starts), len(sizes))
    end = int((starts[:pieces] + sizes[:pieces]).max()) if pieces else len(content) + 1
    return Header(
        media_type="image/tiff",
        width=width,
        height=height,
        channels=_first(tags, _SAMPLES, 1),
        orientation=_orientation(tags),
        white_is_zero=_first(tags, _PHOTOMETRIC, 1) == _WHITE_IS_ZERO,
        complete=end <= len(content),
        more_pages=more_pages,
    )


def _first(tags: _Tags, tag: int, default: int) -> int:
    return int(tags[tag][0]) if tag in tags else default


def _tiff_tags(content: bytes) -> tuple[_Tags, bool]:
    """Read the tags of the first page that are needed, and whether another page follows."""
    order = "<" if content.startswith(b"II") else ">"
    (directory,) = struct.unpack_from(order + "I", content, 4)
    (count,) = struct.unpack_from(order + "H", content, directory)
    tags: _Tags = {}
    for entry in range(directory + 2, directory + 2 + 12 * count, 12):
        tag, kind, number = struct.unpack_from(order + "HHI", content, entry)
        if tag in tags:
            # Which of two counts, decoders do not agree on.
            raise _nonsense("TIFF")
        if tag not in _TAGS_READ or kind not in _TIFF_INTEGERS:
            continue
        dtype = np.dtype(order + _TIFF_INTEGERS[kind])
        offset = entry + 8
        if number * dtype.itemsize > 4:
            (offset,) = struct.unpack_from(order + "I", content, offset)
        if not 1 <= number <= _MAX_TAG_VALUES or offset + number * dtype.itemsize > len(content):
            raise struct.error(f"the values of TIFF tag {tag} lie outside the file")
        tags[tag] = np.frombuffer(content, dtype, number, offset).astype(np.int64)
    (following,) = struct.unpack_from(order + "I", content, directory + 2 + 12 * count)
    return tags, following != 0


def _nonsense(kind: str) -> InputRejected:
    return InputRejected(
        Reason.UNREADABLE, f"the file begins as a {kind} does, but its header is damaged"
    )
