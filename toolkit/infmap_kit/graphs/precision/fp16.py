"""Graphs that compute in FP16, between inputs and outputs that stay as they are."""

from __future__ import annotations

import copy
import dataclasses
import warnings
from collections.abc import Collection, Iterator
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from infmap_kit.errors import ExportError, MissingDependency
from infmap_kit.graphs.editing import casts_to, drop_unused_weights, set_nodes
from infmap_kit.graphs.precision.half_weights import with_plain_weights

FP16_LARGEST = 65504.0

KEPT_IN_FP32 = (
    *("Sigmoid", "Softmax", "GlobalAveragePool", "CumSum", "Range"),
    *("ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean"),
    *("ReduceMin", "ReduceProd", "ReduceSum", "ReduceSumSquare"),
)
"""Operators that are computed in FP32 all the same. Sums of many values lose digits in FP16 and may
leave its range, and near 0.5 a sigmoid in FP16 knows steps of 5e-4, which could flip a detection."""

MOVING = ("Slice", "Squeeze", "Unsqueeze", "Reshape", "Transpose", "Identity", "Flatten")
"""Operators that move values and change none: a converter puts some behind the sigmoid."""

PRODUCTS = ("Conv", "ConvTranspose", "MatMul", "Gemm")
"""Operators that take the time; their types are what a precision means."""

FIRST = (0, 3, 16)
"""How many of the first convolutions compute in FP32, tried one by one until the gate is passed. ImageNet's
first filters take differences of neighbouring pixels: of the edge network, whose weights there reach 89, a
Dice of 0.9981 over the synthetic radiographs became 0.9994 with three."""

_NORMALISING = (*MOVING, "Cast", "Mul", "Add", "Sub", "Div")


class Fp16Overflow(ExportError):
    """A weight of ``node`` is beyond what FP16 can hold."""

    def __init__(self, message: str, node: str) -> None:
        super().__init__(message)
        self.node = node


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fp16Graph:
    """A graph that computes in FP16.

    Parameters
    ----------
    model
        The graph. Its inputs and outputs have the types they had.
    weights
        Number of values that are FP16 now.
    vanished
        Number of these that were not zero and are.
    kept
        Names of the nodes that are computed in FP32 still.
    """

    model: onnx.ModelProto
    weights: int
    vanished: int
    kept: frozenset[str]

    def record(self) -> dict[str, Any]:
        """The counts, and the convolutions that are not in FP16, for the manifest."""
        return {
            "fp16_weights": self.weights,
            "fp16_vanished_weights": self.vanished,
            "fp32_nodes": len(self.kept),
            "kept": list(self._kept_products),
        }

    @property
    def kept_products(self) -> int:
        """Number of the convolutions and matrix products that compute in FP32 all the same."""
        return len(self._kept_products)

    @property
    def _kept_products(self) -> tuple[str, ...]:
        nodes = self.model.graph.node
        return tuple(n.name for n in nodes if n.op_type in PRODUCTS and n.name in self.kept)


def fp16_graph(model: onnx.ModelProto, *, keep_fp32: Collection[str] = ()) -> Fp16Graph:
    """Let a graph compute in FP16, with normalisation, sigmoid and reductions in FP32.

    The graph itself says in which type each node computes, since TensorRT 11 knows no FP16 flag any more
    and takes a strongly typed network at its word, as TensorRT 10 does when it is asked to.

    Parameters
    ----------
    model
        FP32, prepared by :func:`infmap_kit.graphs.preparation.prepare_segmentation`; stays as it is.
    keep_fp32
        Nodes that compute in FP32 all the same, by name (`infmap-kit verify bisect` proposes them).

    Raises
    ------
    ExportError
        Naming a node that does not exist, or the node whose weight is NaN, infinite or beyond
        what FP16 can hold.
    MissingDependency
        When ONNX Runtime, whose converter does the casts, is not installed.
    """
    try:
        from onnxruntime.transformers.float16 import convert_float_to_float16
        from onnxruntime.transformers.onnx_model import OnnxModel
    except ImportError as error:
        raise MissingDependency(
            "FP16 graphs are made with ONNX Runtime's converter: pip install 'infmap-kit[export]'"
        ) from error
    named = named_nodes(model)
    unknown = sorted(set(keep_fp32) - {node.name for node in named.graph.node})
    if unknown:
        raise ExportError(
            f"the graph has no node {unknown[0]!r} to keep in FP32: `infmap-kit verify bisect` names nodes"
        )
    ends = [*_head(named.graph), *_tail(named.graph), *keep_fp32]
    kept = {n.name for n in named.graph.node if n.op_type in KEPT_IN_FP32 or n.name in ends}
    _give_own_weights(named.graph, kept)
    weights, vanished = _prepare_weights(named, kept)
    del named.graph.value_info[:]
    with warnings.catch_warnings():
        # It warns of every tensor that it rounds; what matters is counted above.
        warnings.simplefilter("ignore", UserWarning)
        halved = convert_float_to_float16(
            named, keep_io_types=True, op_block_list=list(KEPT_IN_FP32), node_block_list=ends
        )
    del halved.graph.value_info[:]
    _drop_repeated_casts(halved.graph)
    _remove_round_trips(halved.graph, kept)
    # The converter appends its casts at the end.
    OnnxModel.graph_topological_sort(halved.graph)
    onnx.checker.check_model(halved, full_check=True)
    return Fp16Graph(model=halved, weights=weights, vanished=vanished, kept=frozenset(kept))


def first_convolutions(model: onnx.ModelProto, count: int) -> tuple[str, ...]:
    """Names of the first convolutions of a graph and of all that is computed before them, for ``keep_fp32``.

    None where no other convolution would be left.
    """
    nodes = [node for node in named_nodes(model).graph.node if node.op_type != "Constant"]
    at = [index for index, node in enumerate(nodes) if node.op_type == "Conv"]
    if not 0 < count < len(at):
        return ()
    return tuple(node.name for node in nodes[: at[count - 1] + 1])


