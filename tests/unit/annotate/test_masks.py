"""Masks in files, and drawings from outside."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from doctors import HEIGHT, WIDTH, blob, decoded, drawing, encoded
from infmap_annotate.study.masks import (
    decode_drawing,
    decode_mask,
    dice,
    encode_mask,
    most_bytes,
    write_durably,
)
from infmap_kit.errors import InputRejected


@pytest.mark.parametrize("seed", range(5))
def test_a_mask_comes_back_pixel_for_pixel_in_any_decoder(seed: int) -> None:
    mask = np.random.default_rng(seed).random((HEIGHT, WIDTH)) < 0.5
    assert (decode_mask(encode_mask(mask)) == mask).all()
    assert (decoded(encode_mask(mask)) == mask * np.uint8(255)).all()


@pytest.mark.parametrize(("height", "width"), [(70, 93), (256, 256), (1025, 777), (2048, 2048)])
def test_all_masks_of_a_size_have_as_many_bytes(height: int, width: int) -> None:
    rng = np.random.default_rng(0)
    masks = [
        np.zeros((height, width), bool),
        np.ones((height, width), bool),
        rng.random((height, width)) < 0.5,
        np.arange(height * width).reshape(height, width) % 2 == 0,
        blob(1, height, width),
    ]
    assert len({len(encode_mask(mask)) for mask in masks}) == 1


def test_a_mask_file_holds_nothing_but_pixels() -> None:
    content, chunks, at = encode_mask(blob(0)), [], 8
    while at < len(content):
        (length,) = struct.unpack(">I", content[at : at + 4])
        chunks.append(content[at + 4 : at + 8])
        at += 12 + length
    assert set(chunks) == {b"IHDR", b"IDAT", b"IEND"}


def _saved(picture: Image.Image, **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG", **options)
    return file.getvalue()


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _announcing(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    pixels = zlib.compress(bytes(1000))
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", header)
        + _chunk(b"IDAT", pixels)
        + _chunk(b"IEND", b"")
    )


GOOD = drawing(blob(0))
_GRAY = Image.fromarray(blob(0).astype(np.uint8) * 255)

HOSTILE = {
    "another size": (
        drawing(blob(0, WIDTH, HEIGHT)),
        f"{WIDTH}x{HEIGHT} .* found {HEIGHT}x{WIDTH}",
    ),
    "gigabytes announced": (_announcing(60_000, 60_000), "found 60000x60000"),
    "colour": (_saved(_GRAY.convert("RGB")), "found RGB"),
    "transparency": (_saved(_GRAY.convert("RGBA")), "found RGBA"),
    "palette": (_saved(_GRAY.convert("P")), "found P"),
    "16 bits": (encoded(blob(0).astype(np.uint16) * 65535), "found I;16"),
    "animation": (
        _saved(_GRAY, save_all=True, append_images=[Image.new("L", _GRAY.size)]),
        "2 frame",
    ),
    "gray": (encoded(np.full((HEIGHT, WIDTH), 128, np.uint8)), "0 or 255"),
    "cut short": (GOOD[: len(GOOD) // 2], "damaged"),
    "too few pixels": (_announcing(WIDTH, HEIGHT), "damaged"),
    "only a signature": (GOOD[:8], "damaged"),
    "text that unpacks to megabytes": (
        GOOD[:33] + _chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(50_000_000), 9)) + GOOD[33:],
        "damaged",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_drawing_of_the_radiograph_is_refused_with_the_reason(name: str) -> None:
    content, reason = HOSTILE[name]
    with pytest.raises(InputRejected, match=reason) as caught:
        decode_drawing(content, width=WIDTH, height=HEIGHT)
    assert caught.value.code == "bad-drawing"


@pytest.mark.parametrize("content", [b"", b"\xff\xd8\xff\xe0 a JPEG", b"<svg/>", GOOD[1:]])
def test_what_is_no_png_is_refused_as_such(content: bytes) -> None:
    with pytest.raises(InputRejected) as caught:
        decode_drawing(content, width=WIDTH, height=HEIGHT)
    assert caught.value.code == "not-png"


@given(st.integers(0, len(GOOD) - 1), st.binary(min_size=1, max_size=8))
def test_a_damaged_drawing_is_refused_or_still_a_mask(at: int, noise: bytes) -> None:
    content = GOOD[:at] + noise + GOOD[at + len(noise) :]
    try:
        mask = decode_drawing(content, width=WIDTH, height=HEIGHT)
    except InputRejected:
        return
    assert mask.shape == (HEIGHT, WIDTH)
    assert mask.dtype == bool


def test_the_largest_real_drawing_is_allowed() -> None:
    noise = np.random.default_rng(0).integers(0, 2, (1000, 900)).astype(np.uint8) * 255
    content = cv2.imencode(".png", noise, [cv2.IMWRITE_PNG_COMPRESSION, 0])[1].tobytes()
    assert len(content) <= most_bytes(width=900, height=1000)


def test_dice_is_twice_the_common_over_the_sum() -> None:
    a, b = np.zeros((4, 4), bool), np.zeros((4, 4), bool)
    assert dice(a, b) == 1.0
    a[0, :4], b[0, 2:] = True, True
    assert dice(a, b) == pytest.approx(2 * 2 / (4 + 2))
    assert dice(a, ~a) == 0.0


def test_a_failed_write_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "mask.png"
    write_durably(path, b"before")

    def full_disk(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(OSError, match="No space"):
        write_durably(path, b"after")
    assert [p.name for p in tmp_path.iterdir()] == ["mask.png"]
    assert path.read_bytes() == b"before"
