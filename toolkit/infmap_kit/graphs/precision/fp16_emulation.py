"""FP16 as a GPU computes it, on a CPU.

ONNX Runtime has no FP16 convolution for CPUs: it computes an FP16 graph in FP32 and takes the roundings
between its nodes away, so that neither they nor an overflow are seen. Here they stand in the graph, as casts
that nothing takes away.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from infmap_kit.graphs.editing import drop_unused_weights, set_nodes
from infmap_kit.graphs.precision.fp16 import Fp16Graph, named_nodes


def emulated_fp16(model: onnx.ModelProto, halved: Fp16Graph) -> onnx.ModelProto:
    """Round every weight and every layer's output of an FP32 graph to FP16, except where FP32 is kept.

    A GPU adds up products in FP32 and rounds the sum, which is what comes out of this. ``model`` is the graph
    that ``halved`` was made of, and stays as it is.
    """
    emulated = named_nodes(model)
    graph = emulated.graph
    floats = _float_tensors(emulated)
    weights = {tensor.name: tensor for tensor in graph.initializer}
    made_by = {name: node.name for node in graph.node for name in node.output}
    nodes: list[onnx.NodeProto] = []
    rounded: dict[str, str] = {}
    for node in list(graph.node):
        if node.name in halved.kept or not floats.intersection(node.output):
            nodes.append(node)
            continue
        for index, name in enumerate(node.input):
            # The scales of a Resize are read in FP32 whatever the picture is computed in.
            if name not in floats or (node.op_type == "Resize" and index > 0):
                continue
            if name in weights:
                node.input[index] = _rounded_weight(graph, weights[name], rounded)
            elif made_by.get(name) in halved.kept or name not in made_by:
                if name not in rounded:
                    rounded[name] = f"{name}_in_fp16"
                    nodes += _casts(name, rounded[name])
                node.input[index] = rounded[name]
        outputs = [name for name in node.output if name in floats]
        nodes.append(node)
        for index, name in enumerate(node.output):
            if name in outputs:
                node.output[index] = f"{name}_exact"
                nodes += _casts(f"{name}_exact", name)
    set_nodes(graph, nodes)
    drop_unused_weights(graph)
    del graph.value_info[:]
    onnx.checker.check_model(emulated, full_check=True)
    return emulated


def _casts(source: str, target: str) -> list[onnx.NodeProto]:
    half = f"{target}_half"
    return [
        helper.make_node("Cast", [source], [half], name=half, to=TensorProto.FLOAT16),
        helper.make_node("Cast", [half], [target], name=f"{target}_rounded", to=TensorProto.FLOAT),
    ]


def _rounded_weight(
    graph: onnx.GraphProto, tensor: onnx.TensorProto, rounded: dict[str, str]
) -> str:
    if tensor.name not in rounded:
        rounded[tensor.name] = f"{tensor.name}_in_fp16"
        values = numpy_helper.to_array(tensor).astype(np.float16).astype(np.float32)
        graph.initializer.append(numpy_helper.from_array(values, rounded[tensor.name]))
    return rounded[tensor.name]


def _float_tensors(model: onnx.ModelProto) -> set[str]:
    """Names of all FP32 tensors of a graph, weights included."""
    inferred = onnx.shape_inference.infer_shapes(model)
    values = [*inferred.graph.value_info, *inferred.graph.output, *inferred.graph.input]
    floats = {v.name for v in values if v.type.tensor_type.elem_type == TensorProto.FLOAT}
    return floats | {t.name for t in model.graph.initializer if t.data_type == TensorProto.FLOAT}
