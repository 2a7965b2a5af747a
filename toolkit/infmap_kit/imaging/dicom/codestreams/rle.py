"""RLE (PS3.5, annex G): run lengths that add up to no more than the picture."""

from __future__ import annotations

import struct

from infmap_kit.errors import InputRejected
from infmap_kit.imaging.dicom.codestreams.frame_size import whole_header
from infmap_kit.imaging.radiograph import Reason


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
    with whole_header():
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
