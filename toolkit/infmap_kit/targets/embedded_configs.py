"""config.pbtxt of the embedded target: a single model, and how its runner compiles the graphs."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from tritonclient.grpc import model_config_pb2 as pb

from infmap_kit.errors import SpecError
from infmap_kit.gate.engines import openvino_precision
from infmap_kit.imaging.radiograph import MAX_PIXELS
from infmap_kit.model.files import parse_json
from infmap_kit.model.precision import Precision
from infmap_kit.model.tensors import SUMMARY
from infmap_kit.model.typed import typed
from infmap_kit.parts.contract import DETECTION, PLAIN, Contract
from infmap_kit.triton.config import graph_config, set_parameters

if TYPE_CHECKING:
    from infmap_kit.targets.embedded import EmbeddedOptions

GRAPHS_PARAMETER = "graphs"
MOST_PIXELS_PARAMETER = "most_pixels"
STREAMS_PARAMETER = "streams"
SINGLE_THREADED = (DETECTION.name, SUMMARY.name)
"""Graphs so small that handing them to several threads costs more than computing them."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServedGraph:
    """A graph, as the runner compiles it.

    Parameters
    ----------
    file
        Name of the file beside the runner.
    precision
        The precision, as OpenVINO spells it.
    threads
        Threads that compute it; 0 is all cores.
    """

    file: str
    precision: str
    threads: int

    @property
    def name(self) -> str:
        """The graph's name."""
        return self.file.partition(".")[0]


def embedded_configs(
    options: EmbeddedOptions, identity: Mapping[str, str], contract: Contract = PLAIN
) -> dict[str, pb.ModelConfig]:
    """Config of the single model that does all steps, in Triton's python backend with the OpenVINO runner.

    Clients cannot tell it from the ensemble: it has the same name, tensors and identity.

    Parameters
    ----------
    options
        Precision, threads, instances, streams.
    identity, contract
        See :func:`~infmap_kit.targets.backend_configs.backend_configs`.

    Returns
    -------
    dict
        Model name to config.
    """
    precision = options.precision or Precision.FP32
    # No ensemble of Triton's, whose steps are asked for all their outputs, whatever the client asks for.
    pipeline = graph_config(contract.ensemble)
    set_parameters(pipeline, identity)
    pipeline.backend = "python"
    pipeline.instance_group.add(kind=pb.ModelInstanceGroup.KIND_CPU, count=options.instances)
    fp32 = openvino_precision(Precision.FP32)
    hint = openvino_precision(options.rest if precision is Precision.INT8 else precision)
    served = []
    for graph in contract.graphs:
        network = graph in contract.networks
        served.append(
            ServedGraph(
                file=network_file(graph.name, precision) if network else graph_file(graph.name),
                precision=hint if network else fp32,
                threads=1 if graph.name in SINGLE_THREADED else options.threads,
            )
        )
    set_served_graphs(pipeline, served)
    set_parameters(pipeline, {MOST_PIXELS_PARAMETER: str(MAX_PIXELS)})
    set_streams(pipeline, options.streams)
    return {pipeline.name: pipeline}


def graph_file(name: str) -> str:
    """The file of a graph in the pipeline's version folder."""
    return f"{name}.onnx"


def network_file(name: str, precision: Precision) -> str:
    """The file that the runner compiles: the ONNX graph, or OpenVINO's own format, which has INT8 in it."""
    return f"{name}.xml" if precision is Precision.INT8 else graph_file(name)


def set_served_graphs(config: pb.ModelConfig, graphs: Sequence[ServedGraph]) -> None:
    """Write into the pipeline's config which graphs the runner compiles, and how."""
    listed = json.dumps([dataclasses.asdict(graph) for graph in graphs])
    set_parameters(config, {GRAPHS_PARAMETER: listed})


def set_streams(config: pb.ModelConfig, streams: int) -> None:
    """Write into the pipeline's config how many requests the runner computes at the same time."""
    set_parameters(config, {STREAMS_PARAMETER: str(streams)})


def served_graphs(config: pb.ModelConfig) -> list[ServedGraph]:
    """Read what :func:`set_served_graphs` wrote.

    Raises
    ------
    SpecError
        When the config names no graphs.
    """
    try:
        listed = parse_json(config.parameters[GRAPHS_PARAMETER].string_value)
    except ValueError as error:
        raise SpecError(
            f"the config of {config.name} does not say which graphs it runs: export again"
        ) from error
    where = f"the config of {config.name} does not say which graphs it runs, export again"
    if not isinstance(listed, list):
        raise SpecError(where)
    return [typed(ServedGraph, graph, where) for graph in listed]
