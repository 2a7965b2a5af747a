"""The quick way to the network's input gives what the whole picture gives, within its stated bound."""

from __future__ import annotations

import contextlib
import functools
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from infmap_kit.errors import InputRejected
from infmap_kit.imaging.network_input import halvings, network_input
from infmap_kit.imaging.quick import quick_input, quick_radiograph
from infmap_kit.imaging.readers import decode_radiograph
from infmap_kit.imaging.synthetic.drawing import synthetic_radiograph

BOUND = 2
"""Of 255, at every pixel of the network's input; as the documentation says."""


def _encoded(pixels: NDArray[np.uint8], kind: str, quality: int = 90) -> bytes:
    return cv2.imencode(kind, pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def _difference(content: bytes) -> int:
    whole = network_input(decode_radiograph(content, "x").pixels)
    return int(np.abs(whole.astype(int) - quick_input(content, "x")).max())


@pytest.mark.parametrize("quality", [60, 90, 100])
@pytest.mark.parametrize(
    "size", [(1024, 1024), (2048, 2048), (1792, 900), (3584, 4000), (895, 1024)]
)
def test_jpegs_of_any_size_stay_within_the_bound(size: tuple[int, int], quality: int) -> None:
    small = synthetic_radiograph(3, height=512, width=512).radiograph.pixels
    pixels = cv2.resize(small, size[::-1], interpolation=cv2.INTER_CUBIC).astype(np.uint8)
    assert _difference(_encoded(pixels, ".jpg", quality)) <= BOUND


def test_real_radiographs_stay_within_the_bound(
    radiographs: list[tuple[str, NDArray[np.uint8]]],
) -> None:
    for _, pixels in radiographs:
        larger = cv2.resize(pixels, (1536, 1280), interpolation=cv2.INTER_CUBIC).astype(np.uint8)
        assert _difference(_encoded(larger, ".jpg")) <= BOUND


def test_less_is_decoded_where_less_is_needed() -> None:
    content = _encoded(synthetic_radiograph(0).radiograph.pixels, ".jpg")
    assert quick_radiograph(content, "x").pixels.shape == (512, 512)
    assert decode_radiograph(content, "x").pixels.shape == (1024, 1024)


@pytest.mark.parametrize("kind", [".png", ".tiff"])
def test_other_formats_are_the_same_to_the_bit(kind: str) -> None:
    content = _encoded(synthetic_radiograph(1).radiograph.pixels, kind)
    assert _difference(content) == 0


@pytest.mark.parametrize(
    "content", [b"", b"text", _encoded(np.full((1024, 1024), 7, np.uint8), ".jpg"),
                _encoded(np.zeros((20, 20), np.uint8), ".jpg")],
)  # fmt: skip
def test_rejects_are_the_same_as_for_the_whole_picture(content: bytes) -> None:
    with pytest.raises(InputRejected) as whole:
        decode_radiograph(content, "named.jpg")
    with pytest.raises(InputRejected) as quick:
        quick_input(content, "named.jpg")
    assert quick.value.code == whole.value.code
    assert str(quick.value).startswith("named.jpg")


@functools.cache
def _whole_jpeg() -> bytes:
    return _encoded(synthetic_radiograph(0).radiograph.pixels, ".jpg", 50)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_damaged_jpeg_is_a_picture_or_a_reject(data: st.DataObject) -> None:
    content = bytearray(_whole_jpeg())
    for place in data.draw(st.lists(st.integers(2, len(content) - 1), min_size=1, max_size=8)):
        content[place] = data.draw(st.integers(0, 255))
    with contextlib.suppress(InputRejected):
        assert quick_input(bytes(content), "x").shape == (224, 224)


def test_halvings_stop_before_the_network_s_size() -> None:
    assert [halvings(s, s) for s in (224, 895, 896, 1024, 1792, 3584, 7168)] == [
        0,
        0,
        1,
        1,
        2,
        3,
        4,
    ]
    assert halvings(1025, 2048) == 0


def test_orientation_is_kept(tmp_path: Path) -> None:
    """A picture that its Exif says to turn."""
    from PIL import Image

    pixels = synthetic_radiograph(2).radiograph.pixels[:, :896]
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(tmp_path / "turned.jpg", quality=95, exif=exif)
    content = (tmp_path / "turned.jpg").read_bytes()
    assert decode_radiograph(content, "x").pixels.shape == (896, 1024)
    assert _difference(content) <= BOUND
