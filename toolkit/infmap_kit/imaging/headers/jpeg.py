"""JPEG and JPEG-LS: the one frame of a codestream, and what lies around it."""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Iterator

from infmap_kit.imaging.headers.header import Header, damaged
from infmap_kit.imaging.headers.tiff import EXIF_START, exif_orientation

JPEG_SIGNATURE = b"\xff\xd8\xff"

# C4, C8 and CC lie in the same range and are no frames (ITU-T T.81, table B.1).
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# JPEG-LS has a frame header of its own (ITU-T T.87, C.2.1).
_ALL_FRAMES = _FRAMES | {0xF7}

_SCAN, _EXIF = 0xDA, 0xE1
_SCAN_START, _END = b"\xff\xda", b"\xff\xd9"
_LONE = frozenset((0x01, *range(0xD0, 0xD8)))
# Start and end of an image, a stuffed zero and reserved codes: what a decoder makes of one before the scan is
# its own taste.
_OUT_OF_PLACE = frozenset((0x00, 0xD8, 0xD9, *range(0x02, 0xC0)))
_COMPONENTS = (1, 3, 4)

# More than any real file has; a bound on the work that a hostile one can make.
_MAX_SEGMENTS = 4096
_MAX_SCANS = 100


@dataclasses.dataclass(frozen=True, kw_only=True)
class JpegFrame:
    """The frame header of a JPEG or JPEG-LS, and what lies around it.

    Parameters
    ----------
    width, height, components
        As the frame announces them.
    complete
        Whether an image's end follows the first scan's start.
    exif
        The Exif block, empty when there is none.
    """

    width: int
    height: int
    components: int
    complete: bool
    exif: bytes = b""


def jpeg_frame(content: bytes, *, also_jpeg_ls: bool = False) -> JpegFrame:
    """Walk the segments of a JPEG (ITU-T T.81, B.1.1) up to its first scan, and read its one frame.

    Parameters
    ----------
    content
        A JPEG from its start.
    also_jpeg_ls
        Whether the frame of a JPEG-LS counts as one too.

    Raises
    ------
    InputRejected
        ``unreadable`` when segments do not follow each other, for no frame or two, and for a progressive one
        that would be decoded hundreds of times.
    struct.error
        When the file ends before the scan.
    """
    frames = _ALL_FRAMES if also_jpeg_ls else _FRAMES
    frame, exif, position = None, b"", 2
    for marker, position in _segments(content):
        if marker in frames:
            if frame is not None:
                # Which of two counts, decoders do not agree on.
                raise damaged("JPEG")
            frame = struct.unpack_from(">xxxHHB", content, position)
        # Of several the first counts, as for others.
        elif marker == _EXIF and not exif and content.startswith(EXIF_START, position + 2):
            (length,) = struct.unpack_from(">H", content, position)
            exif = content[position + 8 : position + length]
    # A progressive JPEG is decoded once more for each scan; real ones have about ten.
    if frame is None or 0 in frame or content.count(_SCAN_START, position) > _MAX_SCANS:
        raise damaged("JPEG")
    height, width, components = frame
    return JpegFrame(
        width=width,
        height=height,
        components=components,
        # Looked for behind the scan's start only: the thumbnail before it has an end of its own.
        complete=content.rfind(_END, position) >= 0,
        exif=exif,
    )


def _segments(content: bytes) -> Iterator[tuple[int, int]]:
    """Marker of each segment up to the first scan, and the place of its length."""
    position = 2
    for _ in range(_MAX_SEGMENTS):
        prefix, marker = struct.unpack_from(">BB", content, position)
        if prefix != 0xFF or marker in _OUT_OF_PLACE:
            raise damaged("JPEG")
        position += 1 if marker == 0xFF else 2
        if marker in _LONE or marker == 0xFF:
            continue
        if marker == _SCAN:
            yield marker, position
            return
        (length,) = struct.unpack_from(">H", content, position)
        if length < 2:
            raise damaged("JPEG")
        yield marker, position
        position += length
    raise damaged("JPEG")


def jpeg_header(content: bytes) -> Header:
    """Read the header of a JPEG; errors as of :func:`~infmap_kit.imaging.headers.reading.read_header`."""
    frame = jpeg_frame(content)
    if frame.components not in _COMPONENTS:
        raise damaged("JPEG")
    return Header(
        media_type="image/jpeg",
        width=frame.width,
        height=frame.height,
        channels=frame.components,
        orientation=exif_orientation(frame.exif) if frame.exif else 1,
        complete=frame.complete,
    )
