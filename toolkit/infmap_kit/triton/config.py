"""config.pbtxt for the ensemble and its graphs, through Triton's own protobuf."""

from __future__ import annotations

from collections.abc import Mapping

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as pb

from infmap_kit.errors import SpecError
from infmap_kit.model.tensors import Dtype, Graph
from infmap_kit.parts.contract import PLAIN, Contract

VERSION = 1
"""The version folder of a first release; publishing puts the release's own number in its place."""


_DTYPE = {Dtype.UINT8: pb.TYPE_UINT8, Dtype.FLOAT32: pb.TYPE_FP32}


def ensemble_config(identity: Mapping[str, str], contract: Contract = PLAIN) -> pb.ModelConfig:
    """Config of the ensemble ``infmap``; but for identity and contract the same for every target.

    Rendering stands first: Triton prunes the steps whose outputs were not asked for, and when all steps that
    read an input of the ensemble itself are pruned, its look-up falls through to step 0, which must
    then be such a step, or another output is lost too (triton server#7482). CANVAS is read by rendering alone;
    IMAGE is read by every network, and whatever is asked for, one of them is needed.
    """
    config = graph_config(contract.ensemble)
    config.platform = "ensemble"
    set_parameters(config, identity)
    for graph in (
        contract.rendering,
        *contract.networks,
        *(graph for graph in contract.postprocessing if graph != contract.rendering),
        *contract.fp32_networks,
    ):
        step = config.ensemble_scheduling.step.add(model_name=graph.name, model_version=-1)
        step.input_map.update({tensor.name: tensor.name for tensor in graph.inputs})
        step.output_map.update({tensor.name: tensor.name for tensor in graph.outputs})
    return config


def set_parameters(config: pb.ModelConfig, parameters: Mapping[str, str]) -> None:
    """Write parameters into a config, where clients and backends read them."""
    for key, value in sorted(parameters.items()):
        config.parameters[key].string_value = value


def config_text(config: pb.ModelConfig) -> str:
    """A config as config.pbtxt."""
    text: str = text_format.MessageToString(config)
    return text


def parse_config(text: str) -> pb.ModelConfig:
    """Read a config.pbtxt.

    Raises
    ------
    SpecError
        When Triton's own grammar does not take it.
    """
    try:
        return text_format.Parse(text, pb.ModelConfig())
    except text_format.ParseError as error:
        raise SpecError(f"not a Triton model config: {error}") from error


def graph_config(graph: Graph, *, max_batch_size: int = 0) -> pb.ModelConfig:
    """Name and tensors of a graph's config.

    With ``max_batch_size`` 0 the batch is a dimension like the others. DETECTED and SEVERITY are (N,), which a
    batching model cannot say: Triton wants a dimension besides the batch.
    """
    config = pb.ModelConfig(name=graph.name, max_batch_size=max_batch_size)
    config.version_policy.specific.versions.append(VERSION)
    batch = () if max_batch_size else (-1,)
    for tensors, side in ((graph.inputs, config.input), (graph.outputs, config.output)):
        for tensor in tensors:
            dims = (*batch, *tensor.shape)
            side.add(name=tensor.name, data_type=_DTYPE[tensor.dtype], dims=dims)
    return config
