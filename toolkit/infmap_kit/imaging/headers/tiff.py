"""TIFF, and the Exif block of other formats, which is a small TIFF."""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

from infmap_kit.errors import InputRejected
from infmap_kit.imaging.headers.header import Header, damaged
from infmap_kit.imaging.radiograph import Reason

_Tags = dict[int, NDArray[np.int64]]
_NONE = np.empty(0, np.int64)

TIFF_SIGNATURES = (b"II*\0", b"MM\0*")
EXIF_START = b"Exif\0\0"
"""What goes before the Exif block of a JPEG."""

# TIFF 6.0, section 8 and 15.
_WIDTH, _LENGTH, _BITS, _PHOTOMETRIC, _ORIENTATION, _SAMPLES = 256, 257, 258, 262, 274, 277
_STRIP_OFFSETS, _STRIP_BYTES, _TILE_OFFSETS, _TILE_BYTES = 273, 279, 324, 325
_STRIP_ROWS, _TILE_WIDTH, _TILE_LENGTH = 278, 322, 323
_PLANES, _SAMPLE_FORMAT = 284, 339
_COMPRESSION, _PREDICTOR = 259, 317
_WHITE_IS_ZERO, _BLACK_IS_ZERO = 0, 1
_UNSIGNED = 1
# LZW and two numbers of deflate: others know no differences of neighbours (TIFF 6.0, section 14).
_PREDICTED = (5, 8, 32946)
_TIFF_INTEGERS = {1: "u1", 3: "u2", 4: "u4"}
_TIFF_TYPE_BYTES = {
    **dict.fromkeys((1, 2, 6, 7), 1),
    **dict.fromkeys((3, 8), 2),
    **dict.fromkeys((4, 9, 11, 13), 4),
    **dict.fromkeys((5, 10, 12, 16, 17, 18), 8),
}
_TAGS_READ = frozenset(
    (
        *(_WIDTH, _LENGTH, _BITS, _PHOTOMETRIC, _ORIENTATION, _SAMPLES, _SAMPLE_FORMAT, _PLANES),
        *(_COMPRESSION, _PREDICTOR),
        *(_STRIP_ROWS, _STRIP_OFFSETS, _STRIP_BYTES),
        *(_TILE_WIDTH, _TILE_LENGTH, _TILE_OFFSETS, _TILE_BYTES),
    )
)

# More than any real file has; a bound on the work that a hostile one can make.
_MAX_TAGS = 1024
_MAX_TAG_VALUES = 2**20
_MAX_TILE_SIDE = 4096
_MAX_SAMPLES = 4


def exif_orientation(block: bytes) -> int:
    """Orientation in an Exif block; 1 when it says none, or is damaged, as viewers do."""
    try:
        tags, _ = _tags(block)
    except (struct.error, InputRejected):
        return 1
    return _orientation(tags)


def _orientation(tags: _Tags) -> int:
    orientation = _first(tags, _ORIENTATION, 1)
    return orientation if 1 <= orientation <= 8 else 1


