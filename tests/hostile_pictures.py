"""Pictures that were made to fill the memory or to take hours, or whose header can be read in two ways."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 6300
"""Of a picture that is just below the limit of 40 million pixels."""


def gray() -> NDArray[np.uint8]:
    """(100, 120) uint8: soft shapes."""
    picture = np.zeros((100, 120), np.uint8)
    picture[20:80, 20:90] = 200
    return cv2.GaussianBlur(picture, (0, 0), 9).astype(np.uint8)


def chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _encoded(suffix: str, *options: int) -> bytes:
    return cv2.imencode(suffix, gray(), options)[1].tobytes()


def _png_with(extra: bytes) -> bytes:
    plain = _encoded(".png")
    return plain[:33] + extra + plain[33:]


def large_png(
    bits: int, colour: int, extra: bytes = b"", *, width: int = SIDE, height: int = SIDE
) -> bytes:
    """A PNG near the limit, of few bytes."""
    samples = {0: 1, 2: 3, 4: 2, 6: 4}[colour]
    row = (b"\0" + bytes(range(1, 200)) * (width * samples * bits // 8 // 199 + 1))[
        : width * samples * bits // 8 + 1
    ]
    packer = zlib.compressobj(1)
    data = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra
        + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )  # fmt: skip


def _animated() -> bytes:
    frame = struct.pack(">IIIIIHHBB", 0, SIDE, SIDE, 0, 0, 1, 10, 0, 0)
    plain = large_png(8, 6, chunk(b"acTL", struct.pack(">II", 2, 0)) + chunk(b"fcTL", frame))
    start = plain.index(b"IDAT") - 4
    (length,) = struct.unpack_from(">I", plain, start)
    second = chunk(b"fcTL", struct.pack(">I", 1) + frame[4:])
    second += chunk(b"fdAT", struct.pack(">I", 2) + plain[start + 8 : start + 8 + length])
    return plain[:-12] + second + plain[-12:]


def _frame(jpeg: bytes, width: int, height: int) -> bytes:
    start = jpeg.index(b"\xff\xc0")
    (length,) = struct.unpack_from(">H", jpeg, start + 2)
    frame = jpeg[start : start + 2 + length]
    return frame[:5] + struct.pack(">HH", height, width) + frame[9:]


def _jpeg_with(extra: bytes) -> bytes:
    plain = _encoded(".jpg")
    return plain[:2] + extra + plain[2:]


def _stuffed() -> bytes:
    """A stuffed zero hides a frame of 36 million pixels in what looks like a segment's length and content."""
    huge = _frame(_encoded(".jpg"), 6000, 6000)
    comment = b"\xff\xfe" + struct.pack(">H", 0xFFC0 - len(huge) - 2)
    return _jpeg_with(b"\xff\x00" + huge + comment + bytes(0xFFC0 - len(huge) - 4))


def saved(picture: NDArray[Any], kind: str, mode: str | None = None, **options: Any) -> bytes:
    """A picture as Pillow writes it."""
    buffer = io.BytesIO()
    Image.fromarray(picture, mode).save(buffer, kind, **options)
    return buffer.getvalue()


def tiff(entries: list[tuple[int, int, int, int]], blob: bytes) -> bytes:
    """A little-endian TIFF: entries of tag, type, number and value, and what their offsets (from 8) lead to."""
    listed = b"".join(struct.pack("<HHII", *entry) for entry in sorted(entries))
    start = struct.pack("<I", 8 + len(blob))
    return b"II*\0" + start + blob + struct.pack("<H", len(entries)) + listed + bytes(4)


def _strip(**other: tuple[int, int]) -> list[tuple[int, int, int, int]]:
    """Entries of a gray picture in one strip at 8; ``name=(type, value)`` changes one."""
    height, width = gray().shape
    known = {"width": 256, "height": 257, "bits": 258, "samples": 277, "size": 279}
    values = {256: (4, width), 257: (4, height), 258: (3, 8), 259: (3, 1), 262: (3, 1), 273: (4, 8),
              277: (3, 1), 278: (4, height), 279: (4, width * height)}  # fmt: skip
    values |= {known[name]: value for name, value in other.items()}
    return [(tag, kind, 1, value) for tag, (kind, value) in values.items()]


def _tiles(side: int, width: int, height: int) -> list[tuple[int, int, int, int]]:
    entries = [
        entry
        for entry in _strip(width=(4, width), height=(4, height))
        if entry[0] not in (273, 278, 279)
    ]
    return [*entries, (322, 4, 1, side), (323, 4, 1, side), (324, 4, 1, 8), (325, 4, 1, 12_000)]


_TEXT = zlib.compress(bytes(8_000_000 - 100), 9)
_BYTES = gray().tobytes()

SMALL: dict[str, bytes] = {
    # Inflates to 24 MB; 300 of these took 42 s.
    "texts.png": _png_with(
        chunk(b"zTXt", b"a\0\0" + _TEXT) + chunk(b"iTXt", b"a\0\1\0\0\0" + _TEXT)
    ),
    "longer-header.png": _encoded(".png")[:8] + struct.pack(">I", 14) + _encoded(".png")[12:],
    "two-headers.png": _png_with(
        chunk(b"IHDR", struct.pack(">IIBBBBB", SIDE, SIDE, 16, 6, 0, 0, 0))
    ),
    "no-length.jpg": _jpeg_with(b"\xff\xe5\x00\x00"),
    "two-frames.jpg": _jpeg_with(_frame(_encoded(".jpg"), 6000, 6000)),
    "reserved-marker.jpg": _jpeg_with(b"\xff\x55\x00\x10" + bytes(14)),
    "negative-width.tif": tiff(_strip(width=(9, 2**32 - 120)), _BYTES),
    "many-samples.tif": tiff(_strip(samples=(3, 60_000)), _BYTES),
    "two-widths.tif": tiff([*_strip(), (256, 4, 1, 2**20)], _BYTES),
    "large-tiles.tif": tiff(_tiles(16_384, 120, 100), _BYTES),
    "small-tiles.tif": tiff(_tiles(1, SIDE, SIDE), _BYTES),
    # The same 12 KB for each of 500 tags; with a MB and 4000 tags, 4 GiB.
    "shared-values.tif": tiff(
        [*_strip(), *((40_000 + n, 1, 12_000, 8) for n in range(500))], _BYTES
    ),
}
"""By name: what is refused, or read, in milliseconds; 64 KiB at most."""


def _palette() -> NDArray[np.uint8]:
    return np.zeros((SIDE, SIDE), np.uint8)


LARGE: dict[str, Callable[[], bytes]] = {
    "gray-16.png": lambda: large_png(16, 0),
    "colours-16.png": lambda: large_png(16, 2),
    "transparent-8.png": lambda: large_png(8, 6),
    "transparent-16.png": lambda: large_png(16, 6),
    "animated.png": _animated,
    "stuffed.jpg": _stuffed,
    "progressive.jpg": lambda: saved(
        np.zeros((SIDE, SIDE, 4), np.uint8), "JPEG", "CMYK", progressive=True, subsampling=0
    ),
    "colours.tif": lambda: saved(
        np.zeros((SIDE, SIDE, 3), np.uint8), "TIFF", compression="tiff_adobe_deflate"
    ),
    "shared-megabyte.tif": lambda: tiff(
        [*_strip(), *((40_000 + n, 1, 2**20, 8) for n in range(1000))], _BYTES + bytes(2**20)
    ),
    "many-texts.png": lambda: _png_with(chunk(b"zTXt", b"a\0\0" + _TEXT) * 300),
}
"""By name: what makes them; they take up to the memory that the largest pictures may."""