def named_nodes(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph that FP16 is made of: a copy with plain weights, in which every node has a name."""
    named = with_plain_weights(model)
    for index, node in enumerate(named.graph.node):
        node.name = node.name or f"{node.op_type}_{index}"
    return named


def _prepare_weights(model: onnx.ModelProto, kept: set[str]) -> tuple[int, int]:
    """Count the weights, let those vanish that must, and stop at one that FP16 cannot hold.

    The converter would round what vanishes UP to the smallest number of FP16.
    """
    users: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        for name in node.input:
            users.setdefault(name, []).append(node)
    weights = vanished = 0
    for name, tensor in _float_weights(model.graph):
        values = numpy_helper.to_array(tensor)
        computing = [n for n in users.get(name, []) if n.name not in kept]
        if not computing:
            continue
        where = f"weight {name!r} of node {computing[0].name!r}"
        if not np.isfinite(values).all():
            raise ExportError(f"{where} holds NaN or infinity: train again, this network is broken")
        # Scales of a Resize are read in FP32 whatever the picture is computed in.
        if all(n.op_type == "Resize" for n in computing):
            continue
        largest = float(np.abs(values).max(initial=0.0))
        overflowing = int((np.abs(values) > FP16_LARGEST).sum())
        if overflowing:
            raise Fp16Overflow(
                f"{where} reaches {largest:.3g} and FP16 ends at 65504 ({overflowing} of {values.size} "
                "values): export with --precision fp32, or keep the node with --keep-fp32",
                computing[0].name,
            )
        weights += values.size
        vanishing = (values.astype(np.float16) == 0) & (values != 0)
        if vanishing.any():
            vanished += int(vanishing.sum())
            rounded = np.where(vanishing, np.float32(0), values)
            tensor.CopyFrom(numpy_helper.from_array(rounded, tensor.name))
    return weights, vanished


def _give_own_weights(graph: onnx.GraphProto, kept: set[str]) -> None:
    """Let no node that is kept share a weight: the converter would cast it back once for each, by one name."""
    weights = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.name not in kept:
            continue
        for index, name in enumerate(node.input):
            if name in weights:
                own = copy.deepcopy(weights[name])
                own.name = node.input[index] = f"{name}_of_{node.name}_{index}"
                graph.initializer.append(own)
    drop_unused_weights(graph)


def _float_weights(graph: onnx.GraphProto) -> Iterator[tuple[str, onnx.TensorProto]]:
    for tensor in graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            yield tensor.name, tensor
    for node in graph.node:
        for attribute in node.attribute:
            if node.op_type == "Constant" and attribute.t.data_type == TensorProto.FLOAT:
                yield node.output[0], attribute.t


def _head(graph: onnx.GraphProto) -> list[str]:
    """Nodes that bring pixels to numbers and normalise them, before anything is learnt from them.

    Scale and offset rounded to FP16 shift every pixel of every picture the same way, which cost half of the
    whole error when it was measured.
    """
    constant = {tensor.name for tensor in graph.initializer}
    reached = {v.name for v in graph.input if v.type.tensor_type.elem_type == TensorProto.UINT8}
    head = []
    for node in graph.node:
        moving = [name for name in node.input if name and name not in constant]
        if node.op_type in _NORMALISING and moving and reached.issuperset(moving):
            head.append(node.name)
            reached.update(node.output)
    return head


def _tail(graph: onnx.GraphProto) -> list[str]:
    """Nodes between what is kept in FP32 and the graph's outputs that only move values.

    In FP16 they would round the sigmoid's result just before it leaves.
    """
    makers = {name: node for node in graph.node for name in node.output}
    tail = []
    for value in graph.output:
        node, moving = makers.get(value.name), []
        while node is not None and node.op_type in MOVING:
            moving.append(node.name)
            node = makers.get(node.input[0])
        if node is not None and node.op_type in KEPT_IN_FP32:
            tail.extend(moving)
    return tail


def _drop_repeated_casts(graph: onnx.GraphProto) -> None:
    """Cast a tensor back once: the converter does so for each node that is kept, under one name."""
    made: set[str] = set()
    nodes = []
    for node in graph.node:
        if node.op_type == "Cast" and node.output[0] in made:
            continue
        made.update(node.output)
        nodes.append(node)
    set_nodes(graph, nodes)


def _remove_round_trips(graph: onnx.GraphProto, kept: set[str]) -> None:
    """Join FP32 nodes directly: the converter goes through FP16 between any two, and to an output."""
    makers = {name: node for node in graph.node for name in node.output}
    outputs = {value.name for value in graph.output}
    renamed: dict[str, str] = {}
    for node in graph.node:
        back = makers.get(node.input[0]) if casts_to(node, TensorProto.FLOAT) else None
        there = makers.get(back.input[0]) if back is not None else None
        if back is None or there is None or there.name not in kept:
            continue
        if not casts_to(back, TensorProto.FLOAT16):
            continue
        # An output keeps its name, whatever made it before.
        old, new = node.output[0], back.input[0]
        renamed.update({new: old} if old in outputs else {old: new})
        node.output[0] = f"{old}_unused"
    for node in graph.node:
        for names in (node.input, node.output):
            for index, name in enumerate(names):
                names[index] = renamed.get(name, name)
    read = outputs | {name for node in graph.node for name in node.input}
    for _ in range(2):
        set_nodes(graph, [n for n in graph.node if n.op_type != "Cast" or n.output[0] in read])
        read = outputs | {name for node in graph.node for name in node.input}
