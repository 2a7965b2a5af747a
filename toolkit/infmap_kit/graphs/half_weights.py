"""Weights in half precision: for a file of half the size, computed in FP32 all the same."""

from __future__ import annotations

import dataclasses

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from infmap_kit.errors import ExportError


@dataclasses.dataclass(frozen=True, kw_only=True)
class HalvedWeights:
    """What storing weights in FP16 did to them.

    Parameters
    ----------
    tensors, values
        How many were stored in FP16.
    vanished
        Values that were not zero and became zero.
    largest_relative_error
        Over all values that are in FP16's normal range.
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
                f"weight {tensor.name!r} reaches {np.abs(full).max():.3g}, FP16 ends at 65504: "
                "keep FP32"
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
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.checker.check_model(model)
    return HalvedWeights(
        tensors=tensors, values=values, vanished=vanished, largest_relative_error=largest
    )


def with_plain_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph with every weight stored in FP16 as the FP32 one that it is cast to.

    What :func:`halve_weights` did, undone but for the rounding: compilers for GPUs want to see weights, not
    the casts that make them.
    """
    plain = onnx.ModelProto()
    plain.CopyFrom(model)
    graph = plain.graph
    stored = {t.name: t for t in graph.initializer if t.data_type == TensorProto.FLOAT16}
    nodes = []
    for node in graph.node:
        to_fp32 = any(a.name == "to" and a.i == TensorProto.FLOAT for a in node.attribute)
        if node.op_type == "Cast" and to_fp32 and node.input[0] in stored:
            values = numpy_helper.to_array(stored[node.input[0]]).astype(np.float32)
            graph.initializer.append(numpy_helper.from_array(values, name=node.output[0]))
        else:
            nodes.append(node)
    used = {name for node in nodes for name in node.input}
    weights = [t for t in graph.initializer if t.name in used or t.name not in stored]
    del graph.node[:]
    del graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(weights)
    return plain
