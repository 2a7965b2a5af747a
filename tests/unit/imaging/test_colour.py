"""The infection map, against OpenCV's HSV and against figures worked out by hand."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from infmap_kit.imaging.colour import colour_table, infection_map
from infmap_kit.imaging.synthetic.drawing import synthetic_radiograph


def _smooth_probability(seed: int) -> NDArray[np.float32]:
    noise = np.random.default_rng(seed).standard_normal((224, 224)).astype(np.float32)
    field = cv2.GaussianBlur(noise, (0, 0), 12)
    field = np.clip(field / field.max() * 1.3, 0, 1)
    return np.asarray(field, np.float32)


def test_table_is_jet_at_full_value() -> None:
    table = colour_table()
    assert table.shape == (256, 3)
    assert table.dtype == np.uint8
    # Jet: dark blue, blue, cyan, yellow, red, dark red; at full value there is no dark.
    for level, colour in ((0, (255, 255, 255)), (1, (0, 0, 255)), (31, (0, 0, 255)),
                          (96, (0, 255, 255)), (128, (127, 255, 127)),
                          (200, (255, 92, 0)), (255, (255, 0, 0))):  # fmt: skip
        assert np.abs(table[level].astype(int) - colour).max() <= 8, level
    assert (table.max(axis=1) == 255).all()
    with pytest.raises(ValueError, match="read-only"):
        table[0] = 0


def test_by_hand() -> None:
    canvas = np.array([[0, 1, 100, 255]], np.uint8)
    for probability, level in ((0.0, 0), (0.5, 127), (0.75, 191), (1.0, 255)):
        painted = infection_map(canvas, np.full((224, 224), probability, np.float32))
        exact = canvas[..., None].astype(float) * colour_table()[level] / 255
        np.testing.assert_array_equal(painted, np.floor(exact + 0.5))


def test_pixels_without_probability_are_untouched() -> None:
    canvas = np.random.default_rng(0).integers(0, 256, (317, 541)).astype(np.uint8)
    painted = infection_map(canvas, np.zeros((224, 224), np.float32))
    np.testing.assert_array_equal(painted, np.stack([canvas] * 3, axis=2))


@pytest.mark.parametrize(("height", "width"), [(1024, 1024), (224, 224), (700, 391), (150, 180)])
def test_equals_an_hsv_composite(height: int, width: int) -> None:
    canvas = synthetic_radiograph(2, height=height, width=width).radiograph.pixels
    probability = _smooth_probability(height)
    fitted = cv2.resize(probability, (width, height), interpolation=cv2.INTER_LINEAR)
    level = (fitted * np.float32(255)).astype(np.uint8)
    hsv = cv2.cvtColor(cv2.applyColorMap(level, cv2.COLORMAP_JET), cv2.COLOR_BGR2HSV)
    hsv[..., 2] = canvas
    expected = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB).astype(int)
    expected[level == 0] = canvas[level == 0][:, None]
    assert np.abs(infection_map(canvas, probability) - expected).max() <= 2


def test_probability_is_fitted_bilinearly_with_half_pixel_centres() -> None:
    probability = _smooth_probability(1)
    canvas = np.full((300, 500), 255, np.uint8)

    def places(size: int) -> NDArray[np.float64]:
        return np.clip((np.arange(size) + 0.5) * 224 / size - 0.5, 0, 223)

    rows = np.array([np.interp(places(500), np.arange(224), row) for row in probability])
    fitted = np.array([np.interp(places(300), np.arange(224), column) for column in rows.T]).T
    expected = colour_table()[(fitted * 255).astype(np.uint8)]
    same = (infection_map(canvas, probability) == expected).all(axis=2)
    # The rest are values on the edge between two levels.
    assert same.mean() > 0.999
