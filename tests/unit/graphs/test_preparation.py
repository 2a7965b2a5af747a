"""Segmentation graphs: what is refused, and that rewriting changes nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from infmap_kit.errors import ExportError
from infmap_kit.graphs.preparation import prepare_segmentation, read_graph, rewrite_resizes
from small_network import small_network


def _run(model: onnx.ModelProto, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    session = onnxruntime.InferenceSession(model.SerializeToString())
    result: NDArray[np.float32] = session.run(None, {session.get_inputs()[0].name: images})[0]
    return result


def test_prepared_graph_has_the_contracts_names_and_the_same_bits() -> None:
    original = small_network(image="picture", probability="mask")
    before = original.SerializeToString()
    prepared = prepare_segmentation(original)
    assert [value.name for value in prepared.graph.input] == ["IMAGE"]
    assert [value.name for value in prepared.graph.output] == ["probability"]
    images = np.random.default_rng(0).integers(0, 256, (3, 224, 224), np.uint8)
    np.testing.assert_array_equal(_run(prepared, images), _run(original, images))
    assert original.SerializeToString() == before, "the graph that was given stays as it was"


@settings(max_examples=15, deadline=None)
@given(factor=st.integers(2, 5), size=st.integers(1, 9), seed=st.integers(0, 99))
def test_rewritten_upsampling_is_equal_to_the_bit(factor: int, size: int, seed: int) -> None:
    def upsampling() -> onnx.ModelProto:
        node = helper.make_node(
            "Resize", ["x", "", "scales"], ["y"], mode="nearest", nearest_mode="floor",
            coordinate_transformation_mode="tf_half_pixel_for_nn",
        )  # fmt: skip
        values = [
            helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 1, None, None])
            for name in ("x", "y")
        ]
        scales = numpy_helper.from_array(np.array([1, 1, factor, factor], np.float32), "scales")
        graph = helper.make_graph([node], "upsampling", values[:1], values[1:], [scales])
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)

    original, rewritten = upsampling(), upsampling()
    assert rewrite_resizes(rewritten) == 1
    (node,) = rewritten.graph.node
    assert {a.name: a.s for a in node.attribute}["coordinate_transformation_mode"] == b"asymmetric"
    x = np.random.default_rng(seed).random((1, 1, size, size), np.float32)
    results = [
        onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": x})[0]
        for model in (original, rewritten)
    ]
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[1], x.repeat(factor, axis=2).repeat(factor, axis=3))


def test_upsampling_by_a_fraction_is_refused_by_name() -> None:
    model = small_network()
    for tensor in model.graph.initializer:
        if tensor.name == "twice":
            tensor.CopyFrom(
                numpy_helper.from_array(np.array([1, 1, 1.5, 1.5], np.float32), "twice")
            )
    for node in model.graph.node:
        node.name = f"the_{node.output[0]}"
    with pytest.raises(ExportError, match=r"the_larger.*whole factors.*1\.5"):
        rewrite_resizes(model)


@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf])
def test_a_weight_that_is_no_number_stops_with_the_nodes_name(poison: float) -> None:
    model = small_network(bias=poison)
    for node in model.graph.node:
        node.name = f"the_{node.output[0]}"
    with pytest.raises(ExportError, match="bias.*the_filtered.*NaN or infinity"):
        prepare_segmentation(model)


def test_a_wrong_signature_is_said() -> None:
    node = helper.make_node("Identity", ["x"], ["y"])
    values = [
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [None, 224, 224, 3])
        for name in ("x", "y")
    ]
    model = helper.make_model(helper.make_graph([node], "g", values[:1], values[1:]))
    with pytest.raises(ExportError, match=r"expected input uint8.*found float \(0, 224, 224, 3\)"):
        prepare_segmentation(model)


def test_operators_of_other_domains_are_refused() -> None:
    model = small_network()
    model.graph.node[0].domain = "com.example"
    with pytest.raises(ExportError, match="com.example::Cast"):
        prepare_segmentation(model)


def test_external_data_is_refused(tmp_path: Path) -> None:
    """It could name any file of the machine that loads the graph."""
    path = tmp_path / "outside.onnx"
    model = small_network()
    onnx.save(model, path, save_as_external_data=True, size_threshold=0, location="weights.bin")
    with pytest.raises(ExportError, match="in another file"):
        read_graph(path)


@pytest.mark.parametrize("content", [b"", b"text, not a graph", b"\x08\x09" * 50])
def test_a_file_that_is_no_graph_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.onnx"
    path.write_bytes(content)
    with pytest.raises(ExportError, match="bad.onnx"):
        read_graph(path)


def test_a_truncated_graph_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cut.onnx"
    content = small_network().SerializeToString()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ExportError, match="cut.onnx"):
        read_graph(path)
