"""Triton's own backends: plans, or graphs that Triton loads, with no Python in the server."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx

from infmap_kit.gate.engines import (
    Engine,
    OnnxRuntimeEngine,
    OpenvinoEngine,
    require_cpu_precision,
)
from infmap_kit.gate.runners import EngineRunner
from infmap_kit.graphs.fp16 import fp16_graph
from infmap_kit.graphs.fp16_emulation import emulated_fp16
from infmap_kit.imaging.network_input import network_input
from infmap_kit.imaging.synthetic.drawing import synthetic_radiograph
from infmap_kit.model.contract import (
    LUNG_SEGMENTATION,
    PLAIN,
    RENDERING,
    SEGMENTATION,
    Contract,
    Graph,
)
from infmap_kit.model.files import write_bytes
from infmap_kit.progress import Progress
from infmap_kit.release.publish import (
    Build,
    graphs_of,
    write_ensemble,
    write_graphs,
    write_model,
)
from infmap_kit.release.source import Source
from infmap_kit.targets.backend_configs import (
    MODEL_FILE,
    WARM_UP_FILE,
    BackendOptions,
    backend_configs,
)
from infmap_kit.targets.opened import OpenedModel
from infmap_kit.tensorrt.builder import BuildOptions, engine_from_onnx
from infmap_kit.tensorrt.gpus import image_for
from infmap_kit.tensorrt.library import require_tensorrt
from infmap_kit.tensorrt.plan import PlanEngine
from infmap_kit.tensorrt.present_gpu import present_gpu
from infmap_kit.tensorrt.profiles import profiles_of
from infmap_kit.triton.config import Precision, Target, openvino_precision, parse_config
from infmap_kit.triton.releases import Draft
from infmap_kit.triton.repository import Manifest, served_contract, version_folder


def build_backend(
    options: BackendOptions, source: Source, draft: Draft, progress: Progress
) -> Build:
    """Write plans or graphs, and what they warm up on.

    Parameters
    ----------
    options
        Backend, precision, batches, nodes to keep in FP32.
    source
        The networks.
    draft
        Where to write.
    progress
        Told TensorRT's phases, with steps done and their number.

    Raises
    ------
    HostMismatch
        When plans are wanted and there is no GPU or no TensorRT, or no Triton image loads them.
    """
    trt = require_tensorrt() if options.target is Target.TENSORRT else None
    model: dict[str, Any] = {
        "backend": {"gpu": options.gpu, "batches": list(options.batches)},
    }
    served = source
    on_gpu: dict[str, onnx.ModelProto] = {}
    box: dict[str, str] = {}
    if options.precision is Precision.FP16:
        served, on_gpu, model["fp16"] = _halved(source, options)
    if trt is None:
        write_graphs(draft, served, MODEL_FILE[options.target])
    else:
        model["layers"], box = _write_plans(trt, draft, served, options, progress)
        write_ensemble(draft)
    write_warm_up(draft.folder, options, source.contract)
    return Build(
        target=options.target,
        precision=options.precision or Precision.FP32,
        runner=_runner(trt, draft, served, options, on_gpu),
        configs=functools.partial(backend_configs, options, contract=source.contract),
        model=model,
        built_with=box,
    )


def _halved(
    source: Source, options: BackendOptions
) -> tuple[Source, dict[str, onnx.ModelProto], dict[str, Any]]:
    """The source in FP16, what a GPU computes of each network, and what there is to say of it.

    Nodes to keep in FP32 are the infection's: whatever breaks the lungs' network is exported in FP32.
    """
    halved, on_gpu = {}, {}
    for name, graph in source.networks.items():
        keep = options.keep_fp32 if name == SEGMENTATION.name else ()
        halved[name] = fp16_graph(graph, keep_fp32=keep)
        if options.gpu:
            on_gpu[name] = emulated_fp16(graph, halved[name])
    told: dict[str, Any] = halved[SEGMENTATION.name].record()
    if LUNG_SEGMENTATION.name in halved:
        told["lungs"] = halved[LUNG_SEGMENTATION.name].record()
    return source.with_networks({n: one.model for n, one in halved.items()}), on_gpu, told


def write_warm_up(folder: Path, options: BackendOptions, contract: Contract = PLAIN) -> None:
    """Write the radiograph that each model warms up on, as often as the largest batch needs it.

    It is a synthetic one: no patient's picture belongs into a model repository.
    """
    picture = network_input(synthetic_radiograph(0, height=512, width=512).radiograph.pixels)
    networks = [(network.name, 1) for network in contract.networks]
    unbatched = [(graph.name, options.batches[-1]) for graph in (RENDERING, *contract.opinions)]
    for name, count in (*networks, *unbatched):
        warm_up = folder / name / "warmup"
        warm_up.mkdir(parents=True)
        (warm_up / WARM_UP_FILE).write_bytes(picture.tobytes() * count)


def _runner(
    trt: Any,
    draft: Draft,
    served: Source,
    options: BackendOptions,
    on_gpu: Mapping[str, onnx.ModelProto],
) -> EngineRunner:
    """What is compared with the reference: the very plans, or the graphs on the same library as Triton's.

    ``on_gpu`` is what a GPU computes of FP16 graphs, since ONNX Runtime on a CPU would not round.

    Plans of the two small graphs are not run here but in the server (`infmap-kit verify --url`): they change
    type and shape, which the one-tensor runner of plans does not do.
    """
    graphs = graphs_of(served)
    paths = {
        name: version_folder(draft.folder, name, draft.release) / MODEL_FILE[options.target]
        for name in graphs
    }

    def engine(name: str) -> Engine:
        path, network = paths[name], name in served.networks
        if trt is not None and network:
            return PlanEngine(trt, path.read_bytes())
        if trt is not None:
            return OnnxRuntimeEngine(graphs[name].SerializeToString())
        if options.target is Target.OPENVINO:
            precision = (options.precision or Precision.FP32) if network else Precision.FP32
            require_cpu_precision(precision)
            return OpenvinoEngine(path, precision=openvino_precision(precision))
        emulated = on_gpu.get(name)
        content = emulated.SerializeToString() if emulated is not None else path.read_bytes()
        return OnnxRuntimeEngine(content)

    return EngineRunner({name: engine(name) for name in graphs}, served.contract)


def open_backend(repository: Path, manifest: Manifest) -> OpenedModel:
    """The graphs of a published repository, in this process on the library that Triton's backend has.

    Raises
    ------
    HostMismatch
        For plans where there is no GPU that loads them.
    """
    target, contract = Target(manifest.target), served_contract(manifest)
    trt = require_tensorrt() if target is Target.TENSORRT else None

    def engine(graph: Graph) -> Engine:
        path = version_folder(repository, graph.name, manifest.release) / MODEL_FILE[target]
        if trt is not None:
            return PlanEngine(trt, path.read_bytes())
        if target is Target.OPENVINO:
            text = (repository / graph.name / "config.pbtxt").read_text(encoding="utf-8")
            half = parse_config(text).parameters["HINT_BF16"].string_value == "YES"
            return OpenvinoEngine(path, precision="bf16" if half else "f32")
        return OnnxRuntimeEngine(path.read_bytes())

    return OpenedModel(
        contract=contract, engines={graph.name: engine(graph) for graph in contract.graphs}
    )


def _write_plans(
    trt: Any, draft: Draft, source: Source, options: BackendOptions, progress: Progress
) -> tuple[dict[str, Any], dict[str, str]]:
    """Build the plans; what their layers compute in, and what box they are for."""
    box = {
        "tensorrt": str(trt.__version__),
        "compute_capability": present_gpu().capability,
        "image": image_for(str(trt.__version__)).reference,
    }
    cache = _cache_file(box)
    timing = cache.read_bytes() if cache.is_file() else b""
    layers: dict[str, Any] = {}
    for name, graph in graphs_of(source).items():
        engine = engine_from_onnx(
            trt,
            graph,
            BuildOptions(
                profiles=profiles_of(name, options.batches, source.contract), timing_cache=timing
            ),
            progress=functools.partial(_of_graph, progress, name),
        )
        if name in source.networks and options.precision is Precision.FP16:
            engine.layers.require_fp16(name)
        timing = engine.timing_cache or timing
        layers[name] = {
            "counts": engine.layers.counts,
            "fp16_share": engine.layers.fp16_share,
            "inspected": engine.layers.inspected,
        }
        write_model(draft, name, MODEL_FILE[options.target], engine.plan)
    if timing:
        write_bytes(cache, timing)
    return layers, box


def _of_graph(progress: Progress, graph: str, phase: str, done: int, total: int) -> None:
    progress(f"{graph}: {phase}", done, total)


def _cache_file(box: dict[str, str]) -> Path:
    """What was timed on this kind of GPU with this TensorRT, kept for the next export."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return home / "infmap-kit" / f"timing-{box['tensorrt']}-{box['compute_capability']}.cache"
