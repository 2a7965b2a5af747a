"""Graphs that compute in FP16: what stays in FP32, what stops, and that they decide the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from infmap_kit.errors import ExportError
from infmap_kit.gate.comparison import compare
from infmap_kit.gate.engines import OnnxRuntimeEngine
from infmap_kit.gate.pictures import synthetic_pictures
from infmap_kit.gate.runners import CachingRunner, ReferenceRunner
from infmap_kit.graphs.precision.fp16 import fp16_graph
from infmap_kit.graphs.precision.half_weights import halve_weights
from infmap_kit.graphs.preparation import prepare_segmentation
from infmap_kit.imaging.network_input import network_input
from infmap_kit.progress import no_progress
from infmap_kit.release.publish import graphs_of, reference_runner
from infmap_kit.release.source import read_source
from infmap_kit.targets.lowered import halved_networks
from infmap_kit.targets.target import Proof
from small_network import small_network


def _matmul(weight: np.ndarray) -> onnx.ModelProto:
    model = onnx.parser.parse_model("""
        <ir_version: 9, opset_import: ["" : 18]>
        g (float[N, 64] x) => (float[N, 64] y) { y = MatMul (x, weight) }
    """)
    model.graph.initializer.append(numpy_helper.from_array(weight.astype(np.float32), "weight"))
    return model


def _segment(model: onnx.ModelProto, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    session = onnxruntime.InferenceSession(model.SerializeToString())
    result: NDArray[np.float32] = session.run(None, {"IMAGE": images})[0]
    return result


def _type_of(model: onnx.ModelProto, operator: str) -> int:
    """Element type that the first node of an operator gives."""
    inferred = onnx.shape_inference.infer_shapes(model).graph
    types = {
        value.name: value.type.tensor_type.elem_type
        for value in (*inferred.value_info, *inferred.output)
    }
    return next(types[node.output[0]] for node in inferred.node if node.op_type == operator)


def test_fp16_graph_computes_in_fp16_between_the_same_inputs_and_outputs() -> None:
    original = prepare_segmentation(small_network())
    before = original.SerializeToString()
    halved = fp16_graph(original)
    assert original.SerializeToString() == before, "the graph that was given stays as it was"
    assert list(halved.model.graph.input) == list(original.graph.input)
    assert list(halved.model.graph.output) == list(original.graph.output)
    assert _type_of(halved.model, "Conv") == onnx.TensorProto.FLOAT16
    assert _type_of(halved.model, "Sigmoid") == onnx.TensorProto.FLOAT
    images = np.random.default_rng(0).integers(0, 256, (2, 224, 224), np.uint8)
    difference = np.abs(_segment(halved.model, images) - _segment(original, images)).max()
    assert 0 < difference < 0.01


def test_the_probability_does_not_go_through_fp16() -> None:
    """Near 0.5 FP16 has steps of 0.0005: probabilities between them show that none was rounded."""
    images = np.random.default_rng(0).integers(120, 136, (1, 224, 224), np.uint8)
    probability = _segment(fp16_graph(prepare_segmentation(small_network())).model, images)
    assert (probability != probability.astype(np.float16)).mean() > 0.5


def test_two_kept_nodes_may_read_one_tensor() -> None:
    """As a skip connection's readers do; the converter casts it back once for each, by one name."""
    model = onnx.parser.parse_model("""
        <ir_version: 9, opset_import: ["" : 18]>
        g (float[N, 64] x) => (float[N, 64] y) {
            shared = MatMul (x, weight)
            one = MatMul (shared, weight)
            other = MatMul (shared, weight)
            y = Add (one, other)
        }
    """)
    weight = np.random.default_rng(0).normal(0, 0.1, (64, 64)).astype(np.float32)
    model.graph.initializer.append(numpy_helper.from_array(weight, "weight"))
    for name, node in zip(("first", "one", "other", "sum"), model.graph.node, strict=True):
        node.name = name
    halved = fp16_graph(model, keep_fp32=["one", "other"]).model
    x = np.random.default_rng(1).normal(size=(2, 64)).astype(np.float32)
    (y,) = onnxruntime.InferenceSession(halved.SerializeToString()).run(None, {"x": x})
    shared = (x.astype(np.float16) @ weight.astype(np.float16)).astype(np.float32)
    np.testing.assert_allclose(y, 2 * shared @ weight, atol=0.01)


