"""The orientation that a picture's EXIF states is obeyed."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

from infmap_kit.imaging.raster import decode_raster
from rasters import (
    encoded_picture,
    png_chunk,
    tiff_file,
)

_UPRIGHT: dict[int, Callable[[NDArray[Any]], NDArray[Any]]] = {
    1: lambda p: p,
    2: np.fliplr,
    3: lambda p: np.rot90(p, 2),
    4: np.flipud,
    5: np.transpose,
    6: lambda p: np.rot90(p, -1),
    7: lambda p: np.rot90(p, 2).T,
    8: np.rot90,
}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["tiff", "jpeg", "colour jpeg"])
def test_orientation_is_obeyed(kind: str, orientation: int, gray: NDArray[np.uint8]) -> None:
    if kind == "tiff":
        content = tiff_file(gray.tobytes(), orientation=orientation)
        stored = gray
    else:
        picture = gray if kind == "jpeg" else cv2.merge([gray] * 3)
        plain = encoded_picture(".jpg", picture, cv2.IMWRITE_JPEG_QUALITY, 100)
        entry = struct.pack("<HHHIHHI", 1, 0x0112, 3, 1, orientation, 0, 0)
        exif = b"Exif\0\0II*\0" + struct.pack("<I", 8) + entry
        content = plain[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + plain[2:]
        stored = decode_raster(plain, "x").pixels
    radiograph = decode_raster(content, "x")
    np.testing.assert_array_equal(radiograph.pixels, _UPRIGHT[orientation](stored))
    assert bool(radiograph.notes) is (orientation != 1)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("mode", ["L", "I;16", "RGB", "RGBA"])
@pytest.mark.parametrize("kind", ["png", "png, at its end", "png, with a prefix", "tiff"])
def test_orientation_is_that_of_pillow(
    kind: str, mode: str, orientation: int, gray: NDArray[np.uint8]
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    picture = Image.fromarray(gray.astype(np.uint16) * 257 if mode == "I;16" else gray)
    picture = picture if mode == "I;16" else picture.convert(mode)
    if kind in ("png", "tiff"):
        picture.save(file, kind, exif=exif)
    else:
        picture.save(file, "png")
        prefix = b"Exif\0\0" if "prefix" in kind else b""
        chunk = png_chunk(b"eXIf", prefix + exif.tobytes().removeprefix(b"Exif\0\0"))
        place = -12 if "end" in kind else 33
        file = io.BytesIO(file.getvalue()[:place] + chunk + file.getvalue()[place:])
    upright = np.asarray(ImageOps.exif_transpose(Image.open(file)))
    expected = upright // 257 if mode == "I;16" else upright if mode == "L" else upright[..., 0]
    radiograph = decode_raster(file.getvalue(), "x")
    np.testing.assert_array_equal(radiograph.pixels, expected)
    assert any("upright" in note for note in radiograph.notes) is (orientation != 1)


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("orientation", [3, 6])
@pytest.mark.parametrize("order", "<>")
def test_a_jpeg_is_turned_by_the_orientation_that_its_note_names(
    order: str, orientation: int, count: int, gray: NDArray[np.uint8]
) -> None:
    """A number of 32 bits, and a second block that says another: OpenCV read 1 where our note said 6."""
    plain = encoded_picture(".jpg", gray, cv2.IMWRITE_JPEG_QUALITY, 100)
    segments = b""
    for one in (orientation, 1)[:count]:
        tiff = struct.pack(
            order + "2sHIHHHIII", b"II" if order == "<" else b"MM", 42, 8, 1, 274, 4, 1, one, 0
        )
        exif = b"Exif\0\0" + tiff
        segments += b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
    radiograph = decode_raster(plain[:2] + segments + plain[2:], "x")
    stored = decode_raster(plain, "x").pixels
    np.testing.assert_array_equal(radiograph.pixels, _UPRIGHT[orientation](stored))
    assert radiograph.notes == (f"turned upright from orientation {orientation}",)


@pytest.mark.parametrize("exif", [b"", b"II*\0", b"MM\0*\xff\xff\xff\xff", b"\xff" * 40])
def test_a_png_with_damaged_exif_is_read_as_stored(exif: bytes, gray: NDArray[np.uint8]) -> None:
    plain = encoded_picture(".png", gray)
    content = plain[:33] + png_chunk(b"eXIf", exif) + plain[33:]
    np.testing.assert_array_equal(decode_raster(content, "x").pixels, gray)
