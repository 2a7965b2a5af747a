"""config.pbtxt for the ensemble and its graphs, through Triton's own protobuf."""

from __future__ import annotations

import dataclasses
import enum
import json
from collections.abc import Mapping, Sequence

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as pb

from infmap_kit.errors import SpecError
from infmap_kit.model.tensors import RENDERING, Dtype, Graph, Tensor
from infmap_kit.parts.contract import PLAIN, Contract

VERSION = 1
"""The only version folder of a published repository."""


class Target(enum.StrEnum):
    """What a repository's engines are made for."""

    TENSORRT = "tensorrt"
    ONNXRUNTIME = "onnxruntime"
    OPENVINO = "openvino"
    EMBEDDED = "embedded"


class Precision(enum.StrEnum):
    """What the networks compute in; the small graphs are always computed in FP32."""

    FP32 = "fp32"
    BF16 = "bf16"
    FP16 = "fp16"
    INT8 = "int8"


PRECISIONS: dict[Target, tuple[Precision, ...]] = {
    Target.TENSORRT: (Precision.FP16, Precision.FP32),
    Target.ONNXRUNTIME: (Precision.FP32, Precision.FP16),
    Target.OPENVINO: (Precision.FP32, Precision.BF16),
    Target.EMBEDDED: (Precision.FP32, Precision.BF16, Precision.INT8),
}
"""What each target can compute in; the first is what it does when nothing is said."""


def checked_precision(target: Target, precision: str) -> Precision:
    """A precision that ``target`` has.

    Raises
    ------
    SpecError
        Naming those it has.
    """
    allowed = PRECISIONS[target]
    if precision not in allowed:
        raise SpecError(
            f"expected --precision to be one of {', '.join(allowed)} for target {target}, found {precision!r}"
        )
    return Precision(precision)


# INT8 stands in the graph itself; the hint is for what stayed as it was.
_OPENVINO_PRECISION = {Precision.FP32: "f32", Precision.BF16: "bf16", Precision.INT8: "f32"}
GRAPHS_PARAMETER = "graphs"
_DTYPE = {Dtype.UINT8: pb.TYPE_UINT8, Dtype.FLOAT32: pb.TYPE_FP32}


@dataclasses.dataclass(frozen=True, kw_only=True)
class EmbeddedOptions:
    """How the embedded target runs on a CPU.

    Parameters
    ----------
    precision
        Of the networks; the small graphs are always computed in FP32. ``None`` leaves the choice to the
        export: the fastest that passes the gate.
    threads
        Of networks and rendering; 0 is all cores. Detection has one: it would spend more on
        handing over than on computing.
    instances
        Of the pipeline, side by side, each with threads of its own.
    rest
        What INT8 leaves as it was computes in.
    """

    precision: Precision | None = Precision.FP32
    threads: int = 0
    instances: int = 1
    rest: Precision = Precision.FP32

    def __post_init__(self) -> None:
        if self.precision is not None:
            checked = checked_precision(Target.EMBEDDED, self.precision)
            object.__setattr__(self, "precision", checked)
        if self.threads < 0 or self.instances < 1:
            raise SpecError(
                "expected threads of 0 (all cores) or more and at least one instance, found "
                f"{self.threads} and {self.instances}"
            )


def openvino_precision(precision: Precision) -> str:
    """A precision as OpenVINO's ``INFERENCE_PRECISION_HINT`` spells it."""
    return _OPENVINO_PRECISION[precision]


