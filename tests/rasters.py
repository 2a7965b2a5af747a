"""Small pictures written by hand, and the reason for which one is refused."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from infmap_kit.errors import InputRejected
from infmap_kit.imaging.raster import decode_raster
from infmap_kit.imaging.readers import judge

HEIGHT_PX, WIDTH_PX = 80, 100


def gray_picture() -> NDArray[np.uint8]:
    """A picture that differs from all its turned and mirrored selves."""
    noise = np.random.default_rng(1).integers(0, 256, (HEIGHT_PX, WIDTH_PX)).astype(np.uint8)
    picture = cv2.GaussianBlur(noise, (0, 0), 3)
    return cv2.normalize(picture, np.empty_like(picture), 7, 201, cv2.NORM_MINMAX).astype(np.uint8)


def encoded_picture(suffix: str, picture: NDArray[Any], *options: int) -> bytes:
    return cv2.imencode(suffix, picture, options)[1].tobytes()


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_file(rows: list[bytes], *, width: int, bits: int, colour: int, extra: bytes = b"") -> bytes:
    """A PNG written by hand; every row is unfiltered."""
    header = struct.pack(">IIBBBBB", width, len(rows), bits, colour, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row for row in rows))
    return (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", header)
        + extra
        + png_chunk(b"IDAT", data)
        + png_chunk(b"IEND", b"")
    )


def tiff_file(strip: bytes, order: str = "<", more: int = 0, **tags: int) -> bytes:
    """A TIFF of one strip, written by hand."""
    numbers = {
        "width": 256, "height": 257, "bits": 258, "compression": 259, "photometric": 262,
        "offset": 273, "orientation": 274, "samples": 277, "rows": 278, "size": 279, "planes": 284,
        "predictor": 317, "format": 339,
    }  # fmt: skip
    values = {
        "width": WIDTH_PX, "height": HEIGHT_PX, "bits": 8, "compression": 1, "photometric": 1,
        "offset": 8, "samples": 1, "rows": HEIGHT_PX, "size": len(strip), **tags,
    }  # fmt: skip
    entries = b"".join(
        struct.pack(order + "HHII", number, 4, 1, values[name])
        for name, number in numbers.items()
        if name in values
    )
    mark = b"II*\0" if order == "<" else b"MM\0*"
    count = struct.pack(order + "H", len(values))
    return (
        mark + struct.pack(order + "I", 8 + len(strip)) + strip + count + entries
        + struct.pack(order + "I", more)
    )  # fmt: skip


def rejection_of(content: bytes) -> InputRejected:
    with pytest.raises(InputRejected) as rejected:
        judge(decode_raster(content, "x"))
    return rejected.value
