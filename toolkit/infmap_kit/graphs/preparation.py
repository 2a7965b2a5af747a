"""Segmentation graphs: read safely, checked against the contract, made fit for every target."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto, numpy_helper

from infmap_kit.errors import ExportError
from infmap_kit.graphs.editing import drop_unused_weights, set_nodes
from infmap_kit.graphs.gray import fold_gray_channels
from infmap_kit.graphs.refusal import all_nodes, refuse_graph
from infmap_kit.model.tensors import SEGMENTATION, Dtype, Graph, Tensor

MAX_BYTES = 2**31 - 1
"""A protobuf message ends here; a graph that is larger keeps its weights elsewhere."""

_STANDARD_DOMAINS = ("", "ai.onnx")
_WHOLE_FACTORS = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}

_INTEGERS = (TensorProto.INT32, TensorProto.INT64)
_BEYOND = 10**9

_ELEMENT_TYPE = {Dtype.UINT8: TensorProto.UINT8, Dtype.FLOAT32: TensorProto.FLOAT}


def read_graph(path: Path) -> onnx.ModelProto:
    """Read an ONNX file that may come from anywhere.

    Raises
    ------
    ExportError
        When it is not ONNX, is damaged, or does more than compute
        (:func:`~infmap_kit.graphs.refusal.refuse_graph`): data outside the file, for one, can name any file of
        the machine that loads it.
    """
    try:
        # A pipe would make it wait.
        if path.exists() and not path.is_file():
            raise ExportError(f"cannot read {path}: it is no file")
        if path.stat().st_size > MAX_BYTES:
            raise ExportError(f"{path} is larger than 2 GiB, which no ONNX file can be")
        model = onnx.load(path, load_external_data=False)
    except OSError as error:
        raise ExportError(f"cannot read {path}: {error.strerror}") from error
    except DecodeError as error:
        raise ExportError(f"{path} is not an ONNX file, or is cut off") from error
    refuse_graph(model, str(path))
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        reason = str(error).strip().splitlines()[0]
        raise ExportError(f"{path} is not a valid ONNX graph: {reason}") from error
    return model


def prepare_segmentation(model: onnx.ModelProto, network: Graph = SEGMENTATION) -> onnx.ModelProto:
    """Make a converted network fit to stand behind the ensemble.

    Its input and output are checked against the contract and get the contract's names; Resize nodes that
    TensorRT refuses are rewritten without changing a bit of the result; a first convolution over three
    equal gray channels reads one (:mod:`infmap_kit.graphs.gray`); not-a-number and infinite weights stop the
    export.

    Parameters
    ----------
    model
        (N, H, H) uint8 to (N, H, H) float32 probabilities of the served network's size, as ``infmap-train``
        writes it.
    network
        Name and tensors of the served network that it is to be.

    Returns
    -------
    onnx.ModelProto
        A new model; the one given stays as it is.

    Raises
    ------
    ExportError
        Naming the input, output, node or weight that does not fit.
    """
    prepared = _fit_for_every_target(model, network)
    graph = prepared.graph
    inputs = _inputs(graph)
    _expect(inputs, network.inputs[0], "input")
    first, *others = network.outputs
    names = {tensor.name for tensor in others}
    _expect([value for value in graph.output if value.name not in names], first, "output")
    for tensor in others:
        _expect([value for value in graph.output if value.name == tensor.name], tensor, "output")
    _rename(graph, inputs[0].name, network.inputs[0].name)
    _rename(graph, graph.output[0].name, network.outputs[0].name)
    for value in (graph.input[0], graph.output[0]):
        value.type.tensor_type.shape.dim[0].dim_param = "N"
    onnx.checker.check_model(prepared)
    return prepared


def prepare_network(
    model: onnx.ModelProto, network: Graph, *, kind: str, trained_with: str
) -> onnx.ModelProto:
    """Make a network fit to stand beside the ensemble; otherwise as :func:`prepare_segmentation`.

    Parameters
    ----------
    model
        The graph as its training writes it, with tensors by the contract's names already.
    network
        Name and tensors that it is to have.
    kind, trained_with
        The kind of network and the command that makes one, for messages.
    """
    prepared = _fit_for_every_target(model, network)
    graph = prepared.graph
    values = [*_inputs(graph), *graph.output]
    expected = [*network.inputs, *network.outputs]
    if [value.name for value in values] != [tensor.name for tensor in expected]:
        raise ExportError(
            f"expected the tensors {', '.join(tensor.name for tensor in expected)} of {kind}, found "
            f"{', '.join(value.name for value in values)}: train it with `{trained_with}`"
        )
    for value, tensor in zip(values, expected, strict=True):
        _expect([value], tensor, "tensor")
    onnx.checker.check_model(prepared)
    return prepared


def _fit_for_every_target(model: onnx.ModelProto, network: Graph) -> onnx.ModelProto:
    """A copy with standard operators, finite weights and upsampling that every target takes."""
    prepared = copy.deepcopy(model)
    prepared.graph.name = network.name
    for node in all_nodes(prepared.graph):
        if node.domain not in _STANDARD_DOMAINS:
            raise ExportError(
                f"expected standard ONNX operators only, found {node.domain}::{node.op_type} in node "
                f"{node.name!r}: export it with these alone"
            )
    # Converters name domains that no node is of, and some engines look for them.
    standard = [entry for entry in prepared.opset_import if entry.domain in _STANDARD_DOMAINS]
    del prepared.opset_import[:]
    prepared.opset_import.extend(standard)
    _check_weights(prepared.graph)
    rewrite_resizes(prepared)
    remove_whole_slices(prepared.graph)
    fold_gray_channels(prepared.graph)
    return prepared


def _inputs(graph: onnx.GraphProto) -> list[onnx.ValueInfoProto]:
    initializers = {tensor.name for tensor in graph.initializer}
    return [value for value in graph.input if value.name not in initializers]


def rewrite_resizes(model: onnx.ModelProto) -> int:
    """Rewrite nearest-neighbour upsampling by whole factors so that TensorRT's parser takes it.

    tf2onnx writes ``tf_half_pixel_for_nn`` with ``floor``, which TensorRT refuses. For whole factors
    output pixel i shows input pixel i // factor under that and under ``asymmetric`` with ``floor``,
    so the result is the same to the bit.

    Returns
    -------
    int
        Number of nodes that were rewritten.

    Raises
    ------
    ExportError
        For a nearest-neighbour Resize that is not by constant whole factors: then the two do
        differ, and the mask would be shifted.
    """
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    rewritten = 0
    for node in all_nodes(model.graph):
        if node.op_type != "Resize":
            continue
        texts = {attribute.name: attribute.s for attribute in node.attribute}
        is_asymmetric = texts.get("coordinate_transformation_mode") == b"asymmetric"
        if is_asymmetric or texts.get("mode", b"nearest") != b"nearest":
            continue
        scales = constants.get(node.input[2]) if len(node.input) > 2 else None
        factors = numpy_helper.to_array(scales) if scales is not None else np.empty(0)
        if factors.size == 0 or np.any(factors < 1) or np.any(factors != np.floor(factors)):
            raise ExportError(
                f"node {node.name!r}: expected upsampling by constant whole factors, found "
                f"{factors.tolist() or 'sizes that are computed'}; use UpSampling2D with whole factors"
            )
        unchanged = [a for a in node.attribute if a.name not in _WHOLE_FACTORS]
        node.ClearField("attribute")
        node.attribute.extend(unchanged)
        node.attribute.extend(onnx.helper.make_attribute(*item) for item in _WHOLE_FACTORS.items())
        rewritten += 1
    return rewritten


def remove_whole_slices(graph: onnx.GraphProto) -> int:
    """Take away each Slice that keeps everything: from 0, in steps of 1, to an end beyond any picture.

    tf2onnx leaves some, with ends of 1,000,000,000. OpenVINO infers a dimension with that upper bound, and
    Triton's OpenVINO backend refuses to load a graph whose config has -1 there.

    Returns
    -------
    int
        Number of nodes that were removed.
    """
    constants = {t.name: t for t in graph.initializer if t.data_type in _INTEGERS}
    outputs = {value.name for value in graph.output}
    kept: list[onnx.NodeProto] = []
    replaced: dict[str, str] = {}
    for node in graph.node:
        if node.op_type == "Slice" and node.output[0] not in outputs and _is_whole(node, constants):
            replaced[node.output[0]] = replaced.get(node.input[0], node.input[0])
        else:
            kept.append(node)
    if replaced:
        for node in kept:
            node.input[:] = [replaced.get(name, name) for name in node.input]
        set_nodes(graph, kept)
        drop_unused_weights(graph)
    return len(replaced)


def _is_whole(node: onnx.NodeProto, constants: Mapping[str, TensorProto]) -> bool:
    # The third input, axes, does not matter where every axis is kept.
    starts, ends, _, steps = [*node.input[1:], "", "", ""][:4]
    if starts not in constants or ends not in constants or (steps and steps not in constants):
        return False
    values = [numpy_helper.to_array(constants[name]) for name in (starts, ends)]
    step = numpy_helper.to_array(constants[steps]) if steps else np.ones(1, np.int64)
    return bool((values[0] == 0).all() and (values[1] >= _BEYOND).all() and (step == 1).all())


def _expect(values: list[onnx.ValueInfoProto], expected: Tensor, role: str) -> None:
    if len(values) != 1:
        raise ExportError(
            f"expected one {role}, found {len(values)}: {', '.join(v.name for v in values)}"
        )
    tensor = values[0].type.tensor_type
    shape = tuple(dim.dim_value for dim in tensor.shape.dim)
    fits = len(shape) == 1 + len(expected.shape) and all(
        size in (-1, actual) for size, actual in zip(expected.shape, shape[1:], strict=True)
    )
    if tensor.elem_type != _ELEMENT_TYPE[expected.dtype] or not fits:
        actual = TensorProto.DataType.Name(tensor.elem_type).lower()
        expected_shape = ", ".join(["N", *map(str, expected.shape)])
        raise ExportError(
            f"expected {role} {expected.dtype} of shape ({expected_shape}), found {actual} {shape} "
            f"({values[0].name!r}): convert with infmap-train, which puts the normalisation inside"
        )


def _check_weights(graph: onnx.GraphProto) -> None:
    for tensor in graph.initializer:
        if tensor.data_type not in (TensorProto.FLOAT, TensorProto.FLOAT16):
            continue
        if not np.isfinite(numpy_helper.to_array(tensor)).all():
            users = [node.name for node in all_nodes(graph) if tensor.name in node.input]
            raise ExportError(
                f"weight {tensor.name!r} of node {', '.join(users) or '(none)'} holds NaN or "
                "infinity: train again, this network is broken"
            )


def _rename(graph: onnx.GraphProto, old: str, new: str) -> None:
    for value in [*graph.input, *graph.output]:
        if value.name == old:
            value.name = new
    for node in all_nodes(graph):
        for names in (node.input, node.output):
            for index, name in enumerate(names):
                if name == old:
                    names[index] = new