def embedded_configs(
    options: EmbeddedOptions, identity: Mapping[str, str], contract: Contract = PLAIN
) -> dict[str, pb.ModelConfig]:
    """Config of the one model that does all steps, in Triton's python backend with the OpenVINO runner.

    To whoever asks it is the ensemble: the same name, tensors and identity.

    Parameters
    ----------
    options
        Precision, threads, instances.
    identity
        What it says of its model.
    contract
        What is served.

    Returns
    -------
    dict
        Model name to config.
    """
    precision = options.precision or Precision.FP32
    # No ensemble of Triton's: a step of one is asked for all its outputs, whatever the client wants.
    pipeline = graph_config(contract.ensemble)
    for key, value in sorted(identity.items()):
        pipeline.parameters[key].string_value = value
    pipeline.backend = "python"
    pipeline.instance_group.add(kind=pb.ModelInstanceGroup.KIND_CPU, count=options.instances)
    small = openvino_precision(Precision.FP32)
    hint = openvino_precision(options.rest if precision is Precision.INT8 else precision)
    networks = [
        ServedGraph(
            file=network_file(network.name, precision), precision=hint, threads=options.threads
        )
        for network in contract.networks
    ]
    set_served_graphs(
        pipeline,
        [
            *networks,
            ServedGraph(file=graph_file(contract.detection.name), precision=small, threads=1),
            ServedGraph(file=graph_file(RENDERING.name), precision=small, threads=options.threads),
            *(
                ServedGraph(file=graph_file(one.name), precision=small, threads=options.threads)
                for one in contract.fp32_networks
            ),
        ],
    )
    return {pipeline.name: pipeline}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServedGraph:
    """How the runner compiles one graph.

    Parameters
    ----------
    file
        Beside the runner.
    precision
        As OpenVINO spells it.
    threads
        0 is all cores.
    """

    file: str
    precision: str
    threads: int


def graph_file(name: str) -> str:
    """The file of a graph in the pipeline's version folder."""
    return f"{name}.onnx"


def network_file(name: str, precision: Precision) -> str:
    """The file that the runner compiles: the ONNX graph, or OpenVINO's own format, which has INT8 in it."""
    return f"{name}.xml" if precision is Precision.INT8 else graph_file(name)


def set_served_graphs(config: pb.ModelConfig, graphs: Sequence[ServedGraph]) -> None:
    """Write into the pipeline's config which graphs the runner compiles, and how."""
    listed = json.dumps([dataclasses.asdict(graph) for graph in graphs])
    config.parameters[GRAPHS_PARAMETER].string_value = listed


def served_graphs(config: pb.ModelConfig) -> list[ServedGraph]:
    """Read what :func:`set_served_graphs` wrote.

    Raises
    ------
    SpecError
        When the config names no graphs.
    """
    try:
        listed = json.loads(config.parameters[GRAPHS_PARAMETER].string_value)
        return [ServedGraph(**graph) for graph in listed]
    except (ValueError, TypeError) as error:
        raise SpecError(
            f"the config of {config.name} does not say which graphs it runs: export again"
        ) from error


def ensemble_config(identity: Mapping[str, str], contract: Contract = PLAIN) -> pb.ModelConfig:
    """Config of the ensemble ``infmap``; but for identity and contract the same for every target.

    Rendering stands first: Triton prunes the steps whose outputs nobody asked for, and when all steps that
    read an input of the ensemble itself are pruned, its look-up falls through to step 0, which must
    then be such a step, or another output is lost too (triton server#7482). CANVAS is read by rendering alone;
    IMAGE is read by every network, and whatever is asked for, one of them is needed.
    """
    config = graph_config(contract.ensemble)
    config.platform = "ensemble"
    for key, value in sorted(identity.items()):
        config.parameters[key].string_value = value
    for graph in (RENDERING, *contract.networks, contract.detection, *contract.fp32_networks):
        _add_step(config, graph)
    return config


def _add_step(config: pb.ModelConfig, graph: Graph) -> None:
    step = config.ensemble_scheduling.step.add(model_name=graph.name, model_version=-1)
    for tensor in graph.inputs:
        step.input_map[tensor.name] = tensor.name
    for tensor in graph.outputs:
        step.output_map[tensor.name] = tensor.name


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
    for tensor in graph.inputs:
        config.input.add(
            name=tensor.name, data_type=_DTYPE[tensor.dtype], dims=_dims(tensor, max_batch_size)
        )
    for tensor in graph.outputs:
        config.output.add(
            name=tensor.name, data_type=_DTYPE[tensor.dtype], dims=_dims(tensor, max_batch_size)
        )
    return config


def _dims(tensor: Tensor, max_batch_size: int) -> tuple[int, ...]:
    return tensor.shape if max_batch_size else (-1, *tensor.shape)
