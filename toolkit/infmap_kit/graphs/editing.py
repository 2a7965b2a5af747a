"""Edits that every change of a graph needs."""

from __future__ import annotations

from collections.abc import Container, Iterable

import onnx


def set_nodes(graph: onnx.GraphProto, nodes: Iterable[onnx.NodeProto]) -> None:
    """Give a graph other nodes, of which some may be its own."""
    replaced = list(nodes)
    graph.ClearField("node")
    graph.node.extend(replaced)


def drop_unused_weights(graph: onnx.GraphProto, among: Container[str] | None = None) -> None:
    """Take away the weights that no node reads, or only some of those, by name."""
    used = {name for node in graph.node for name in node.input}
    kept = [
        tensor
        for tensor in graph.initializer
        if tensor.name in used or (among is not None and tensor.name not in among)
    ]
    graph.ClearField("initializer")
    graph.initializer.extend(kept)


def casts_to(node: onnx.NodeProto, kind: int) -> bool:
    """Whether a node casts to an element type of :class:`onnx.TensorProto`."""
    return node.op_type == "Cast" and any(a.name == "to" and a.i == kind for a in node.attribute)
