"""Weights in half precision: for a file of half the size, computed in FP32 all the same."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from infmap_kit.errors import ExportError
from infmap_kit.graphs.editing import casts_to, drop_unused_weights, set_nodes


@dataclasses.dataclass(frozen=True, kw_only=True)
class HalvedWeights:
    """The effect of storing weights in FP16.

    Parameters
    ----------
    tensors, values
        Numbers of tensors and of values that were stored in FP16.
    vanished
        Number of values that were not zero and became zero.
    largest_relative_error
        Largest over all values that are in FP16's normal range.
    """

    tensors: int
    values: int
    vanished: int
    largest_relative_error: float


def halve_weights(model: onnx.ModelProto, *, smallest_tensor: int = 1024) -> HalvedWeights:
    """Store a graph's large FP32 weights in FP16, each behind a Cast back to FP32.

    Every runtime folds the Cast when it loads the graph, so nothing is computed in FP16.

    Parameters
    ----------
    model
        Changed in place.
    smallest_tensor
        Weights with fewer values stay in FP32: biases and batch norms cost nothing and matter.

    Raises
    ------
    ExportError
        Naming a weight that FP16 cannot hold (above 65504).
    """
    tensors = values = vanished = 0
    largest = 0.0
    casts = []
    normal = np.finfo(np.float16).tiny
    for tensor in model.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT:
            continue
        full = numpy_helper.to_array(tensor)
        if full.size < smallest_tensor:
            continue
        with np.errstate(over="ignore"):
            half = full.astype(np.float16)
        if not np.isfinite(half).all():
            raise ExportError(
                f"expected weights up to 65504, the largest number in FP16, found "
                f"{np.abs(full).max():.3g} in {tensor.name!r}: keep FP32"
            )
        tensors += 1
        values += full.size
        vanished += int(((half == 0) & (full != 0)).sum())
        held = np.abs(full) >= normal
        if held.any():
            error = np.abs(half[held].astype(np.float32) - full[held]) / np.abs(full[held])
            largest = max(largest, float(error.max()))
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(half, name=f"{name}_fp16"))
        casts.append(
            helper.make_node(
                "Cast", [f"{name}_fp16"], [name], name=f"{name}_fp32", to=TensorProto.FLOAT
            )
        )
    # Before everything that uses them: ONNX wants nodes in topological order.
    set_nodes(model.graph, [*casts, *model.graph.node])
    onnx.checker.check_model(model)
    return HalvedWeights(
        tensors=tensors, values=values, vanished=vanished, largest_relative_error=largest
    )


def with_plain_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph with every weight stored in FP16 as the FP32 one that it is cast to.

    It undoes :func:`halve_weights` but for the rounding: compilers for GPUs want to see weights, not the casts
    that make them.
    """
    plain = copy.deepcopy(model)
    graph = plain.graph
    stored = {t.name: t for t in graph.initializer if t.data_type == TensorProto.FLOAT16}
    nodes = []
    for node in graph.node:
        if casts_to(node, TensorProto.FLOAT) and node.input[0] in stored:
            values = numpy_helper.to_array(stored[node.input[0]]).astype(np.float32)
            graph.initializer.append(numpy_helper.from_array(values, name=node.output[0]))
        else:
            nodes.append(node)
    set_nodes(graph, nodes)
    drop_unused_weights(graph, among=stored)
    return plain
