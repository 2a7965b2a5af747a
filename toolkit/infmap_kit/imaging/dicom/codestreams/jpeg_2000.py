"""JPEG 2000, walked from marker to marker before a decoder sees it.

Decoders reserve memory for all that the headers announce: a picture of 36 million precincts, or of code-blocks
of 16 pixels, takes gigabytes out of a kilobyte. Names and numbers of markers are those of ITU-T T.800, annex A.
"""

from __future__ import annotations

import dataclasses
import struct

from infmap_kit.errors import InputRejected
from infmap_kit.imaging.dicom.codestreams.frame_size import FrameSize, whole_header
from infmap_kit.imaging.radiograph import Reason

_SOC, _SIZ, _COD, _COC = 0xFF4F, 0xFF51, 0xFF52, 0xFF53
_SOT, _SOD, _EOC = 0xFF90, 0xFF93, 0xFFD9
# CAP, PRF, CPF (high throughput); TLM, PLM, PLT, QCD, QCC, RGN, POC, PPM, PPT, CRG, COM.
_OTHERS = frozenset(
    (*(0xFF50, 0xFF56, 0xFF59, 0xFF55, 0xFF57, 0xFF58, 0xFF5C, 0xFF5D), *range(0xFF5E, 0xFF65))
)
_CODESTREAM_START = b"\xff\x4f\xff\x51"
_FILE_START = b"\x00\x00\x00\x0cjP  \r\n\x87\n"
_MAX_BOXES = 64

_MAX_MARKERS = 2**16
_MAX_TILES = 2**14
_MAX_LEVELS = 32
_MAX_LAYERS = 1000
_MAX_PARTS = 2**17
"""Most code-blocks and precincts of a picture together. The largest radiograph has 10,000 blocks of 64x64;
OpenJPEG takes about a kilobyte for each."""
_OWN_PRECINCTS = 1
_LARGEST_PRECINCT = 15


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Size:
    """The size marker: the picture's grid and the tiles on it."""

    width: int
    height: int
    components: int
    tile_width: int
    tile_height: int
    tiles: int


def bare_codestream(frame: bytes) -> bytes:
    """Take a codestream out of the boxes of a JP2 file, where it lies in one.

    DICOM wants it bare (PS3.5, A.4.4), and some write boxes all the same. A decoder that saw them might obey
    others of them: a palette makes 255 pictures of one.

    Raises
    ------
    InputRejected
        ``unreadable`` when there is no codestream, ``truncated`` when its boxes are cut.
    """
    if frame.startswith(_CODESTREAM_START):
        return frame
    position = 0
    with whole_header():
        for _ in range(_MAX_BOXES * frame.startswith(_FILE_START)):
            length, kind = struct.unpack_from(">I4s", frame, position)
            start = position + 8
            if length == 1:
                (length,) = struct.unpack_from(">Q", frame, start)
                start += 8
            # Zero stands for the rest of the file (T.800, I.4).
            end = position + length if length else len(frame)
            if end < start:
                break
            if kind == b"jp2c":
                inner = frame[start:end]
                if inner.startswith(_CODESTREAM_START):
                    return inner
                break
            position = end
    raise InputRejected(Reason.UNREADABLE, "the JPEG 2000 picture has no codestream: damaged")


def jpeg_2000_frame(codestream: bytes) -> FrameSize:
    """Read the size of a bare JPEG 2000.

    Raises
    ------
    InputRejected
        ``unreadable`` when there is none, ``truncated`` when it is cut.
    """
    with whole_header():
        size = _size(codestream)
    return FrameSize(width=size.width, height=size.height, components=size.components)


def sample_format(codestream: bytes) -> tuple[int, bool]:
    """Bits of a sample, and whether it is signed, of a bare JPEG 2000 whose size was read (A.5.1)."""
    depth = codestream[42]
    return (depth & 0x7F) + 1, bool(depth & 0x80)


def refuse_many_parts(codestream: bytes) -> None:
    """Refuse a bare JPEG 2000 of one component that would take more memory than its picture.

    Raises
    ------
    InputRejected
        ``unreadable`` when markers do not follow each other, and for more tiles, layers, precincts or
        code-blocks than any real picture has; ``truncated`` when a header is cut.
    """
    with whole_header():
        size = _size(codestream)
        if not 1 <= size.tiles <= _MAX_TILES:
            raise _damaged(f"{size.tiles} tiles")
        _walk(codestream, size)


