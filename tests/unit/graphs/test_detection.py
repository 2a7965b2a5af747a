"""The detection graph against NumPy."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from infmap_kit.graphs.detection import detection_graph


def _run(probability: NDArray[np.float32], threshold: float = 0.5) -> list[NDArray[np.float32]]:
    session = onnxruntime.InferenceSession(detection_graph(threshold).SerializeToString())
    outputs: list[NDArray[np.float32]] = session.run(None, {"probability": probability})
    return outputs


def test_one_pixel_at_the_threshold_is_covid() -> None:
    """Paper, II-D: COVID-19 when any pixel's probability is 0.5 or more."""
    probability = np.full((3, 224, 224), 0.1, np.float32)
    probability[1, 223, 0] = 0.5
    probability[2, 100, 100] = np.nextafter(np.float32(0.5), np.float32(0))
    detected, severity, passed_on = _run(probability)
    assert detected.tolist() == [0, 1, 0]
    assert detected.dtype == np.uint8
    assert severity.tolist() == pytest.approx([0, 100 / 224**2, 0])
    np.testing.assert_array_equal(passed_on, probability)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_extremes(value: float) -> None:
    detected, severity, _ = _run(np.full((1, 224, 224), value, np.float32))
    assert detected[0] == value
    assert severity[0] == pytest.approx(100 * value)


def test_severity_is_the_share_of_infected_pixels() -> None:
    probability = np.random.default_rng(0).random((4, 224, 224), np.float32)
    _, severity, _ = _run(probability, threshold=0.7)
    assert severity == pytest.approx(
        100 * (probability >= np.float32(0.7)).mean(axis=(1, 2)), rel=1e-5
    )
