"""Graphs that read files, never end, or answer by chance are refused by name before anything computes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from infmap_kit.errors import ExportError
from infmap_kit.graphs.preparation import read_graph
from small_network import small_network


def _before_the_sigmoid(
    model: onnx.ModelProto, *nodes: onnx.NodeProto, **stated: object
) -> onnx.ModelProto:
    """Put nodes from ``x`` to ``y`` between the last upsampling and the sigmoid."""
    graph = model.graph
    index = next(i for i, node in enumerate(graph.node) if node.op_type == "Sigmoid")
    sigmoid = graph.node[index]
    logit = sigmoid.input[0]
    for node in nodes:
        node.input[:] = [logit if name == "x" else name for name in node.input]
    sigmoid.input[0] = "y"
    for position, node in enumerate(nodes):
        graph.node.insert(index + position, node)
    for name, value in stated.items():
        graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
    return model


def loop(iterations: int | None, *, keep_on: bool = True) -> onnx.ModelProto:
    """A network in which a loop adds nothing, so many times; without a number for ever."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["on"], ["still_on"]),
            helper.make_node("Add", ["carried", "nothing"], ["next"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("carried", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("still_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", TensorProto.FLOAT, None),
        ],
    )
    stated: dict[str, object] = {"nothing": np.float32(0), "go": np.bool_(keep_on)}
    if iterations is not None:
        stated["times"] = np.int64(iterations)
    count = "" if iterations is None else "times"
    node = helper.make_node("Loop", [count, "go", "x"], ["y"], name="endless", body=body)
    return _before_the_sigmoid(small_network(), node, **stated)


def _batch_norm() -> onnx.ModelProto:
    ones = np.ones(1, np.float32)
    node = helper.make_node(
        "BatchNormalization",
        ["x", "scale", "shift", "mean", "variance"],
        ["y", "new_mean", "new_variance"],
        name="norm",
        training_mode=1,
    )
    return _before_the_sigmoid(
        small_network(), node, scale=ones, shift=ones, mean=ones, variance=ones
    )


def _dropout(*, training: bool) -> onnx.ModelProto:
    node = helper.make_node("Dropout", ["x", "ratio", "mode"], ["y"], name="drop")
    return _before_the_sigmoid(
        small_network(), node, ratio=np.float32(0.5), mode=np.bool_(training)
    )


def _chance() -> onnx.ModelProto:
    return _before_the_sigmoid(
        small_network(), helper.make_node("RandomNormalLike", ["x"], ["y"], name="dice")
    )


def _external(tensor: TensorProto) -> TensorProto:
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")
    return tensor


def _external_constant() -> onnx.ModelProto:
    secret = _external(numpy_helper.from_array(np.zeros(4, np.float32), "secret"))
    return _before_the_sigmoid(
        small_network(),
        helper.make_node("Constant", [], ["c"], value=secret),
        helper.make_node("Add", ["x", "c"], ["y"]),
    )


def _external_in_a_loop() -> onnx.ModelProto:
    model = loop(2)
    body = next(node for node in model.graph.node if node.op_type == "Loop").attribute[0].g
    body.initializer.append(_external(numpy_helper.from_array(np.zeros(1, np.float32), "secret")))
    return model


def _own_operators() -> onnx.ModelProto:
    model = small_network()
    function = helper.make_function(
        "",
        "Sigmoid",
        ["a"],
        ["b"],
        [helper.make_node("Identity", ["a"], ["b"])],
        model.opset_import,
    )
    model.functions.append(function)
    return model


def _training() -> onnx.ModelProto:
    model = small_network()
    model.training_info.add()
    return model


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (_batch_norm, "node 'norm' (BatchNormalization) computes as in training"),
        (lambda: _dropout(training=True), "node 'drop' (Dropout) computes as in training"),
        (_chance, "node 'dice' (RandomNormalLike) answers by chance"),
        (lambda: loop(None), "node 'endless' (Loop) may never end"),
        (lambda: loop(2**40), "found 1099511627776"),
        (_external_constant, "weight 'secret' in another file"),
        (_external_in_a_loop, "weight 'secret' in another file"),
        (_own_operators, "operators of its own ('Sigmoid')"),
        (_training, "how to train it"),
    ],
)
def test_it_is_refused_by_name(
    made: Callable[[], onnx.ModelProto], reason: str, tmp_path: Path
) -> None:
    path = tmp_path / "net.onnx"
    onnx.save(made(), path)
    with pytest.raises(ExportError) as caught:
        read_graph(path)
    assert str(path) in str(caught.value)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("made", [lambda: _dropout(training=False), lambda: loop(3)])
def test_what_ends_and_only_computes_is_taken(
    made: Callable[[], onnx.ModelProto], tmp_path: Path
) -> None:
    path = tmp_path / "net.onnx"
    onnx.save(made(), path)
    read_graph(path)
