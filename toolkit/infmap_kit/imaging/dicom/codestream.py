"""The size that a compressed picture inside a DICOM file announces, checked before a decoder believes it.

The decoders reserve memory for the codestream's size, not for the data set's: a few bytes there can
announce gigabytes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import struct
from collections.abc import Iterator

from infmap_kit.errors import InputRejected
from infmap_kit.imaging.header import JPEG_FRAMES, jpeg_segments
from infmap_kit.imaging.radiograph import Reason

# JPEG-LS has a frame header of its own (ITU-T T.87, C.2.1).
_FRAMES = JPEG_FRAMES | {0xF7}

_J2K_START = b"\xff\x4f\xff\x51"
"""Start of codestream and the size marker, which always follows it (T.800, A.5.1)."""
_J2K_SEARCHED = 4096
MAX_TILES = 65535


@dataclasses.dataclass(frozen=True, kw_only=True)
class FrameSize:
    """Width and height in pixels, samples a pixel, and tiles that are decoded one by one."""

    width: int
    height: int
    components: int
    tiles: int = 1


def jpeg_frame(codestream: bytes) -> FrameSize:
    """Read the frame header of a JPEG or JPEG-LS.

    Raises
    ------
    InputRejected
        ``unreadable`` when there is none, ``truncated`` when it is cut.
    """
    with _whole_header():
        for marker, position in jpeg_segments(codestream):
            if marker in _FRAMES:
                height, width, components = struct.unpack_from(">xxxHHB", codestream, position)
                return FrameSize(width=width, height=height, components=components)
    raise InputRejected(Reason.UNREADABLE, "the compressed picture has no frame header: damaged")


def jpeg_2000_frame(codestream: bytes) -> FrameSize:
    """Read the size marker of a JPEG 2000, bare or in a JP2 box.

    Raises
    ------
    InputRejected
        ``unreadable`` when there is none, ``truncated`` when it is cut.
    """
    start = codestream.find(_J2K_START, 0, _J2K_SEARCHED)
    if start < 0:
        raise InputRejected(Reason.UNREADABLE, "the JPEG 2000 picture has no size: damaged")
    with _whole_header():
        right, bottom, left, top, tile_width, tile_height, tile_left, tile_top, components = (
            struct.unpack_from(">8IH", codestream, start + 8)
        )
    tiles = 0
    if tile_width and tile_height:
        tiles = -(-(right - tile_left) // tile_width) * -(-(bottom - tile_top) // tile_height)
    return FrameSize(width=right - left, height=bottom - top, components=components, tiles=tiles)


def refuse_long_rle(codestream: bytes, *, plane_bytes: int) -> None:
    """Refuse run lengths that add up to more than the picture.

    Parameters
    ----------
    codestream
        One RLE frame: a header of 64 bytes, then up to 15 segments (PS3.5, G.5).
    plane_bytes
        Bytes that every segment has to give.

    Raises
    ------
    InputRejected
        ``unreadable`` for segments that lie outside, ``too-large`` for ones that give too much.
    """
    with _whole_header():
        count, *offsets = struct.unpack_from("<16I", codestream, 0)
    if not 1 <= count <= 15:
        raise InputRejected(
            Reason.UNREADABLE, f"found {count} RLE segments in the picture: damaged"
        )
    ends = [*offsets[1:count], len(codestream)]
    for start, end in zip(offsets[:count], ends, strict=True):
        # A run of two bytes gives 128 at most: short segments need no counting.
        if 64 * (end - start) > 2 * plane_bytes + 2**16:
            _refuse_long_segment(codestream[start:end], plane_bytes)


def _refuse_long_segment(segment: bytes, limit: int) -> None:
    position, total = 0, 0
    while position < len(segment) and total <= limit + 128:
        control = segment[position]
        if control < 128:
            position += control + 2
            total += control + 1
        else:
            position += 2 if control > 128 else 1
            total += 257 - control if control > 128 else 0
    if total > limit + 128:
        raise InputRejected(
            Reason.TOO_LARGE,
            "expected run lengths that add up to the picture, found more: damaged, or made to fill "
            "the memory",
        )


@contextlib.contextmanager
def _whole_header() -> Iterator[None]:
    try:
        yield
    except struct.error as error:
        text = "the file ends inside its picture's header: fetch it again"
        raise InputRejected(Reason.TRUNCATED, text) from error
