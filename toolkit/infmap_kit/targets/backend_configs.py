"""config.pbtxt for Triton's own backends: TensorRT, ONNX Runtime and OpenVINO, with no Python in the server.

The ensemble and its contract are those of every target. Networks are batched by Triton; detection and
rendering take a batch as it comes, since they cost next to nothing and canvases of different sizes cannot be
joined.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from tritonclient.grpc import model_config_pb2 as pb

from infmap_kit.errors import SpecError
from infmap_kit.model.spec import IMAGE_SIZE
from infmap_kit.model.tensors import CANVAS, CLASSIFIER, IMAGE, RENDERING, Graph
from infmap_kit.parts.contract import PLAIN, Contract
from infmap_kit.triton.config import (
    Precision,
    Target,
    checked_precision,
    ensemble_config,
    graph_config,
)

WARM_UP_FILE = "radiograph"
"""Raw pixels below a model's folder ``warmup``."""

MODEL_FILE = {
    Target.TENSORRT: "model.plan",
    Target.ONNXRUNTIME: "model.onnx",
    Target.OPENVINO: "model.onnx",
}
"""What lies in a version folder."""

DEFAULT_BATCHES = (1, 8, 32)


@dataclasses.dataclass(frozen=True, kw_only=True)
class BackendOptions:
    """How one of Triton's own backends runs the ensemble.

    Parameters
    ----------
    target
        ``tensorrt``, ``onnxruntime`` or ``openvino``.
    precision
        Of the networks; ``None`` takes the target's usual one.
    batches
        Batch sizes that the engine is tuned and warmed up for; the largest is the most that Triton joins.
    instances
        How many copies of a network run side by side.
    gpu
        Whether ONNX Runtime runs on the GPU; TensorRT always does, OpenVINO never.
    keep_fp32
        Nodes of the FP16 segmentation that compute in FP32 all the same.
    accelerator
        Whether ONNX Runtime hands the networks to TensorRT, which then builds its engine
        whenever the server starts: minutes, but it fits whatever GPU there is.
    """

    target: Target
    precision: Precision | None = None
    batches: tuple[int, ...] = DEFAULT_BATCHES
    instances: int = 1
    gpu: bool = True
    accelerator: bool = False
    keep_fp32: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        target = Target(self.target)
        if target is Target.EMBEDDED:
            raise SpecError("expected one of Triton's own backends, found the embedded target")
        object.__setattr__(self, "target", target)
        wanted = self.precision or _usual(target)
        object.__setattr__(self, "precision", checked_precision(target, wanted))
        object.__setattr__(self, "gpu", self.gpu and target is not Target.OPENVINO)
        if (
            not self.batches
            or list(self.batches) != sorted(set(self.batches))
            or self.batches[0] < 1
        ):
            raise SpecError(
                f"expected rising batch sizes of 1 or more, such as 1,8,32, found {self.batches}"
            )
        if self.instances < 1:
            raise SpecError(f"expected 1 instance or more, found {self.instances}")
        if self.keep_fp32 and self.precision is not Precision.FP16:
            raise SpecError(
                f"nodes are kept in FP32 where the others are FP16, and precision is {self.precision}: "
                "give --precision fp16 or no --keep-fp32"
            )
        if self.accelerator and not (target is Target.ONNXRUNTIME and self.gpu):
            raise SpecError(
                "the TensorRT accelerator belongs to target onnxruntime on a GPU: give it there only"
            )


