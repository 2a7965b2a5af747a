"""config.pbtxt for Triton's own backends: TensorRT, ONNX Runtime and OpenVINO, with no Python in the server.

The ensemble and its contract are those of every target. Networks are batched by Triton where their backend
allows it; detection and rendering take a batch as it comes, since they cost next to nothing and canvases of
different sizes cannot be joined.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tritonclient.grpc import model_config_pb2 as pb

from infmap_kit.imaging.network_input import network_input
from infmap_kit.imaging.synthetic.drawing import synthetic_radiograph
from infmap_kit.model.tensors import CANVAS, IMAGE, Graph
from infmap_kit.parts.contract import PLAIN, Contract
from infmap_kit.triton.config import ensemble_config, graph_config

if TYPE_CHECKING:
    from infmap_kit.targets.backends import BackendOptions, BackendTarget

WARM_UP_FILE = "radiograph"
"""Raw pixels below a model's folder ``warmup``."""


def backend_configs(
    target: BackendTarget,
    options: BackendOptions,
    identity: Mapping[str, str],
    contract: Contract = PLAIN,
) -> dict[str, pb.ModelConfig]:
    """Configs of the ensemble and of every model behind it.

    None asks for Triton's response cache, which would hold patients' data in the server's memory.

    Parameters
    ----------
    target
        The target with the backend.
    options
        Precision, batches and instances.
    identity
        The identity of the model, as parameters of the ensemble.
    contract
        The contract of the model.

    Returns
    -------
    dict
        Model name to config, the ensemble's included.
    """
    joined = contract.networks if target.joins_requests else ()
    picture = (contract.image_size, contract.image_size)
    networks = {graph.name: _network(graph, options, picture) for graph in joined}
    unbatched = tuple(graph for graph in contract.graphs if graph not in joined)
    others = {graph.name: graph_config(graph) for graph in unbatched}
    lowered = {graph.name for graph in contract.networks}
    for config in (*networks.values(), *others.values()):
        config.backend = target.backend
        config.default_model_filename = target.model_file
        kind = pb.ModelInstanceGroup.KIND_GPU if options.gpu else pb.ModelInstanceGroup.KIND_CPU
        count = options.instances if config.name in lowered else 1
        config.instance_group.add(kind=kind, count=count)
        target.config(config, options, contract)
    for graph in unbatched:
        for batch in options.batches:
            shapes = {tensor.name: (batch, *picture) for tensor in graph.inputs}
            _warm_up(others[graph.name], f"batch-{batch}", shapes)
    ensemble, configs = ensemble_config(identity, contract), {**networks, **others}
    return {
        ensemble.name: ensemble,
        **{graph.name: configs[graph.name] for graph in contract.graphs},
    }


def write_warm_up(
    folder: Path, target: BackendTarget, options: BackendOptions, contract: Contract = PLAIN
) -> None:
    """Write the radiograph that each model warms up on, as often as the largest batch needs it.

    It is synthetic: no patient's picture belongs into a model repository.
    """
    radiograph = synthetic_radiograph(0, height=512, width=512).radiograph
    picture = network_input(radiograph.pixels, contract.image_size)
    joined = contract.networks if target.joins_requests else ()
    for graph in (*contract.networks, contract.rendering, *contract.fp32_networks):
        warm_up = folder / graph.name / "warmup"
        warm_up.mkdir(parents=True)
        count = 1 if graph in joined else options.batches[-1]
        (warm_up / WARM_UP_FILE).write_bytes(picture.tobytes() * count)


def _network(graph: Graph, options: BackendOptions, picture: tuple[int, int]) -> pb.ModelConfig:
    config = graph_config(graph, max_batch_size=options.batches[-1])
    # Requests that wait already are joined, and none waits to be joined: latency comes first.
    config.dynamic_batching.max_queue_delay_microseconds = 0
    for batch in options.batches:
        _warm_up(config, f"batch-{batch}", {IMAGE.name: picture}, batch=batch)
    return config


def _warm_up(
    config: pb.ModelConfig, name: str, shapes: Mapping[str, tuple[int, ...]], *, batch: int = 1
) -> None:
    """Let a model answer once before it counts as ready; pixels come from a radiograph.

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
