"""PNG, JPEG and TIFF have the right gray values."""

from __future__ import annotations

import io
from itertools import pairwise

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from infmap_kit.imaging.raster import decode_raster
from rasters import (
    HEIGHT_PX,
    WIDTH_PX,
    encoded_picture,
    png_chunk,
    png_file,
    rejection_of,
    tiff_file,
)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_gray_comes_back_as_stored(suffix: str, gray: NDArray[np.uint8]) -> None:
    radiograph = decode_raster(encoded_picture(suffix, gray), "x")
    np.testing.assert_array_equal(radiograph.pixels, gray)
    assert radiograph.notes == ()
    assert radiograph.media_type == {".png": "image/png", ".tif": "image/tiff"}[suffix]


def test_gray_jpeg_is_what_opencv_decodes(gray: NDArray[np.uint8]) -> None:
    content = encoded_picture(".jpg", gray, cv2.IMWRITE_JPEG_QUALITY, 90)
    radiograph = decode_raster(content, "x")
    expected = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE)
    np.testing.assert_array_equal(radiograph.pixels, expected)
    assert (radiograph.media_type, radiograph.notes) == ("image/jpeg", ())


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_gray_in_three_channels_is_exact(suffix: str, gray: NDArray[np.uint8]) -> None:
    radiograph = decode_raster(encoded_picture(suffix, cv2.merge([gray] * 3)), "x")
    np.testing.assert_array_equal(radiograph.pixels, gray)
    assert radiograph.notes == ()


@pytest.mark.parametrize("progressive", [0, 1])
def test_gray_in_a_colour_jpeg(progressive: int, gray: NDArray[np.uint8]) -> None:
    options = (cv2.IMWRITE_JPEG_QUALITY, 95, cv2.IMWRITE_JPEG_PROGRESSIVE, progressive)
    radiograph = decode_raster(encoded_picture(".jpg", cv2.merge([gray] * 3), *options), "x")
    assert np.abs(radiograph.pixels.astype(int) - gray).max() <= 8
    assert radiograph.notes == ()


def test_opaque_alpha_changes_nothing(gray: NDArray[np.uint8]) -> None:
    content = encoded_picture(".png", cv2.merge([gray, gray, gray, np.full_like(gray, 255)]))
    radiograph = decode_raster(content, "x")
    np.testing.assert_array_equal(radiograph.pixels, gray)
    assert radiograph.notes == ("opaque alpha dropped",)


def test_transparent_parts_are_black(gray: NDArray[np.uint8]) -> None:
    alpha = np.full_like(gray, 255)
    alpha[:, :30], alpha[:, 30:60] = 0, 102
    radiograph = decode_raster(encoded_picture(".png", cv2.merge([gray, gray, gray, alpha])), "x")
    expected = np.rint(gray * (alpha / 255.0))
    assert np.abs(radiograph.pixels - expected).max() <= 1
    assert not radiograph.pixels[:, :30].any()
    np.testing.assert_array_equal(radiograph.pixels[:, 60:], gray[:, 60:])
    assert radiograph.notes == ("transparent parts laid over black",)


def test_gray_with_alpha(gray: NDArray[np.uint8]) -> None:
    rows = [np.stack([row, np.full_like(row, 255)], axis=1).tobytes() for row in gray]
    radiograph = decode_raster(png_file(rows, width=WIDTH_PX, bits=8, colour=4), "x")
    np.testing.assert_array_equal(radiograph.pixels, gray)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bits_that_hold_eight_are_exact(suffix: str, gray: NDArray[np.uint8]) -> None:
    radiograph = decode_raster(encoded_picture(suffix, gray.astype(np.uint16) * 257), "x")
    np.testing.assert_array_equal(radiograph.pixels, gray)
    assert radiograph.notes == ("16 bit values divided by 257",)


def test_twelve_bits_in_sixteen_fill_the_range(gray: NDArray[np.uint8]) -> None:
    values = gray.astype(np.uint16) * 16 + 3
    radiograph = decode_raster(encoded_picture(".png", values), "x")
    low, high = np.percentile(values, (0.1, 99.9))
    expected = np.clip((values - low) / (high - low), 0, 1) * 255
    assert np.abs(radiograph.pixels - expected).max() <= 0.5 + 1e-9
    assert radiograph.notes[0].startswith("values scaled from ")


