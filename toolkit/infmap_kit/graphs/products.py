"""Matrix products as convolutions: the same sums, which compilers take for every GPU.

NVIDIA's compiler refuses a matrix product in FP32 for Turing ("FP32 GEMM is not supported", TensorRT-RTX 1.7),
and takes a convolution of one pixel for it.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from infmap_kit.graphs.editing import drop_unused_weights, set_nodes

_PLANE = "product_plane"


def with_convolved_products(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph with each FP32 product of (N, C) by a weight of (C, K) as a convolution of one pixel.

    Products in other types, of other shapes, and of two tensors stay as they are.
    """
    spread = copy.deepcopy(model)
    graph = spread.graph
    weights = {t.name: t for t in graph.initializer if t.data_type == TensorProto.FLOAT}
    ranks = _ranks(model)
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        kernel = _kernel(node, weights) if ranks.get(next(iter(node.input), "")) == 2 else None
        if kernel is None:
            nodes.append(node)
            continue
        name = f"{node.output[0]}_kernel"
        graph.initializer.append(numpy_helper.from_array(kernel, name))
        nodes += _convolution(node, name)
    if len(nodes) > len(graph.node):
        graph.initializer.append(numpy_helper.from_array(np.array([2, 3]), _PLANE))
        set_nodes(graph, nodes)
        drop_unused_weights(graph, among=weights)
        onnx.checker.check_model(spread)
    return spread


def _ranks(model: onnx.ModelProto) -> dict[str, int]:
    graph = onnx.shape_inference.infer_shapes(model).graph
    return {
        value.name: len(value.type.tensor_type.shape.dim)
        for value in (*graph.value_info, *graph.input)
    }


def _kernel(
    node: onnx.NodeProto, weights: Mapping[str, onnx.TensorProto]
) -> NDArray[np.float32] | None:
    """(K, C, 1, 1) float32 of a product by a weight; ``None`` for every other node."""
    if node.op_type not in ("MatMul", "Gemm") or node.input[1] not in weights:
        return None
    stated = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    if stated.get("transA", 0) or stated.get("alpha", 1.0) != 1 or stated.get("beta", 1.0) != 1:
        return None
    if bias := [*node.input[2:]]:
        shape = weights[bias[0]].dims if bias[0] in weights else ()
        if len(shape) != 1:
            return None
    matrix = numpy_helper.to_array(weights[node.input[1]])
    if matrix.ndim != 2:
        return None
    kernel = matrix if stated.get("transB", 0) else matrix.T
    if bias and weights[bias[0]].dims[0] != len(kernel):
        return None
    return np.ascontiguousarray(kernel[:, :, np.newaxis, np.newaxis], np.float32)


def _convolution(node: onnx.NodeProto, kernel: str) -> Iterator[onnx.NodeProto]:
    """The nodes in a product's place; the convolution keeps its name, by which errors name it."""
    (product,) = node.output
    pixel, pixels = f"{product}_pixel", f"{product}_pixels"
    yield helper.make_node("Unsqueeze", [node.input[0], _PLANE], [pixel], name=pixel)
    yield helper.make_node("Conv", [pixel, kernel, *node.input[2:]], [pixels], name=node.name)
    yield helper.make_node("Squeeze", [pixels, _PLANE], [product], name=pixels)
