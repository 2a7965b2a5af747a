"""What counts as a radiograph in memory."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from infmap_kit.errors import InputRejected
from infmap_kit.imaging.radiograph import MAX_PIXELS, Radiograph, refuse_size


def test_size_is_that_of_the_pixels() -> None:
    radiograph = Radiograph(np.zeros((70, 90), np.uint8), "a.png", "image/png")
    assert (radiograph.height, radiograph.width, radiograph.notes) == (70, 90, ())
    with pytest.raises(dataclasses.FrozenInstanceError):
        radiograph.name = "b.png"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("pixels", "code"),
    [
        (np.zeros((70, 90), np.uint16), "pixel-type"),
        (np.zeros((70, 90, 3), np.uint8), "pixel-type"),
        (np.zeros((63, 500), np.uint8), "too-small"),
        (np.zeros((500, 63), np.uint8), "too-small"),
        (np.broadcast_to(np.uint8(0), (10_000, 10_000)), "too-large"),
    ],
)
def test_what_is_no_radiograph_cannot_exist(pixels: np.ndarray, code: str) -> None:
    with pytest.raises(InputRejected) as rejected:
        Radiograph(pixels, "a", "image/png")
    assert rejected.value.code == code


def test_limits_include_their_ends() -> None:
    refuse_size(width=64, height=64)
    refuse_size(width=MAX_PIXELS // 4000, height=4000)
    with pytest.raises(InputRejected, match="at most 40 million pixels, found 10001x4000"):
        refuse_size(width=MAX_PIXELS // 4000 + 1, height=4000)