def test_sixteen_bit_colour_channels(gray: NDArray[np.uint8]) -> None:
    wide = gray.astype(np.uint16) * 257
    radiograph = decode_raster(encoded_picture(".png", cv2.merge([wide] * 3)), "x")
    np.testing.assert_array_equal(radiograph.pixels, gray)


def test_palette_and_single_bits() -> None:
    index = np.add.outer(np.arange(HEIGHT_PX), np.arange(WIDTH_PX)).astype(np.uint8) % 4
    palette = np.array([0, 60, 130, 255], np.uint8)
    colours = png_chunk(b"PLTE", np.repeat(palette, 3).tobytes())
    content = png_file(
        [row.tobytes() for row in index], width=WIDTH_PX, bits=8, colour=3, extra=colours
    )
    np.testing.assert_array_equal(decode_raster(content, "x").pixels, palette[index])
    bits = (index > 1).astype(np.uint8)
    content = png_file(
        [np.packbits(row).tobytes() for row in bits], width=WIDTH_PX, bits=1, colour=0
    )
    np.testing.assert_array_equal(decode_raster(content, "x").pixels, bits * 255)


@pytest.mark.parametrize("order", ["<", ">"])
def test_tiff_of_either_byte_order(order: str, gray: NDArray[np.uint8]) -> None:
    np.testing.assert_array_equal(decode_raster(tiff_file(gray.tobytes(), order), "x").pixels, gray)


@pytest.mark.parametrize("bits", [1, 8, 16])
def test_tiff_whose_white_is_zero_is_inverted(bits: int, gray: NDArray[np.uint8]) -> None:
    if bits == 1:
        shown = (gray > 100).astype(np.uint8) * 255
        strip = np.packbits(shown == 0, axis=1).tobytes()
    else:
        shown = gray
        strip = (
            (255 - gray).tobytes() if bits == 8 else ((255 - gray.astype("<u2")) * 257).tobytes()
        )
    radiograph = decode_raster(tiff_file(strip, photometric=0, bits=bits), "x")
    np.testing.assert_array_equal(radiograph.pixels, shown)
    assert any("white is zero" in note for note in radiograph.notes)


def test_a_tint_is_dropped_with_a_note(gray: NDArray[np.uint8]) -> None:
    blue = cv2.add(gray, np.full_like(gray, 40))
    radiograph = decode_raster(encoded_picture(".png", cv2.merge([blue, gray, gray])), "x")
    expected = np.rint(0.114 * blue + 0.886 * gray)
    assert np.abs(radiograph.pixels - expected).max() <= 1
    assert radiograph.notes == ("colour dropped, 0.00% of it strong",)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
def test_a_small_coloured_marker_is_allowed_and_a_map_is_not(
    suffix: str, gray: NDArray[np.uint8]
) -> None:
    picture = cv2.merge([gray] * 3)
    picture[8:16, 8:24] = (0, 0, 255)
    assert "colour dropped" in decode_raster(encoded_picture(suffix, picture), "x").notes[0]
    picture[40:, 40:] = cv2.applyColorMap(gray[40:, 40:], cv2.COLORMAP_JET)
    rejected = rejection_of(encoded_picture(suffix, picture))
    assert rejected.code == "colour"
    assert "%" in str(rejected)


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
@pytest.mark.parametrize("kind", ["png", "tiff", "tiff in tiles"])
def test_transparency_counts_once(kind: str, mode: str, gray: NDArray[np.uint8]) -> None:
    """Of a TIFF OpenCV multiplies by it twice, or not at all, or takes it for pixels of their own."""
    alpha = np.full_like(gray, 255)
    alpha[:40] = 128
    picture = Image.merge(
        mode, [*[Image.fromarray(gray)] * (len(mode) - 1), Image.fromarray(alpha)]
    )
    file = io.BytesIO()
    if kind == "tiff in tiles":
        tiles = {322: 48, 323: 32}
        picture.save(file, "tiff", tiffinfo=tiles, compression="tiff_lzw")
    else:
        picture.save(file, kind)
    radiograph = decode_raster(file.getvalue(), "x")
    assert np.abs(radiograph.pixels - gray * (alpha / 255)).max() <= 1
    assert radiograph.notes == ("transparent parts laid over black",)


def test_sizes_around_the_block_size_of_jpeg() -> None:
    rng = np.random.default_rng(5)
    for width, wider in pairwise(range(64, 82)):
        picture = rng.integers(0, 256, (wider, width)).astype(np.uint8)
        assert decode_raster(encoded_picture(".jpg", picture), "x").pixels.shape == (wider, width)