def tiff_header(content: bytes) -> Header:
    """Read the header of a TIFF; errors as of :func:`~infmap_kit.imaging.headers.reading.read_header`."""
    tags, more_pages = _tags(content)
    width, height = _first(tags, _WIDTH, 0), _first(tags, _LENGTH, 0)
    if not width or not height:
        raise damaged("TIFF")
    bits, sample_format = _first(tags, _BITS, 1), _first(tags, _SAMPLE_FORMAT, _UNSIGNED)
    if bits > 16 or sample_format != _UNSIGNED:
        raise InputRejected(
            Reason.PIXEL_TYPE,
            f"expected unsigned values of at most 16 bits, found {bits} bits of TIFF sample format "
            f"{sample_format}: save the picture with 8 or 16 bits",
        )
    samples = _first(tags, _SAMPLES, 1)
    if not 1 <= samples <= _MAX_SAMPLES or np.any(tags.get(_BITS, _NONE) != bits):
        raise damaged("TIFF")
    # OpenCV and Pillow take one sample of such pictures for another.
    if (samples > 1 and _first(tags, _PLANES, 1) != 1) or (bits > 8 and samples not in (1, 3)):
        raise InputRejected(
            Reason.PIXEL_TYPE,
            "expected gray, found samples in planes of their own, or 16 bits with transparency: save the "
            "radiograph as gray",
        )
    # Which of the two holds, decoders do not agree on.
    if _first(tags, _PREDICTOR, 1) != 1 and _first(tags, _COMPRESSION, 1) not in _PREDICTED:
        raise damaged("TIFF")
    starts, sizes = tags.get(_STRIP_OFFSETS, _NONE), tags.get(_STRIP_BYTES, _NONE)
    across, down = width, min(_first(tags, _STRIP_ROWS, height), height)
    if _TILE_OFFSETS in tags or _TILE_WIDTH in tags:
        starts, sizes = tags.get(_TILE_OFFSETS, _NONE), tags.get(_TILE_BYTES, _NONE)
        across, down = _first(tags, _TILE_WIDTH, 0), _first(tags, _TILE_LENGTH, 0)
        # A decoder makes room for a whole tile, however small the picture is.
        if not (across and down) or max(across, down) > _MAX_TILE_SIDE:
            raise damaged("TIFF")
    pieces = -(-width // across) * -(-height // down) if down else len(starts) + 1
    # Each sample may have pieces of its own; a decoder would make up what is missing.
    whole = pieces <= len(starts) == len(sizes)
    end = int((starts + sizes).max()) if whole else len(content) + 1
    return Header(
        media_type="image/tiff",
        width=width,
        height=height,
        channels=samples,
        pixel_bytes=max(samples, 3 if _first(tags, _PHOTOMETRIC, 1) > _BLACK_IS_ZERO else 1)
        * (2 if bits > 8 else 1),
        is_deep=bits > 8,
        orientation=_orientation(tags),
        white_is_zero=_first(tags, _PHOTOMETRIC, 1) == _WHITE_IS_ZERO,
        complete=end <= len(content),
        more_pages=more_pages,
    )


def _first(tags: _Tags, tag: int, default: int) -> int:
    return int(tags[tag][0]) if tag in tags else default


def _tags(content: bytes) -> tuple[_Tags, bool]:
    """Read the tags of the first page that are needed, and whether another page follows."""
    order = "<" if content.startswith(b"II") else ">"
    (directory,) = struct.unpack_from(order + "I", content, 4)
    (count,) = struct.unpack_from(order + "H", content, directory)
    tags: _Tags = {}
    seen: set[int] = set()
    left = len(content)
    for entry in range(directory + 2, directory + 2 + 12 * min(count, _MAX_TAGS), 12):
        tag, kind, number = struct.unpack_from(order + "HHI", content, entry)
        # Which of two counts, decoders do not agree on; nor whether a size may be a fraction or negative.
        if tag in seen or (tag in _TAGS_READ and kind not in _TIFF_INTEGERS):
            raise damaged("TIFF")
        seen.add(tag)
        left -= number * _TIFF_TYPE_BYTES.get(kind, 0)
        if tag in _TAGS_READ:
            tags[tag] = _values(content, entry, order)
    # Values lie beside each other: decoders load the ones of all tags, and if all were the same megabyte of
    # the file, of a thousand tags a gigabyte.
    if count > _MAX_TAGS or left < 0:
        raise damaged("TIFF")
    (following,) = struct.unpack_from(order + "I", content, directory + 2 + 12 * count)
    return tags, following != 0


def _values(content: bytes, entry: int, order: str) -> NDArray[np.int64]:
    tag, kind, number = struct.unpack_from(order + "HHI", content, entry)
    dtype = np.dtype(order + _TIFF_INTEGERS[kind])
    offset = entry + 8
    if number * dtype.itemsize > 4:
        (offset,) = struct.unpack_from(order + "I", content, offset)
    if not 1 <= number <= _MAX_TAG_VALUES or offset + number * dtype.itemsize > len(content):
        raise struct.error(f"the values of TIFF tag {tag} lie outside the file")
    return np.frombuffer(content, dtype, number, offset).astype(np.int64)
