"""Convolutions over joined features, split: the same network, by ONNX Runtime."""

from __future__ import annotations

import numpy as np
import onnx
import onnx.parser
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from infmap_kit.graphs.precision.joins import split_joins

_DECODER = """
<ir_version: 9, opset_import: ["" : 18]>
decoder (float[1, 3, 4, 4] deep, float[1, 2, 8, 8] skip, float[1, 1, 8, 8] other) => (float[1, 5, 8, 8] drawn)
<float[4] scales = {1.0, 1.0, 2.0, 2.0}>
{
    upsampled = Resize <mode = "nearest", coordinate_transformation_mode = "asymmetric",
                        nearest_mode = "floor"> (deep, , scales)
    joined = Concat <axis = 1> (JOINED)
    drawn = Conv <pads = [1, 1, 1, 1]> (joined, kernel, bias)
}
"""


def _decoder(joined: str, channels: int) -> onnx.ModelProto:
    model = onnx.parser.parse_model(_DECODER.replace("JOINED", joined))
    rng = np.random.default_rng(0)
    kernel = rng.normal(size=(5, channels, 3, 3)).astype(np.float32)
    for name, values in (("kernel", kernel), ("bias", rng.normal(size=5).astype(np.float32))):
        model.graph.initializer.append(numpy_helper.from_array(values, name))
    onnx.checker.check_model(model, full_check=True)
    return model


def _run(model: onnx.ModelProto) -> NDArray[np.float32]:
    rng = np.random.default_rng(1)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    shapes = {"deep": (1, 3, 4, 4), "skip": (1, 2, 8, 8), "other": (1, 1, 8, 8)}
    feed = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    answer: NDArray[np.float32] = session.run(None, feed)[0]
    return answer


@pytest.mark.parametrize(
    ("joined", "channels"), [("upsampled, skip", 5), ("upsampled, skip, other", 6)]
)
def test_two_sums_are_one(joined: str, channels: int) -> None:
    model = _decoder(joined, channels)
    before = model.SerializeToString()
    split, count = split_joins(model)
    assert count == 1
    assert model.SerializeToString() == before, "what was handed in stays as it is"
    kernels = [
        numpy_helper.to_array(one).shape[1]
        for one in split.graph.initializer
        if one.name.endswith("_weights")
    ]
    assert kernels == [3, channels - 3]
    np.testing.assert_allclose(_run(split), _run(model), atol=1e-5)


@pytest.mark.parametrize("joined", ["skip, upsampled", "skip, other, skip"])
def test_what_does_not_begin_with_upsampled_features_stays_whole(joined: str) -> None:
    model = _decoder(joined, 5)
    split, count = split_joins(model)
    assert count == 0
    assert [node.op_type for node in split.graph.node] == [n.op_type for n in model.graph.node]
