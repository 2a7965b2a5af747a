"""The first convolution over one gray channel answers as over three, to a rounding."""

from __future__ import annotations

import copy

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from infmap_kit.graphs.gray import fold_gray_channels

_SIDE = 12


def _graph(scale: list[float], offset: list[float], *, read_twice: bool = False) -> onnx.ModelProto:
    """A gray picture, normalised into three channels, and a convolution padded with zeros."""
    rng = np.random.default_rng(3)
    weights: dict[str, np.ndarray] = {
        "axes": np.array([-1], np.int64),
        "scale": np.array(scale, np.float32),
        "offset": np.array(offset, np.float32),
        "kernel": rng.normal(size=(4, 3, 3, 3)).astype(np.float32),
        "bias": rng.normal(size=4).astype(np.float32),
    }
    nodes = [
        helper.make_node("Cast", ["IMAGE"], ["gray"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["gray", "axes"], ["last"]),
        helper.make_node("Mul", ["last", "scale"], ["scaled"]),
        helper.make_node("Add", ["scaled", "offset"], ["normalised"]),
        helper.make_node("Transpose", ["normalised"], ["first"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["first", "kernel", "bias"], ["features"], pads=[1, 1, 1, 1]),
    ]
    outputs: list[tuple[str, list[str | int]]] = [("features", ["N", 4, _SIDE, _SIDE])]
    if read_twice:
        nodes.append(helper.make_node("Identity", ["normalised"], ["channels"]))
        outputs.append(("channels", ["N", _SIDE, _SIDE, 3]))
    graph = helper.make_graph(
        nodes,
        "made",
        [helper.make_tensor_value_info("IMAGE", TensorProto.UINT8, ["N", _SIDE, _SIDE])],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n, shape in outputs],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 9
    return onnx.shape_inference.infer_shapes(model)


def _answer(model: onnx.ModelProto) -> np.ndarray:
    onnx.checker.check_model(model, full_check=True)
    pictures = np.random.default_rng(4).integers(0, 256, (2, _SIDE, _SIDE)).astype(np.uint8)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    (features,) = session.run(["features"], {"IMAGE": pictures})
    return np.asarray(features)


@pytest.mark.parametrize(
    ("scale", "offset"),
    [
        pytest.param([1 / 128] * 3, [-127 / 128] * 3, id="EfficientNet-Lite0's"),
        pytest.param([1 / 127.5] * 3, [-1.0] * 3, id="Inception-v3's"),
        pytest.param([0.5, -0.25, 2.0], [1.0, -0.5, 4.0], id="multiples of each other"),
        pytest.param([1 / 255] * 3, [0.0] * 3, id="no offset"),
    ],
)
def test_one_channel_answers_as_three(scale: list[float], offset: list[float]) -> None:
    model = _graph(scale, offset)
    expected = _answer(model)
    assert fold_gray_channels(model.graph)
    shapes = [list(t.dims) for t in model.graph.initializer if len(t.dims) == 4]
    assert shapes == [[4, 1, 3, 3]]
    assert "Transpose" not in [node.op_type for node in model.graph.node]
    # Borders included, where zeros stand beside the picture.
    assert _answer(model) == pytest.approx(expected, abs=1e-5 * float(np.abs(expected).max()))


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(
            {
                "scale": [1 / (255 * s) for s in (0.229, 0.224, 0.225)],
                "offset": [
                    -m / s
                    for m, s in zip((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), strict=True)
                ],
            },
            id="DenseNet's: a border of zeros is another gray in each channel",
        ),
        pytest.param(
            {"scale": [1 / 128] * 3, "offset": [-1.0] * 3, "read_twice": True},
            id="somebody else reads the channels",
        ),
        pytest.param({"scale": [1.0, 0.0, 1.0], "offset": [0.0] * 3}, id="a channel of nothing"),
    ],
)
def test_what_would_compute_something_else_stays(options: dict[str, object]) -> None:
    model = _graph(**options)  # type: ignore[arg-type]
    before = copy.deepcopy(model)
    assert not fold_gray_channels(model.graph)
    assert model == before
