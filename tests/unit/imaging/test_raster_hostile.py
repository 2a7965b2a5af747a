"""PNG, JPEG and TIFF that claim what is not there: refused by name, or read, in bounded memory and time."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from hostile_pictures import LARGE, SMALL, chunk, gray, large_png
from infmap_kit.errors import InputRejected
from infmap_kit.imaging.radiograph import MAX_PIXELS
from infmap_kit.imaging.raster import decode_raster
from infmap_kit.imaging.readers import judge
from infmap_kit.imaging.tone import eight_bits
from memory import read_each

LARGEST_MIB = 600
"""Most memory that reading one file may take, interpreter and libraries included."""

LONGEST_S = 30.0
"""Seconds, and a mark for hours: the machine may be busy."""

_CODES = {
    "texts.png": "read",
    "longer-header.png": "unreadable",
    "two-headers.png": "unreadable",
    "no-length.jpg": "unreadable",
    "two-frames.jpg": "unreadable",
    "reserved-marker.jpg": "unreadable",
    "negative-width.tif": "unreadable",
    "many-samples.tif": "unreadable",
    "two-widths.tif": "unreadable",
    "large-tiles.tif": "unreadable",
    "small-tiles.tif": "truncated",
    "shared-values.tif": "unreadable",
    "gray-16.png": "polarity",
    "colours-16.png": "colour",
    "transparent-8.png": "colour",
    "transparent-16.png": "too-large",
    "animated.png": "multi-frame",
    "stuffed.jpg": "unreadable",
    "progressive.jpg": "blank",
    "colours.tif": "blank",
    "shared-megabyte.tif": "unreadable",
    "many-texts.png": "read",
}


@pytest.mark.parametrize("name", SMALL)
def test_what_decoders_might_read_in_another_way_is_refused_before_them(name: str) -> None:
    try:
        decode_raster(SMALL[name], "x")
        code = "read"
    except InputRejected as rejected:
        code = str(rejected.code)
    assert code == _CODES[name]


def test_each_takes_bounded_memory_and_time(tmp_path: Path) -> None:
    files = {name: tmp_path / name for name in (*SMALL, *LARGE)}
    for name, path in files.items():
        path.write_bytes(SMALL[name] if name in SMALL else LARGE[name]())
    readings = read_each(files)
    assert not {name: r for name, r in readings.items() if r.peak_mib > LARGEST_MIB}
    assert not {name: r for name, r in readings.items() if r.took_s > LONGEST_S}
    # "polarity" and the like are a judgement of the picture: what matters is that it was read.
    read = {"read", "polarity", "colour", "blank", "multi-frame"}
    for name, reading in readings.items():
        assert reading.outcome == _CODES[name] or {reading.outcome, _CODES[name]} <= read, name


def test_texts_and_animations_change_no_pixel() -> None:
    plain = cv2.imencode(".png", gray())[1].tobytes()
    extra = chunk(b"tEXt", b"Title\0x") + chunk(b"gAMA", (45455).to_bytes(4, "big"))
    control = (
        (0).to_bytes(4, "big") + (120).to_bytes(4, "big") + (100).to_bytes(4, "big") + bytes(14)
    )
    animated = chunk(b"acTL", bytes([0, 0, 0, 2, 0, 0, 0, 0])) + chunk(b"fcTL", control)
    for content in (plain, plain[:33] + extra + plain[33:], plain[:33] + animated + plain[33:]):
        np.testing.assert_array_equal(decode_raster(content, "x").pixels, gray())
    with pytest.raises(InputRejected, match="an animated PNG") as rejected:
        judge(decode_raster(plain[:33] + animated + plain[33:], "x"))
    assert rejected.value.code == "multi-frame"


def test_a_palette_and_its_transparency_are_kept() -> None:
    image = Image.fromarray(gray()).convert("P")
    image.info["transparency"] = 0
    buffer = io.BytesIO()
    image.save(buffer, "PNG", transparency=0)
    radiograph = decode_raster(buffer.getvalue(), "x")
    expected = np.array(Image.open(io.BytesIO(buffer.getvalue())).convert("RGBA"))
    np.testing.assert_array_equal(radiograph.pixels, expected[..., 0] * (expected[..., 3] > 0))


def test_values_of_16_bits_are_scaled_as_numpy_scales_them() -> None:
    """Looked up one by one, they were computed as floats of the whole picture."""
    rng = np.random.default_rng(4)
    values = (rng.normal(3000, 700, (300, 211)).clip(0, 4095)).astype(np.uint16)
    low, high = np.percentile(values, (0.1, 99.9))
    expected = np.floor(np.clip((values - low) * (255 / (high - low)), 0, 255) + 0.5)
    np.testing.assert_array_equal(eight_bits(values)[0], expected.astype(np.uint8))
    wide = gray().astype(np.uint16) * 257
    np.testing.assert_array_equal(eight_bits(wide)[0], gray())
    assert eight_bits(wide)[1] == "16 bit values divided by 257"


def test_colours_are_the_same_band_by_band() -> None:
    """A picture of several bands is what the whole picture would be."""
    rng = np.random.default_rng(2)
    picture = rng.integers(0, 256, (1500, 1400, 4)).astype(np.uint8)
    content = cv2.imencode(".png", picture)[1].tobytes()
    share = picture[..., 3:] / 255
    black = np.rint(picture[..., :3] * share)
    expected = cv2.cvtColor(black.astype(np.uint8), cv2.COLOR_BGR2GRAY)
    found = decode_raster(content, "x")
    assert np.abs(found.pixels.astype(int) - expected).max() <= 1
    assert "transparent parts laid over black" in found.notes


def test_the_limit_of_memory_is_above_every_gray_picture() -> None:
    assert 2 * MAX_PIXELS < 2**28
    with pytest.raises(InputRejected, match="without transparency"):
        decode_raster(large_png(16, 6, width=600_000, height=64), "x")