def backend_configs(
    options: BackendOptions, identity: Mapping[str, str], contract: Contract = PLAIN
) -> dict[str, pb.ModelConfig]:
    """Configs of the ensemble and of every model behind it.

    None asks for Triton's response cache, which would keep patients' data in the server's memory.

    Parameters
    ----------
    options
        Backend, precision, batches.
    identity
        What the ensemble says of its model.
    contract
        What is served.

    Returns
    -------
    dict
        Model name to config, the ensemble's included.
    """
    networks = {graph.name: _network(graph, options) for graph in contract.networks}
    unbatched = (contract.detection, RENDERING, *contract.fp32_networks)
    small = {graph.name: graph_config(graph) for graph in unbatched}
    for config in (*networks.values(), *small.values()):
        config.backend = str(options.target)
        config.default_model_filename = MODEL_FILE[options.target]
        kind = pb.ModelInstanceGroup.KIND_GPU if options.gpu else pb.ModelInstanceGroup.KIND_CPU
        group = config.instance_group.add(kind=kind, count=1)
        if config.name in networks:
            group.count = options.instances
        if options.target is Target.TENSORRT:
            group.profile.extend(str(index) for index in range(profile_count(config.name, options)))
        if options.target is Target.OPENVINO:
            _openvino(config, options, network=config.name in networks)
    for graph in unbatched:
        for batch in options.batches:
            shapes = {tensor.name: (batch, *_PICTURE) for tensor in graph.inputs}
            _warm_up(small[graph.name], f"batch-{batch}", shapes)
    ensemble = ensemble_config(identity, contract)
    return {ensemble.name: ensemble, **networks, **small}


def profile_count(graph: str, options: BackendOptions) -> int:
    """How many optimisation profiles a graph's engine has (see ``export.profiles``)."""
    small = {PLAIN.detection.name: 1, RENDERING.name: 2, CLASSIFIER.name: 1}
    return small.get(graph, len(options.batches))


_PICTURE = (IMAGE_SIZE, IMAGE_SIZE)


def _usual(target: Target) -> Precision:
    return Precision.FP16 if target is Target.TENSORRT else Precision.FP32


def _network(graph: Graph, options: BackendOptions) -> pb.ModelConfig:
    config = graph_config(graph, max_batch_size=options.batches[-1])
    # What waits already is joined, and nothing waits to be joined: one radiograph's latency comes first.
    config.dynamic_batching.max_queue_delay_microseconds = 0
    for batch in options.batches:
        _warm_up(config, f"batch-{batch}", {IMAGE.name: _PICTURE}, batch=batch)
    if options.target is Target.TENSORRT:
        # There is a profile, and a CUDA graph, for each of these sizes.
        config.dynamic_batching.preferred_batch_size.extend(b for b in options.batches if b > 1)
        # Hundreds of short kernels, always of the same shape: here, and here alone, a graph of them
        # saves what launching each would cost.
        config.optimization.cuda.graphs = True
        config.optimization.cuda.busy_wait_events = True
        for batch in options.batches:
            spec = config.optimization.cuda.graph_spec.add(batch_size=batch)
            spec.input[IMAGE.name].dim.extend(_PICTURE)
    if options.accelerator:
        _accelerate(config, options)
    return config


def _accelerate(config: pb.ModelConfig, options: BackendOptions) -> None:
    accelerator = config.optimization.execution_accelerators.gpu_execution_accelerator.add(
        name="tensorrt"
    )
    # One range for all batches, or TensorRT builds anew at each size it has not seen. No precision is
    # asked for: the graph's own types say it.
    for key, batch in (
        ("trt_profile_min_shapes", 1),
        ("trt_profile_opt_shapes", options.batches[0]),
        ("trt_profile_max_shapes", options.batches[-1]),
    ):
        accelerator.parameters[key] = f"{IMAGE.name}:{batch}x{IMAGE_SIZE}x{IMAGE_SIZE}"


def _openvino(config: pb.ModelConfig, options: BackendOptions, *, network: bool) -> None:
    parameters = {"PERFORMANCE_HINT": "LATENCY"}
    if options.precision is Precision.BF16 and network:
        parameters["HINT_BF16"] = "YES"
    for key, value in parameters.items():
        config.parameters[key].string_value = value


def _warm_up(
    config: pb.ModelConfig, name: str, shapes: Mapping[str, tuple[int, ...]], *, batch: int = 1
) -> None:
    """Let a model answer once before it is said to be ready; pixels come from a radiograph.

    Triton reads as many bytes of the file as the shape needs, so one file serves every batch.
    """
    warm_up = config.model_warmup.add(name=name, batch_size=batch)
    for tensor, shape in shapes.items():
        sample = warm_up.inputs[tensor]
        sample.dims.extend(shape)
        if tensor in (IMAGE.name, CANVAS.name):
            sample.data_type = pb.TYPE_UINT8
            sample.input_data_file = WARM_UP_FILE
        else:
            sample.data_type = pb.TYPE_FP32
            sample.zero_data = True