def test_the_normalisation_stays_in_fp32() -> None:
    """Its scale and offset, rounded to FP16, would shift every pixel the same way."""
    model = onnx.parser.parse_model("""
        <ir_version: 9, opset_import: ["" : 18]>
        g (uint8[N, 224, 224] IMAGE) => (float[N, 224, 224] probability)
        <int64[1] channel = {1}, float scale = {0.017124754}, float offset = {-2.117904}>
        { gray = Cast <to = 1> (IMAGE)
          scaled = Mul (gray, scale)
          shifted = Add (scaled, offset)
          planes = Unsqueeze (shifted, channel)
          filtered = Conv (planes, weight)
          odds = Sigmoid (filtered)
          probability = Squeeze (odds, channel) }
    """)
    weight = np.ones((1, 1, 1, 1), np.float32)
    model.graph.initializer.append(numpy_helper.from_array(weight, "weight"))
    halved = fp16_graph(model).model
    assert _type_of(halved, "Mul") == _type_of(halved, "Add") == onnx.TensorProto.FLOAT
    assert _type_of(halved, "Conv") == onnx.TensorProto.FLOAT16
    images = np.tile(np.arange(256, dtype=np.uint8), (1, 224, 1))[:, :, :224]
    expected = _segment(model, images)
    np.testing.assert_allclose(_segment(halved, images), expected, atol=2e-4)


def test_weights_that_are_stored_in_fp16_already_are_counted_too() -> None:
    weight = np.random.default_rng(0).normal(size=(64, 64))
    stored = _matmul(weight)
    halve_weights(stored)
    halved = fp16_graph(stored)
    assert halved.weights == 4096
    assert [node.op_type for node in halved.model.graph.node].count("Cast") == 2, "of x and of y"


def test_reductions_stay_in_fp32() -> None:
    """The sum of 60000 ones is beyond what FP16 can count to."""
    model = onnx.parser.parse_model("""
        <ir_version: 9, opset_import: ["" : 18]>
        g (float[N, 60000] x) => (float[N] y) <int64[1] last = {1}>
        { doubled = Add (x, x)
          y = ReduceSum <keepdims = 0> (doubled, last) }
    """)
    session = onnxruntime.InferenceSession(fp16_graph(model).model.SerializeToString())
    assert session.run(None, {"x": np.ones((1, 60000), np.float32)})[0].tolist() == [120000]


def test_vanishing_weights_are_counted_and_become_zero() -> None:
    weight = np.ones((64, 64))
    weight[0, :3] = [1e-9, -1e-9, 0]
    weight[1, 0] = 5e-8
    halved = fp16_graph(_matmul(weight))
    assert (halved.weights, halved.vanished) == (4096, 2)
    (stored,) = (numpy_helper.to_array(t) for t in halved.model.graph.initializer)
    np.testing.assert_array_equal(stored, weight.astype(np.float16))


@pytest.mark.parametrize(
    ("poison", "reason"), [(1e5, "1 of 4096 values"), (np.nan, "NaN"), (-np.inf, "infinity")]
)
def test_a_weight_that_fp16_cannot_hold_stops_with_the_nodes_name(
    poison: float, reason: str
) -> None:
    weight = np.zeros((64, 64))
    weight[3, 4] = poison
    model = _matmul(weight)
    model.graph.node[0].name = "the_product"
    with pytest.raises(ExportError, match=f"'weight' of node 'the_product'.*{reason}"):
        fp16_graph(model)


def test_fp16_decides_as_fp32_on_real_radiographs(
    demo_model: Path, radiographs: list[tuple[str, NDArray[np.uint8]]]
) -> None:
    if not demo_model.is_dir():
        pytest.skip("needs the demo model (training/demo_model), which is not here")
    # The network alone, without what a run has beside it.
    source = read_source(demo_model / "segmentation.onnx")
    real = [(name, network_input(pixels)) for name, pixels in radiographs]
    proof = Proof(
        reference=CachingRunner(reference_runner(source)),
        pictures=[*real, *synthetic_pictures()],
    )
    # As export does: the gate itself chooses which of the first convolutions stay in FP32.
    halved = halved_networks(graphs_of(source), (), proof, no_progress)["segmentation"]
    gate = compare(
        proof.reference,
        ReferenceRunner(OnnxRuntimeEngine(halved.model.SerializeToString())),
        proof.pictures,
    )
    gate.require()
    assert len(gate.pictures) == len(radiographs) + 8
    assert 0 < gate.largest_error < 0.05
