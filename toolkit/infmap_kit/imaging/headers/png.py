"""PNG: its chunks, and which of them a decoder has to see."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from infmap_kit.imaging.headers.header import Header, damaged
from infmap_kit.imaging.headers.tiff import EXIF_START, exif_orientation

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"

_HEADER_BYTES = 13
_ESSENTIAL = frozenset((b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"))

_MAX_CHUNKS = 2**16
"""More than any real file has; a bound on the work that a hostile one can make."""


def png_header(content: bytes) -> Header:
    """Read the header of a PNG; errors as of :func:`~infmap_kit.imaging.headers.reading.read_header`."""
    size, kind, width, height, bits, colour = struct.unpack_from(">I4sIIBB", content, 8)
    channels = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}.get(colour)
    if (size, kind) != (_HEADER_BYTES, b"IHDR") or channels is None:
        raise damaged("PNG")
    orientation, end, frames = 1, 0, 1
    is_transparent = colour in (4, 6)
    for kind, start, end in _chunks(content):
        if kind == b"eXIf" and end <= len(content):
            # Some write the prefix, which a JPEG has and a PNG should not.
            block = content[start + 8 : end - 4].removeprefix(EXIF_START)
            orientation = exif_orientation(block)
        elif kind == b"tRNS":
            is_transparent = True
        elif kind == b"acTL" and end <= len(content):
            (frames,) = struct.unpack_from(">I", content, start + 8)
        elif kind == b"IHDR" and start != len(PNG_SIGNATURE):
            raise damaged("PNG")
    return Header(
        media_type="image/png",
        width=width,
        height=height,
        channels=channels,
        # Whatever is transparent comes as colours and alpha.
        pixel_bytes=(4 if is_transparent else channels) * (2 if bits > 8 else 1),
        orientation=orientation,
        complete=end <= len(content),
        more_pages=frames > 1,
    )


def _chunks(content: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Name, start and end of each chunk of a PNG up to its last; one that is cut ends behind the content."""
    position = len(PNG_SIGNATURE)
    for _ in range(_MAX_CHUNKS):
        # Of the last chunk in a file that is cut, length or name may be missing.
        length, kind = struct.unpack(">I4s", content[position : position + 8].ljust(8, b"\0"))
        start, position = position, position + 12 + length
        yield kind, start, position
        if kind == b"IEND" or position > len(content):
            return
    raise damaged("PNG")


def essential_png(content: bytes) -> bytes:
    """Leave of a PNG only the chunks that make its one picture.

    Others are no business of a decoder's: compressed texts inflate to 8 MB each, and the frames of an
    animation are several pictures.

    Parameters
    ----------
    content
        A whole PNG that :func:`png_header` has read.
    """
    chunks = list(_chunks(content))
    if all(kind in _ESSENTIAL for kind, _, _ in chunks):
        return content
    view = memoryview(content)
    pieces = [view[start:end] for kind, start, end in chunks if kind in _ESSENTIAL]
    return b"".join((PNG_SIGNATURE, *pieces))
