"""Values of any range at 8 bits, against figures worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from infmap_kit.errors import InputRejected
from infmap_kit.imaging.tone import eight_bits, window


def test_eight_bits_stay_as_they_are() -> None:
    values = np.arange(256, dtype=np.uint8).reshape(16, 16)
    pixels, note = eight_bits(values)
    np.testing.assert_array_equal(pixels, values)
    assert note == ""


@pytest.mark.parametrize("factor", [1, 257])
def test_eight_bits_in_a_wider_type_come_back_exactly(factor: int) -> None:
    values = np.random.default_rng(0).integers(9, 201, (80, 80)).astype(np.uint16)
    pixels, note = eight_bits(values * factor)
    np.testing.assert_array_equal(pixels, values)
    assert note


def test_twelve_bits_use_the_whole_range() -> None:
    # 1000 values of each of 0 ... 99: the outer 0.1 % on each side are 100 values of 0 and of 99.
    values = np.repeat(np.arange(100, dtype=np.uint16) * 40, 1000).reshape(100, 1000)
    pixels, note = eight_bits(values)
    expected = np.floor(np.arange(100) * 40 * 255 / 3960 + 0.5)
    np.testing.assert_array_equal(pixels, np.repeat(expected, 1000).reshape(100, 1000))
    assert "0 ... 3960" in note


def test_a_burnt_in_letter_does_not_flatten_the_picture() -> None:
    values = np.tile(np.linspace(1000, 2000, 500), (500, 1)).astype(np.uint16)
    values[0, :50] = 65535
    pixels, _ = eight_bits(values)
    assert np.ptp(pixels[1:].astype(int)) > 250


@pytest.mark.parametrize("dtype", [np.int16, np.float32])
def test_negative_values_are_scaled_too(dtype: type) -> None:
    ramp = np.tile(np.linspace(-2000, 2000, 401), (100, 1))
    pixels, _ = eight_bits(ramp.astype(dtype))
    assert (pixels[0, 0], pixels[0, 200], pixels[0, -1]) == (0, 128, 255)


@pytest.mark.parametrize(
    ("values", "code"),
    [
        (np.full((70, 70), 4000, np.uint16), "blank"),
        (np.full((70, 70), np.nan), "pixel-type"),
        (np.array([[0.0, np.inf]]), "pixel-type"),
    ],
)
def test_values_that_show_nothing_are_refused(values: np.ndarray, code: str) -> None:
    with pytest.raises(InputRejected) as rejected:
        eight_bits(values)
    assert rejected.value.code == code


def test_linear_window_as_the_standard_defines_it() -> None:
    # PS3.3 C.11.2.1.2.1: the window of 4096 about 2048 spans 0 to 4095, so a level is 255 / 4095 of
    # the value.
    values = np.array([[-50, 0, 8, 9, 2048, 4095, 5000]])
    np.testing.assert_array_equal(
        window(values, centre=2048, width=4096), [[0, 0, 0, 1, 128, 255, 255]]
    )


def test_exact_and_sigmoid_windows() -> None:
    values = np.array([[0, 25, 50, 75, 100]])
    np.testing.assert_array_equal(
        window(values, centre=50, width=100, function="LINEAR_EXACT"), [[0, 64, 128, 191, 255]]
    )
    # 255 / (1 + exp(-4 (x - 50) / 100)), rounded: exp(2) = 7.389, exp(1) = 2.718.
    np.testing.assert_array_equal(
        window(values, centre=50, width=100, function="SIGMOID"), [[30, 69, 128, 186, 225]]
    )


def test_narrowest_linear_window_is_a_threshold() -> None:
    values = np.array([[8, 9, 10, 11]])
    np.testing.assert_array_equal(window(values, centre=10, width=1), [[0, 0, 255, 255]])


@pytest.mark.parametrize(
    ("centre", "width", "function"),
    [(10, 0, "LINEAR"), (10, 0, "SIGMOID"), (np.nan, 10, "LINEAR"), (10, 10, "CUBIC")],
)
def test_impossible_windows_are_refused(centre: float, width: float, function: str) -> None:
    with pytest.raises(InputRejected):
        window(np.zeros((2, 2)), centre=centre, width=width, function=function)
