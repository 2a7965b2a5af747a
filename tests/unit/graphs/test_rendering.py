"""The rendering graph against the NumPy rendering and against OpenCV."""

from __future__ import annotations

import cv2
import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from infmap_kit.graphs.rendering import rendering_graph
from infmap_kit.imaging.colour import colour_table, infection_map


def _run(probability: NDArray[np.float32], canvas: NDArray[np.uint8]) -> NDArray[np.uint8]:
    session = onnxruntime.InferenceSession(rendering_graph(colour_table()).SerializeToString())
    painted: NDArray[np.uint8] = session.run(None, {"probability": probability, "CANVAS": canvas})[
        0
    ]
    return painted


@pytest.mark.parametrize("shape", [(224, 224), (300, 517), (100, 64), (1, 1)])
def test_equals_the_numpy_rendering(shape: tuple[int, int]) -> None:
    random = np.random.default_rng(1)
    smooth = cv2.GaussianBlur(random.random((224, 224), np.float32), (0, 0), 9)
    probability = ((smooth - smooth.min()) / np.ptp(smooth)).astype(np.float32)
    canvas = random.integers(0, 256, shape, np.uint8)
    painted = _run(probability[np.newaxis], canvas[np.newaxis])[0]
    assert painted.shape == (*shape, 3)
    expected = infection_map(canvas, probability)
    difference = np.abs(painted.astype(int) - expected.astype(int)).max(axis=-1)
    # Two ways to resize differ in the last bit of a float; now and then that is another level.
    assert (difference > 1).mean() < 0.01
    assert difference.max() <= 8


def test_zero_probability_leaves_the_radiograph() -> None:
    canvas = np.random.default_rng(2).integers(0, 256, (1, 90, 80), np.uint8)
    painted = _run(np.zeros((1, 224, 224), np.float32), canvas)
    np.testing.assert_array_equal(painted, np.repeat(canvas[..., np.newaxis], 3, axis=-1))


def test_a_batch_is_its_pictures() -> None:
    random = np.random.default_rng(3)
    probability = random.random((3, 224, 224), np.float32)
    canvas = random.integers(0, 256, (3, 50, 60), np.uint8)
    together = _run(probability, canvas)
    for row in range(3):
        alone = _run(probability[row : row + 1], canvas[row : row + 1])
        np.testing.assert_array_equal(together[row : row + 1], alone)
