"""Q/DQ nodes as TensorRT demands them, and a network that stays the same."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from infmap_kit.errors import ExportError
from infmap_kit.gate.engines import OnnxRuntimeEngine
from infmap_kit.gate.pictures import synthetic_pictures
from infmap_kit.graphs.precision.qdq import QdqGraph, qdq_graph
from infmap_kit.graphs.precision.quantisation import Choice
from infmap_kit.graphs.preparation import prepare_segmentation
from small_network import deeper_network


@pytest.fixture(scope="module")
def prepared() -> onnx.ModelProto:
    return prepare_segmentation(deeper_network())


@pytest.fixture(scope="module")
def quantised(prepared: onnx.ModelProto) -> QdqGraph:
    return qdq_graph(prepared, synthetic_pictures())


def test_convolutions_read_8_bits_at_both_ends_but_for_the_first(quantised: QdqGraph) -> None:
    graph = quantised.model.graph
    makers = {output: node.op_type for node in graph.node for output in node.output}
    first, *others = [node for node in graph.node if node.op_type == "Conv"]
    assert quantised.kept == (first.name,)
    assert (quantised.quantised, quantised.kept_products) == (2, 1)
    assert "DequantizeLinear" not in [makers.get(name) for name in first.input]
    for node in others:
        assert [makers[name] for name in node.input[:2]] == ["DequantizeLinear"] * 2
        assert all(name not in makers for name in node.input[2:]), "a bias stays in FP32"
        assert makers[graph.output[0].name] != "DequantizeLinear"


def test_all_is_symmetric_and_weights_have_a_scale_for_each_channel(quantised: QdqGraph) -> None:
    tensors = {one.name: numpy_helper.to_array(one) for one in quantised.model.graph.initializer}
    nodes = [n for n in quantised.model.graph.node if n.op_type.endswith("quantizeLinear")]
    nodes += [n for n in quantised.model.graph.node if n.op_type == "QuantizeLinear"]
    assert len(nodes) == 8
    for node in nodes:
        zero_point = tensors[node.input[2]]
        assert zero_point.dtype == np.int8
        assert not zero_point.any()
    channels = sorted(tensors[node.input[1]].size for node in nodes)
    assert channels == [1] * 6 + [4] * 2, "one convolution has four channels, and the other one"
    assert all(one.data_type != TensorProto.INT32 for one in quantised.model.graph.initializer)


def test_the_network_is_nearly_the_same(
    prepared: onnx.ModelProto, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    before = prepared.SerializeToString()
    quantised = qdq_graph(prepared, synthetic_pictures()[:2])
    assert prepared.SerializeToString() == before
    assert capfd.readouterr() == ("", ""), "nothing of a library stands between our lines"
    assert caplog.records == []
    pictures = np.stack([picture for _, picture in synthetic_pictures()[:2]])
    answers = [
        OnnxRuntimeEngine(model.SerializeToString()).infer(pictures)
        for model in (prepared, quantised.model)
    ]
    difference = np.abs(answers[0] - answers[1]).max()
    assert 0 < difference < 0.05, "as exact as FP32 would mean that nothing was quantised"


def test_a_graph_of_which_nothing_would_be_quantised_is_refused(prepared: onnx.ModelProto) -> None:
    with pytest.raises(ExportError, match="none of 3 convolutions would be INT8"):
        qdq_graph(prepared, synthetic_pictures()[:1], choice=Choice(first=1, last=2))
