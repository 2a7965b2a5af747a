"""Networks of others behind the contract: what they want done to pixels, and what they answer, as nodes.

A network of another framework takes ``float`` pictures of 1 or 3 channels that were scaled and normalised, and
answers logits or probabilities of one or more classes. The nodes around it make of it a graph of gray ``uint8``
pictures and of one probability a pixel, which is all that a client, an engine or the gate has to know.
"""

from __future__ import annotations

from typing import Any

import onnx
import onnx.compose
from onnx import TensorProto, helper

from infmap_kit.errors import ExportError
from infmap_kit.graphs.adapter.answer import NetworkAnswer
from infmap_kit.graphs.adapter.nodes import AdapterNodes
from infmap_kit.graphs.adapter.picture import NetworkPicture
from infmap_kit.model.adapter import AS_IT_IS, ModelAdapter
from infmap_kit.model.tensors import IMAGE, PROBABILITY

_PREFIX = "network/"
_OLDEST_OPSET = 9


def adapted(
    model: onnx.ModelProto, adapter: ModelAdapter = AS_IT_IS
) -> tuple[onnx.ModelProto, dict[str, Any]]:
    """Put around a network what the contract asks for.

    Parameters
    ----------
    model
        A graph of one input and one output that was read safely: gray pictures (N, H, H) uint8 as in the
        contract, or (N, C, H, H) or (N, H, H, C) float32 or uint8 with 1 or 3 channels; one value a pixel and
        class, with or without an axis for classes.
    adapter
        Properties of the network that its graph does not state.

    Returns
    -------
    tuple
        (N, H, H) uint8 to (N, H, H) float32, and a record of what was put around for the manifest; the graph
        that was given where nothing was.

    Raises
    ------
    ExportError
        In one line what was found, what is wanted, and the option or the change of the model that helps.
    SpecError
        When an option does not fit the network.
    """
    source = _only(_inputs(model.graph), "input")
    answer = _only(list(model.graph.output), "output")
    picture = NetworkPicture.of(source, adapter)
    shaped = _at_size(model, source.name, picture)
    output = NetworkAnswer.of(shaped, answer.name, picture, adapter)
    if picture.is_contract and output.is_contract and not picture.was_open:
        return model, {}
    network = onnx.compose.add_prefix(shaped, _PREFIX)
    version = max((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), default=0)
    if version < _OLDEST_OPSET:
        raise ExportError(
            f"expected an ONNX graph of opset {_OLDEST_OPSET} or newer, found opset {version}: export the "
            "network again with opset_version=17"
        )
    graph, around = network.graph, AdapterNodes(version)
    feeding = around.feed(IMAGE.name, _PREFIX + source.name, picture, adapter)
    reading = around.read(_PREFIX + answer.name, PROBABILITY.name, output)
    nodes = [*feeding, *graph.node, *reading]
    del graph.node[:], graph.output[:], graph.value_info[:]
    graph.node.extend(nodes)
    graph.initializer.extend(around.constants)
    others = [value for value in graph.input if value.name != _PREFIX + source.name]
    del graph.input[:]
    shape: list[str | int | None] = ["N", picture.size, picture.size]
    graph.input.extend(
        [helper.make_tensor_value_info(IMAGE.name, TensorProto.UINT8, shape), *others]
    )
    graph.output.append(helper.make_tensor_value_info(PROBABILITY.name, TensorProto.FLOAT, shape))
    network.ir_version = max(network.ir_version, 4)
    return network, {**picture.record(adapter), **output.record()}


def picture_size(model: onnx.ModelProto) -> int:
    """Height and width in pixels of the pictures of what :func:`adapted` gave."""
    return int(_only(_inputs(model.graph), "input").type.tensor_type.shape.dim[-1].dim_value)


def _only(values: list[onnx.ValueInfoProto], role: str) -> onnx.ValueInfoProto:
    if len(values) != 1:
        names = ", ".join(value.name for value in values)
        raise ExportError(
            f"expected one {role}, found {len(values)}: {names:.200}; export the network with "
            f"{'its pictures' if role == 'input' else 'its mask'} alone"
        )
    return values[0]


def _inputs(graph: onnx.GraphProto) -> list[onnx.ValueInfoProto]:
    initializers = {tensor.name for tensor in graph.initializer}
    return [value for value in graph.input if value.name not in initializers]


def _at_size(model: onnx.ModelProto, name: str, picture: NetworkPicture) -> onnx.ModelProto:
    """A copy whose input has its size stated and its batch open, and nothing inside states another."""
    shaped = onnx.ModelProto()
    shaped.CopyFrom(model)
    (source,) = [value for value in shaped.graph.input if value.name == name]
    source.type.CopyFrom(helper.make_tensor_type_proto(picture.element, picture.shape()))
    for answer in shaped.graph.output:
        if answer.type.tensor_type.shape.dim:
            batch = answer.type.tensor_type.shape.dim[0]
            batch.Clear()
            batch.dim_param = "N"
    # Shapes with the exporter's own batch.
    del shaped.graph.value_info[:]
    return shaped
