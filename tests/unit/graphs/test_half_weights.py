"""Weights stored in FP16: half the file, the same network."""

from __future__ import annotations

import numpy as np
import onnx
import onnx.parser
import onnxruntime
import pytest
from onnx import numpy_helper

from infmap_kit.errors import ExportError
from infmap_kit.graphs.precision.half_weights import halve_weights, with_plain_weights


def _matmul(weight: np.ndarray) -> onnx.ModelProto:
    model = onnx.parser.parse_model("""
        <ir_version: 9, opset_import: ["" : 18]>
        g (float[N, 64] x) => (float[N, 64] y) { y = MatMul (x, weight) }
    """)
    model.graph.initializer.append(numpy_helper.from_array(weight.astype(np.float32), "weight"))
    return model


def test_half_the_size_and_fp32_arithmetic() -> None:
    weight = np.random.default_rng(0).normal(size=(64, 64))
    weight[0, 0] = 1e-9
    model = _matmul(weight)
    size = len(model.SerializeToString())
    halved = halve_weights(model)
    assert len(model.SerializeToString()) < 0.55 * size
    assert (halved.tensors, halved.values, halved.vanished) == (1, 4096, 1)
    assert 0 < halved.largest_relative_error <= 2**-11
    x = np.random.default_rng(1).random((3, 64), np.float32)
    y = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": x})[0]
    expected = x @ weight.astype(np.float16).astype(np.float32)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)


def test_small_tensors_stay() -> None:
    model = _matmul(np.ones((64, 64)))
    assert halve_weights(model, smallest_tensor=5000).tensors == 0


def test_a_weight_beyond_fp16_is_named() -> None:
    weight = np.ones((64, 64))
    weight[3, 3] = 7e4
    with pytest.raises(ExportError, match=r"up to 65504.* found 7e\+04 in 'weight'"):
        halve_weights(_matmul(weight))


def test_plain_weights_compute_the_same_to_the_bit() -> None:
    weight = np.random.default_rng(0).normal(size=(64, 64))
    halved = _matmul(weight)
    halve_weights(halved)
    plain = with_plain_weights(halved)
    assert [node.op_type for node in plain.graph.node] == ["MatMul"]
    (tensor,) = plain.graph.initializer
    assert tensor.data_type == onnx.TensorProto.FLOAT
    x = np.random.default_rng(1).random((3, 64), np.float32)
    results = [
        onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": x})[0]
        for model in (halved, plain)
    ]
    np.testing.assert_array_equal(results[0], results[1])
    assert with_plain_weights(plain).SerializeToString() == plain.SerializeToString()
