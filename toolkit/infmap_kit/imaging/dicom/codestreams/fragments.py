"""The items that a compressed picture lies in (PS3.5, A.4)."""

from __future__ import annotations

import struct

from infmap_kit.errors import InputRejected
from infmap_kit.imaging.dicom.codestreams.frame_size import whole_header
from infmap_kit.imaging.radiograph import Reason

_ITEM, _DELIMITER = (0xFFFE, 0xE000), (0xFFFE, 0xE0DD)


def only_frame(items: bytes | memoryview, *, max_bytes: int) -> bytes:
    """Join the fragments of the one frame; the table of offsets before them is passed over.

    Parameters
    ----------
    items
        What follows the header of the pixels' element, up to the end of the items or beyond.
    max_bytes
        Most bytes of the frame.

    Raises
    ------
    InputRejected
        ``truncated`` when an item is cut, or there is no fragment; ``unreadable`` for what is no item;
        ``too-large`` for a frame of more bytes.
    """
    view, position = memoryview(items), 0
    fragments: list[memoryview] = []
    while position < len(view):
        with whole_header():
            *tag, length = struct.unpack_from("<HHI", view, position)
        if tuple(tag) == _DELIMITER:
            break
        if tuple(tag) != _ITEM:
            raise InputRejected(
                Reason.UNREADABLE,
                "expected fragments of a compressed picture, found others: damaged",
            )
        position += 8 + length
        fragments.append(view[position - length : position])
    if len(fragments) < 2 or position > len(view):
        text = "the file ends in the middle of its compressed picture: fetch it again"
        raise InputRejected(Reason.TRUNCATED, text)
    found = sum(map(len, fragments[1:]))
    if found > max_bytes:
        raise InputRejected(
            Reason.TOO_LARGE,
            f"expected a compressed picture of at most {max_bytes} bytes, as large as it would be without "
            f"compression, found {found}: damaged, or made to fill the memory",
        )
    return b"".join(fragments[1:])
