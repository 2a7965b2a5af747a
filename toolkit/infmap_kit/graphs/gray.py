"""The first convolution over one gray channel, where it had three equal ones.

Encoders that were made for photographs get the gray picture three times, normalised channel by channel as
c_k * x + d_k. Where the quotient d_k / c_k is the same for all of them, the channels are multiples of the
first, and

    sum_k W_k * (c_k x + d_k) = (sum_k (c_k / c_0) W_k) * (c_0 x + d_0),

padding with zeros included: one channel with the weights summed up computes the same. Where the quotients
differ, as with DenseNet's mean and deviation, a border of zeros stands for another gray in each channel, and
the graph stays.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from infmap_kit.graphs.editing import drop_unused_weights, set_nodes

_TO_CHANNELS_FIRST = [0, 3, 1, 2]
_SAME = 1e-6
"""Quotients that differ by less, relatively, are rounded constants of one number."""


def fold_gray_channels(graph: onnx.GraphProto) -> bool:
    """Give the first convolution one input channel, where that computes the same.

    It is found behind the picture's type, a new axis, scale, offset and the change to channels first, as
    ``infmap-train`` writes them; any other graph stays as it is.

    Parameters
    ----------
    graph
        Is changed.

    Returns
    -------
    bool
        Whether it was.
    """
    weights = {tensor.name: tensor for tensor in graph.initializer}
    chain = _chain(graph, ("Cast", "Unsqueeze", "Mul", "Add", "Transpose", "Conv"))
    if chain is None:
        return False
    _, axis, scale, offset, transpose, convolution = chain
    constants = [_constant(node, weights) for node in (scale, offset)]
    kernel = weights.get(convolution.input[1])
    if (
        kernel is None
        or any(c is None for c in constants)
        or _perm(transpose) != _TO_CHANNELS_FIRST
    ):
        return False
    c, d = (np.asarray(constant, np.float64) for constant in constants)
    w = numpy_helper.to_array(kernel)
    if not (c.shape == d.shape == (w.shape[1],) and w.shape[1] > 1 and w.dtype == np.float32):
        return False
    if _axes(axis, weights) != [3] or (c == 0).any() or np.ptp(d / c) > _SAME * np.abs(d / c).max():
        return False
    shares = (c / c[0]).reshape(1, -1, 1, 1)
    one = (w.astype(np.float64) * shares).sum(axis=1, keepdims=True).astype(np.float32)
    named = {
        f"{convolution.input[1]}_of_gray": one,
        "gray_scale": np.array(c[0], np.float32),
        "gray_offset": np.array(d[0], np.float32),
        "gray_channel_axis": np.array([1], np.int64),
    }
    graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in named.items())
    kernel_name, scale_name, offset_name, axis_name = named
    axis.input[1] = axis_name
    for node, name in ((scale, scale_name), (offset, offset_name)):
        node.input[:] = [source if source not in weights else name for source in node.input]
    convolution.input[0], convolution.input[1] = offset.output[0], kernel_name
    set_nodes(graph, [node for node in graph.node if node != transpose])
    stale = {name for node in (axis, scale, offset, convolution) for name in node.output}
    # Shapes that a converter noted are those with three channels.
    noted = [value for value in graph.value_info if value.name not in stale | set(transpose.output)]
    graph.ClearField("value_info")
    graph.value_info.extend(noted)
    drop_unused_weights(graph)
    return True


def _chain(graph: onnx.GraphProto, kinds: Sequence[str]) -> list[onnx.NodeProto] | None:
    """The nodes of those kinds behind the graph's input, each the only one that reads the one before."""
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    weights = {tensor.name for tensor in graph.initializer}
    inputs = [value.name for value in graph.input if value.name not in weights]
    outputs = {value.name for value in graph.output}
    if len(inputs) != 1:
        return None
    name, found = inputs[0], []
    for kind in kinds:
        following = readers.get(name, [])
        if len(following) != 1 or following[0].op_type != kind or name in outputs:
            return None
        found.append(following[0])
        name = following[0].output[0]
    return found


def _constant(
    node: onnx.NodeProto, weights: dict[str, onnx.TensorProto]
) -> NDArray[np.generic] | None:
    constants = [name for name in node.input if name in weights]
    return numpy_helper.to_array(weights[constants[0]]) if len(constants) == 1 else None


def _axes(node: onnx.NodeProto, weights: dict[str, onnx.TensorProto]) -> list[int]:
    if len(node.input) < 2 or node.input[1] not in weights:
        return []
    return [int(axis) % 4 for axis in numpy_helper.to_array(weights[node.input[1]])]


def _perm(node: onnx.NodeProto) -> list[int]:
    return next((list(a.ints) for a in node.attribute if a.name == "perm"), [])
