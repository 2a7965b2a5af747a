"""The joins of a decoder's features with its encoder's: two convolutions instead of one.

A convolution over a concatenation is the sum of two convolutions, one over each half of the channels. Nothing
changes but the order of additions; what quantises the graph then treats the two halves each by itself.
"""

from __future__ import annotations

import copy

import numpy as np
import onnx
from onnx import helper, numpy_helper

from infmap_kit.graphs.editing import set_nodes
from infmap_kit.graphs.precision.half_weights import with_plain_weights

_CHANNELS = 1


def split_joins(segmentation: onnx.ModelProto) -> tuple[onnx.ModelProto, int]:
    """Split each convolution over upsampled features that are concatenated with others.

    Only a decoder upsamples, so that an encoder's own concatenations stay whole.

    Returns
    -------
    tuple
        A new graph that computes the same but for rounding, and how many convolutions were split.
    """
    model = with_plain_weights(segmentation)
    graph = model.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    makers = {output: node for node in graph.node for output in node.output}
    channels = _channels(model)
    nodes: list[onnx.NodeProto] = []
    count = 0
    for node in graph.node:
        join = makers.get(node.input[0]) if node.op_type == "Conv" else None
        first = _upsampled(join, makers, channels) if join is not None else 0
        if join is None or not first or node.input[1] not in weights:
            nodes.append(node)
            continue
        kernel = numpy_helper.to_array(weights[node.input[1]])
        halves = np.split(kernel, [first], axis=_CHANNELS)
        inputs = [join.input[0], _rest(join, nodes)]
        for number, (half, data) in enumerate(zip(halves, inputs, strict=True)):
            name = f"{node.name}_{number}"
            graph.initializer.append(numpy_helper.from_array(half.copy(), f"{name}_weights"))
            # The bias is added once.
            bias = list(node.input[2:]) if number == 0 else []
            part = copy.deepcopy(node)
            part.ClearField("input")
            part.ClearField("output")
            part.name = name
            part.input.extend([data, f"{name}_weights", *bias])
            part.output.append(f"{node.output[0]}_{number}")
            nodes.append(part)
        parts = [f"{node.output[0]}_{number}" for number in range(2)]
        nodes.append(helper.make_node("Add", parts, [node.output[0]], name=f"{node.name}_sum"))
        count += 1
    set_nodes(graph, nodes)
    onnx.checker.check_model(model)
    return model, count


def _channels(model: onnx.ModelProto) -> dict[str, int]:
    """Channels of every picture-like tensor whose number of them is known."""
    inferred = onnx.shape_inference.infer_shapes(model).graph.value_info
    shapes = {value.name: value.type.tensor_type.shape.dim for value in inferred}
    return {
        name: dims[_CHANNELS].dim_value
        for name, dims in shapes.items()
        if len(dims) == 4 and dims[_CHANNELS].dim_value
    }


def _upsampled(
    join: onnx.NodeProto, makers: dict[str, onnx.NodeProto], channels: dict[str, int]
) -> int:
    """Number of a concatenation's first channels that are upsampled; 0 when it is none of a decoder."""
    if join.op_type != "Concat" or len(join.input) < 2:
        return 0
    axis = helper.get_node_attr_value(join, "axis")
    maker = makers.get(join.input[0])
    if axis != _CHANNELS or maker is None or maker.op_type not in ("Resize", "Upsample"):
        return 0
    return channels.get(join.input[0], 0)


def _rest(join: onnx.NodeProto, nodes: list[onnx.NodeProto]) -> str:
    """All inputs of a concatenation but the first, as one tensor."""
    if len(join.input) == 2:
        return str(join.input[1])
    name = f"{join.output[0]}_rest"
    if not any(name in node.output for node in nodes):
        inputs, label = list(join.input[1:]), f"{join.name}_rest"
        nodes.append(helper.make_node("Concat", inputs, [name], name=label, axis=_CHANNELS))
    return name
