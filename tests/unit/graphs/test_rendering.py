"""The rendering graph against OpenCV and NumPy, on the runtimes that serve it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray

from infmap_kit.graphs.rendering import rendering_graph
from infmap_kit.imaging.colour import infection_map
from infmap_kit.imaging.synthetic.drawing import synthetic_radiograph
from infmap_kit.model.paint import COLOURS, PAPER, Paint, paint_of
from infmap_kit.triton.python_model import CompiledGraph
from paints import painted_apart

_EVERY = [
    *(Paint(paint=name, colours=colours) for name in ("opacity", "paper") for colours in COLOURS),
    *(Paint(paint=name, paint_from=0.3) for name in ("opacity", "paper")),
    *(Paint(paint=name, paint_in="lungs") for name in ("opacity", "paper")),
    Paint(),
]


def _smooth(seed: int) -> NDArray[np.float32]:
    field = cv2.GaussianBlur(np.random.default_rng(seed).random((224, 224), np.float32), (0, 0), 9)
    return np.asarray((field - field.min()) / np.ptp(field), np.float32)


def _lungs() -> NDArray[np.float32]:
    probability = np.full((224, 224), 0.1, np.float32)
    cv2.ellipse(probability, (70, 110), (35, 80), 0, 0, 360, 0.9, -1)
    cv2.ellipse(probability, (155, 115), (33, 74), 0, 0, 360, 0.6, -1)
    return probability


def _inputs(
    paint: Paint,
    canvas: NDArray[np.uint8],
    probability: NDArray[np.float32],
    lungs: NDArray[np.float32] | None = None,
) -> dict[str, NDArray[Any]]:
    stated: dict[str, NDArray[Any]] = {"probability": probability, "CANVAS": canvas}
    if paint.in_lungs:
        stated["lung_probability"] = _lungs() if lungs is None else lungs
    return {name: value[np.newaxis] for name, value in stated.items()}


def _run(paint: Paint, inputs: dict[str, NDArray[Any]]) -> NDArray[np.uint8]:
    session = onnxruntime.InferenceSession(rendering_graph(paint).SerializeToString())
    painted: NDArray[np.uint8] = session.run(None, inputs)[0]
    return painted


@pytest.mark.parametrize(
    "paint", _EVERY, ids=lambda paint: " ".join(map(str, vars(paint).values()))
)
def test_every_paint_is_what_opencv_and_numpy_paint(paint: Paint, tmp_path: Path) -> None:
    canvas = synthetic_radiograph(2, height=301, width=517).radiograph.pixels
    probability = _smooth(1)
    fitted = cv2.resize(probability, (517, 301), interpolation=cv2.INTER_LINEAR)
    mask = (_lungs() >= 0.5).astype(np.float32)
    edge = cv2.resize(mask, (517, 301), interpolation=cv2.INTER_LINEAR)
    expected = painted_apart(canvas, fitted, paint, inside=edge >= 0.5 if paint.in_lungs else None)
    # Two ways to resize differ in the last bit of a float: on the edge of a level, or of the lungs.
    clear = np.abs(255 * fitted - np.round(255 * fitted)) > 1e-3
    clear &= np.abs(edge - 0.5) > 1e-4
    assert clear.mean() > 0.97
    onnx.save(rendering_graph(paint), tmp_path / "rendering.onnx")
    inputs = _inputs(paint, canvas, probability)
    openvino = CompiledGraph(tmp_path / "rendering.onnx", precision="f32", threads=1)
    ours = infection_map(canvas, probability, paint=paint, lungs=mask.astype(np.uint8))
    for painted in (_run(paint, inputs)[0], openvino.infer(inputs)["INFECTION_MAP"][0], ours):
        assert painted.shape == (301, 517, 3)
        assert np.abs(painted[clear] - expected[clear]).max() <= 2


def test_a_probability_of_four_in_a_thousand_does_not_look_like_forty_percent() -> None:
    canvas = np.full((64, 64), 90, np.uint8)
    strength = {}
    for paint in (Paint(), *(Paint(colours=colours) for colours in COLOURS), PAPER):
        for probability in (0.004, 0.4):
            field = np.full((224, 224), probability, np.float32)
            painted = _run(paint, _inputs(paint, canvas, field))[0].astype(int)
            strength[paint, probability] = np.abs(painted - 90).max()
    for (paint, probability), seen in strength.items():
        # The middle of cividis is a gray itself.
        least = 4 if paint.colours == "cividis" else 10
        if paint != PAPER:
            assert seen <= 1 if probability == 0.004 else seen >= least, (paint, probability)
    assert strength[PAPER, 0.004] >= 90, "which is why the paper's is not the default"


@pytest.mark.parametrize("shape", [(224, 224), (100, 64), (1, 1)])
def test_the_papers_map_is_bit_equal_to_the_formula(shape: tuple[int, int]) -> None:
    canvas = np.random.default_rng(1).integers(0, 256, shape).astype(np.uint8)
    for value in (0, 1, 100, 127, 128, 254, 255):
        field = np.full((224, 224), (value + 0.5) / 255, np.float32).clip(max=1)
        painted = _run(PAPER, _inputs(PAPER, canvas, field))[0]
        np.testing.assert_array_equal(painted, infection_map(canvas, field))


@pytest.mark.parametrize("paint", [Paint(), PAPER])
def test_zero_probability_leaves_the_radiograph(paint: Paint) -> None:
    canvas = np.random.default_rng(2).integers(0, 256, (90, 80)).astype(np.uint8)
    painted = _run(paint, _inputs(paint, canvas, np.zeros((224, 224), np.float32)))[0]
    np.testing.assert_array_equal(painted, np.repeat(canvas[..., np.newaxis], 3, axis=-1))


def test_what_was_found_is_painted_where_no_lung_was_found() -> None:
    canvas = np.random.default_rng(2).integers(0, 256, (90, 80)).astype(np.uint8)
    clipped, everywhere = Paint(paint_in="lungs"), Paint()
    nothing = np.full((224, 224), 0.49, np.float32)
    batch = {
        name: np.concatenate([one, other])
        for (name, one), other in zip(
            _inputs(clipped, canvas, _smooth(3), lungs=nothing).items(),
            _inputs(clipped, canvas, _smooth(3)).values(),
            strict=True,
        )
    }
    without, inside = _run(clipped, batch)
    whole = _run(everywhere, _inputs(everywhere, canvas, _smooth(3)))[0]
    np.testing.assert_array_equal(without, whole)
    assert 0.2 < (inside != whole).any(axis=-1).mean() < 0.9


def test_a_batch_is_its_pictures() -> None:
    random = np.random.default_rng(3)
    probability = random.random((3, 224, 224), np.float32)
    canvas = random.integers(0, 256, (3, 50, 60)).astype(np.uint8)
    together = _run(PAPER, {"probability": probability, "CANVAS": canvas})
    for row in range(3):
        alone = _run(PAPER, _inputs(PAPER, canvas[row], probability[row]))
        np.testing.assert_array_equal(together[row : row + 1], alone)


@pytest.mark.parametrize(
    "paint", _EVERY, ids=lambda paint: " ".join(map(str, vars(paint).values()))
)
def test_a_graph_says_how_it_paints(paint: Paint) -> None:
    assert paint_of(rendering_graph(paint)) == paint
    assert Paint.from_parameters(paint.as_parameters()) == paint
