"""The summary graph against NumPy in double precision, on ONNX Runtime and OpenVINO."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime
import openvino
import pytest
from numpy.typing import NDArray

from infmap_kit.answer.summary import Summary
from infmap_kit.graphs.summary import summary_graph

SIZE = 96
MARKS = (0.3, 0.4, 0.5, 0.6, 0.7)


def _on_onnxruntime(probability: NDArray[np.float32]) -> list[NDArray[Any]]:
    session = onnxruntime.InferenceSession(summary_graph(SIZE).SerializeToString())
    computed: list[NDArray[Any]] = session.run(None, {"probability": probability})
    return computed


def _on_openvino(probability: NDArray[np.float32]) -> list[NDArray[Any]]:
    core = openvino.Core()
    model = core.read_model(summary_graph(SIZE).SerializeToString(), b"")
    compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return list(compiled({"probability": probability}).values())


def _probabilities() -> NDArray[np.float32]:
    """At random, and around every step, every edge between two steps, and every mark."""
    exact = np.concatenate([np.arange(511) / 510, np.array(MARKS)]).astype(np.float32)
    below, above = (np.nextafter(exact, np.float32(end)) for end in (0, 1))
    chosen = np.concatenate([exact, below, above])
    values = np.random.default_rng(0).random((2, SIZE * SIZE), np.float32)
    values[0, : chosen.size] = chosen
    values[1] *= np.float32(0.45)
    return values.reshape(2, SIZE, SIZE)


@pytest.mark.parametrize("run", [_on_onnxruntime, _on_openvino])
def test_a_byte_is_the_nearest_step_and_the_figures_are_of_all_digits(run: Any) -> None:
    probability = _probabilities()
    steps, largest, at = run(probability)
    assert (steps.dtype, largest.dtype, at.dtype) == (np.uint8, np.float32, np.float32)
    exact = probability.astype(np.float64)
    assert np.abs(steps / 255 - exact).max() <= 0.5 / 255 + 1e-6
    np.testing.assert_array_equal(steps >= 128, probability >= 0.5)
    # Whoever divides by 255 finds the same mask.
    np.testing.assert_array_equal(steps / np.float32(255) >= 0.5, probability >= 0.5)
    np.testing.assert_array_equal(largest, probability.max(axis=(1, 2)))
    counted = [[(picture >= np.float32(m)).sum() for m in MARKS] for picture in probability]
    np.testing.assert_allclose(at, 100 * np.array(counted) / SIZE**2, rtol=1e-6)


def test_the_mark_is_between_two_steps() -> None:
    below = np.nextafter(np.float32(0.5), np.float32(0))
    steps, _, _ = _on_onnxruntime(
        np.broadcast_to(np.array([below, 0.5], np.float32)[:, None, None], (2, SIZE, SIZE)).copy()
    )
    assert [int(one[0, 0]) for one in steps] == [127, 128]


def test_a_summary_is_known_from_that_of_other_probabilities() -> None:
    probability = _probabilities()[0]
    steps, largest, at = (value[0] for value in _on_openvino(probability[np.newaxis]))
    served = Summary(steps=steps, probability_max=float(largest), severity_at=at)
    assert served.agrees_with(probability)
    assert Summary.of(probability).agrees_with(probability)
    assert np.abs(served.probability - probability).max() <= 0.5 / 255 + 1e-6
    assert not served.agrees_with(probability * np.float32(0.99))
    one_step = steps.copy()
    one_step[3, 3] += 1
    wrong = [
        {"steps": one_step},
        {"steps": np.where(steps == 127, 128, steps).astype(np.uint8)},
        {"probability_max": float(largest) + 1e-3},
        {"severity_at": at + np.float32(0.1)},
    ]
    for other in wrong:
        stated = {"steps": steps, "probability_max": float(largest), "severity_at": at, **other}
        assert not Summary(**stated).agrees_with(probability)
    assert not served.agrees_with(np.full_like(probability, np.nan))


@pytest.mark.parametrize("answers", [_on_onnxruntime, _on_openvino])
def test_a_probability_that_is_no_number_is_not_lost(
    answers: Callable[[NDArray[np.float32]], list[NDArray[Any]]],
) -> None:
    """A byte cannot say NaN, and a maximum may pass over it; the other picture of the batch is not touched."""
    probability = np.stack([_probabilities()[0]] * 2)
    probability[0, 50, 60] = np.nan
    _, largest, _ = answers(probability)
    assert np.isnan(largest[0])
    assert largest[1] == probability[1].max()