def _walk(codestream: bytes, size: _Size) -> None:
    position, tile_end = 2, 0
    for _ in range(_MAX_MARKERS):
        if tile_end and position >= len(codestream):
            break
        (marker,) = struct.unpack_from(">H", codestream, position)
        if marker == _EOC and tile_end:
            break
        if marker == _SOD:
            if not tile_end:
                raise _damaged("markers in another order than decoders expect")
            position, tile_end = tile_end, len(codestream)
            continue
        (length,) = struct.unpack_from(">H", codestream, position + 2)
        body = codestream[position + 4 : position + 2 + length]
        if len(body) < length - 2:
            raise struct.error("cut inside a marker segment")
        if marker == _SOT:
            (part,) = struct.unpack_from(">xxI", body)
            # Zero stands for the rest of the codestream (A.4.2).
            tile_end = position + part if part else len(codestream)
            if tile_end < position + 12:
                raise _damaged("a part of a tile that ends before it begins")
        elif marker == _COD:
            _refuse_parts(size, body, levels=5, style=body[0])
        elif marker == _COC:
            # One component is all that is accepted, so its number takes a byte.
            _refuse_parts(size, body, levels=2, style=body[1])
        elif (marker == _SIZ) != (position == 2) or marker not in _OTHERS | {_SIZ}:
            raise _damaged("markers in another order than decoders expect")
        position += 2 + length
    else:
        raise _damaged("more markers than any picture has")


def _size(codestream: bytes) -> _Size:
    if not codestream.startswith(_CODESTREAM_START):
        raise _damaged("no size")
    right, bottom, left, top, tile_width, tile_height, tile_left, tile_top, components = (
        struct.unpack_from(">8IH", codestream, 8)
    )
    tiles = 0
    if tile_width and tile_height:
        tiles = -(-(right - tile_left) // tile_width) * -(-(bottom - tile_top) // tile_height)
    return _Size(
        width=right - left,
        height=bottom - top,
        components=components,
        tile_width=tile_width,
        tile_height=tile_height,
        tiles=tiles,
    )


def _refuse_parts(size: _Size, body: bytes, *, levels: int, style: int) -> None:
    """Refuse a coding style (A.6.1) whose parts are too many; ``levels`` is the place of their number."""
    if levels == 5 and struct.unpack_from(">H", body, 2)[0] > _MAX_LAYERS:
        raise _damaged(f"more than {_MAX_LAYERS} layers")
    count, block_width, block_height = struct.unpack_from(">3B", body, levels)
    if count > _MAX_LEVELS:
        raise _damaged(f"{count} levels of resolution")
    exponents = body[levels + 5 : levels + 6 + count] if style & _OWN_PRECINCTS else b""
    total = 0
    for level in range(count + 1):
        own = exponents[level] if level < len(exponents) else _LARGEST_PRECINCT * 17
        # Halved once more than the next resolution; all but the lowest have three bands of half that size.
        shrunk = 2 ** (count - level)
        precinct = [own & 15, own >> 4]
        block = [(value & 15) + 2 for value in (block_width, block_height)]
        extent = [-(-min(whole, tile) // shrunk) for whole, tile in
                  ((size.width, size.tile_width), (size.height, size.tile_height))]  # fmt: skip
        precincts = _pieces(extent, precinct)
        halved = int(level > 0)
        smaller = [min(b, max(p - halved, 0)) for b, p in zip(block, precinct, strict=True)]
        blocks = _pieces([-(-side // (1 + halved)) for side in extent], smaller)
        total += (1 + 2 * halved) * (precincts + blocks)
    if total * size.tiles > _MAX_PARTS:
        raise _damaged("millions of small parts")


def _pieces(extent: list[int], exponents: list[int]) -> int:
    # One more on each side: the grid need not begin where the picture does.
    across, down = (
        (side >> exponent) + 1 for side, exponent in zip(extent, exponents, strict=True)
    )
    return across * down


def _damaged(found: str) -> InputRejected:
    return InputRejected(
        Reason.UNREADABLE,
        f"found a JPEG 2000 picture of {found}: damaged, or made to fill the memory",
    )
