"""Graphs of others that are refused before anything computes them, by the node or tensor that is the reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from infmap_kit.errors import ExportError

MOST_ITERATIONS = 10_000
"""Iterations of a loop that a graph may state; a count that is computed may have no end."""

_BY_CHANCE = (
    *("Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform"),
    "RandomUniformLike",
)


def refuse_graph(model: onnx.ModelProto, where: str) -> None:
    """Refuse a graph that would read files, may never end, or answers as in training or by chance.

    Parameters
    ----------
    model
        The graph.
    where
        Origin of the graph, for messages.

    Raises
    ------
    ExportError
        Naming the node or tensor.
    """
    if model.functions:
        raise ExportError(
            f"{where} defines operators of its own ({model.functions[0].name!r:.80}): export it with standard "
            "ONNX operators only"
        )
    if model.training_info:
        raise ExportError(f"{where} holds how to train it as well: export it for inference alone")
    _refuse_in(model.graph, where, {})


def all_nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """The nodes of a graph, and of the graphs inside its nodes."""
    for node in graph.node:
        yield node
        for inner in _inner_graphs(node):
            yield from all_nodes(inner)


def _refuse_in(graph: onnx.GraphProto, where: str, outside: Mapping[str, TensorProto]) -> None:
    stated = {**outside, **{tensor.name: tensor for tensor in graph.initializer}}
    for tensor in _tensors(graph):
        if tensor.data_location == TensorProto.EXTERNAL:
            raise ExportError(
                f"{where} keeps weight {tensor.name!r:.80} in another file: store it inside the graph"
            )
    for node in graph.node:
        if node.op_type == "Constant":
            stated.update((node.output[0], a.t) for a in node.attribute if a.HasField("t"))
    for node in graph.node:
        if reason := _reason(node, stated):
            name = node.name or next(iter(node.output), "")
            raise ExportError(f"{where}: node {name!r:.80} ({node.op_type:.40}) {reason}")
        for inner in _inner_graphs(node):
            _refuse_in(inner, where, stated)


def _reason(node: onnx.NodeProto, stated: Mapping[str, TensorProto]) -> str:
    """The reason why a node is refused; empty when it is not."""
    training = (
        "computes as in training, where an answer depends on the other pictures or on chance: export the "
        "network for inference"
    )
    if node.op_type == "BatchNormalization":
        asked = any(a.name == "training_mode" and a.i for a in node.attribute)
        return training if asked or len([name for name in node.output if name]) > 1 else ""
    if node.op_type == "Dropout":
        mode = node.input[2] if len(node.input) > 2 else ""
        return training if mode and _number(mode, stated) != 0 else ""
    if node.op_type in _BY_CHANCE:
        return "answers by chance: export the network for inference"
    if node.op_type == "Loop":
        count = _number(node.input[0], stated) if node.input else None
        if count is None or count > MOST_ITERATIONS:
            return (
                f"may never end: expected a stated number of iterations up to {MOST_ITERATIONS}, found "
                f"{'one that is computed' if count is None else count}"
            )
    return ""


def _number(name: str, stated: Mapping[str, TensorProto]) -> int | None:
    """The one number that a graph states under a name."""
    tensor = stated.get(name)
    if tensor is None or int(np.prod(tensor.dims, dtype=object)) != 1:
        return None
    return int(numpy_helper.to_array(tensor).reshape(()))


def _inner_graphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def _tensors(graph: onnx.GraphProto) -> Iterator[TensorProto]:
    """The tensors that a graph states itself; graphs inside it state their own."""
    sparse = list(graph.sparse_initializer)
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            yield from attribute.tensors
            sparse += attribute.sparse_tensors
            if attribute.HasField("t"):
                yield attribute.t
            if attribute.HasField("sparse_tensor"):
                sparse.append(attribute.sparse_tensor)
    for one in sparse:
        yield from (one.values, one.indices)
