"""The only resize in the project."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from infmap_kit.imaging.network_input import network_input, network_mask
from infmap_kit.imaging.synthetic.drawing import synthetic_radiograph


def test_averages_what_falls_together() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (448, 672)).astype(np.uint8)
    means = pixels.reshape(224, 2, 224, 3).mean(axis=(1, 3))
    assert np.abs(network_input(pixels) - means).max() <= 0.5 + 1e-6


@pytest.mark.parametrize("shape", [(1024, 1024), (1000, 1200), (2048, 1792), (1025, 999)])
def test_large_pictures_are_averaged_too(shape: tuple[int, int]) -> None:
    """Halving first stays close to the mean that OpenCV gives in one step."""
    pixels = synthetic_radiograph(1, height=shape[0], width=shape[1]).radiograph.pixels
    in_one_step = cv2.resize(pixels, (224, 224), interpolation=cv2.INTER_AREA)
    difference = np.abs(network_input(pixels).astype(int) - in_one_step)
    assert difference.mean() < 0.5
    assert np.quantile(difference, 0.999) <= 5, "letters apart, nothing moves"


def test_halving_is_a_mean() -> None:
    pixels = np.random.default_rng(2).integers(0, 256, (896, 1344)).astype(np.uint8)
    means = pixels.reshape(224, 4, 224, 6).mean(axis=(1, 3))
    # Two roundings, of the halves and of the whole.
    assert np.abs(network_input(pixels) - means).max() <= 1 + 1e-6


def test_right_size_is_returned_as_it_is() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (224, 224)).astype(np.uint8)
    np.testing.assert_array_equal(network_input(pixels), pixels)


def test_smaller_pictures_are_enlarged() -> None:
    pixels = np.full((100, 80), 77, np.uint8)
    np.testing.assert_array_equal(network_input(pixels), np.full((224, 224), 77))


def test_a_mask_pixel_counts_when_more_than_half_is_covered() -> None:
    mask = np.zeros((448, 448), np.uint8)
    mask[0:2, 0:2] = 255
    mask[0:2, 2] = 255
    mask[0, 4] = 255
    expected = np.zeros((224, 224))
    expected[0, 0] = expected[0, 1] = 1
    np.testing.assert_array_equal(network_mask(mask), expected)
