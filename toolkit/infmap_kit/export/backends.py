"""Publishing for Triton's own backends: plans, or graphs that Triton loads, with no Python in the server."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infmap_kit.export.engine import EmbeddedEngine, Engine, ReferenceEngine, require_cpu_precision
from infmap_kit.export.fp16 import fp16_graph
from infmap_kit.export.gate import Equivalence, compare
from infmap_kit.export.host import require_tensorrt
from infmap_kit.export.plan import PlanEngine
from infmap_kit.export.profiles import profiles_of
from infmap_kit.export.publish import graphs_of, serving_identity, write_ensemble, write_model
from infmap_kit.export.source import Source
from infmap_kit.export.tensorrt import BuildOptions, engine_from_onnx
from infmap_kit.graphs.contract import RENDERING, SEGMENTATION
from infmap_kit.imaging.network_input import network_input
from infmap_kit.imaging.synthetic import synthetic_radiograph
from infmap_kit.progress import Progress, no_progress
from infmap_kit.spec import write_bytes
from infmap_kit.triton.backends import MODEL_FILE, WARM_UP_FILE, BackendOptions, backend_configs
from infmap_kit.triton.boxes import image_for
from infmap_kit.triton.config import VERSION, Precision, Target, config_text, openvino_precision
from infmap_kit.triton.gpu import present_gpu
from infmap_kit.triton.repository import Manifest, publishing, versions, write_manifest


def export_backend(
    source: Source,
    repository: Path,
    options: BackendOptions,
    *,
    pictures: list[tuple[str, NDArray[np.uint8]]],
    report: Callable[[str], None] = lambda _: None,
    progress: Progress = no_progress,
) -> tuple[Manifest, Equivalence]:
    """Publish a network for one of Triton's own backends, once it is proved to decide as its reference.

    Parameters
    ----------
    source
        The network.
    repository
        Where to publish; what was there is replaced in one step, or stays.
    options
        Backend, precision, batches.
    pictures
        Name and (224, 224) uint8 network input of what is compared.
    report
        Told each step in a few words.
    progress
        Told TensorRT's phases, with steps done and their number.

    Returns
    -------
    tuple
        What was published, and how close it is to its reference.

    Raises
    ------
    GateFailed
        When it decides otherwise; the repository is as it was.
    HostMismatch
        When plans are wanted and there is no GPU or no TensorRT, or no Triton image loads them.
    """
    trt = require_tensorrt() if options.target is Target.TENSORRT else None
    model: dict[str, Any] = {
        **source.identity,
        "backend": {"gpu": options.gpu, "batches": list(options.batches)},
    }
    built_with = versions("onnx", "onnxruntime", "numpy", "openvino")
    halved = fp16_graph(source.segmentation) if options.precision is Precision.FP16 else None
    served = source if halved is None else dataclasses.replace(source, segmentation=halved.model)
    if halved is not None:
        model["fp16"] = halved.record()
    with publishing(repository) as folder:
        report("writing models and configs")
        if trt is None:
            for name, graph in graphs_of(served).items():
                content = graph.SerializeToString(deterministic=True)
                write_model(folder, name, MODEL_FILE[options.target], content)
        else:
            model["layers"], box = _write_plans(trt, folder, served, options, progress)
            built_with |= box
        write_ensemble(folder)
        write_warm_up(folder, options)
        report(f"comparing with the reference over {len(pictures)} pictures")
        reference = ReferenceEngine(source.segmentation.SerializeToString())
        equivalence = compare(reference, _engine(trt, folder, served, options), pictures)
        equivalence.require()
        identity = serving_identity(
            source, target=options.target, precision=options.precision or Precision.FP32
        )
        for name, config in backend_configs(options, identity).items():
            (folder / name / "config.pbtxt").write_text(config_text(config), encoding="utf-8")
        report("publishing")
        manifest = write_manifest(
            folder,
            target=options.target,
            precision=options.precision or Precision.FP32,
            model=model,
            built_with=built_with,
        )
    return manifest, equivalence


def write_warm_up(folder: Path, options: BackendOptions) -> None:
    """Write the radiograph that each model warms up on, as often as the largest batch needs it.

    It is a synthetic one: no patient's picture belongs into a model repository.
    """
    picture = network_input(synthetic_radiograph(0, height=512, width=512).radiograph.pixels)
    for name, count in ((SEGMENTATION.name, 1), (RENDERING.name, options.batches[-1])):
        warm_up = folder / name / "warmup"
        warm_up.mkdir(parents=True)
        (warm_up / WARM_UP_FILE).write_bytes(picture.tobytes() * count)


def _engine(trt: Any, folder: Path, served: Source, options: BackendOptions) -> Engine:
    """What is compared with the reference: the very plan, or the graph on the same library as Triton's."""
    path = folder / SEGMENTATION.name / str(VERSION) / MODEL_FILE[options.target]
    if trt is not None:
        return PlanEngine(trt, path.read_bytes())
    if options.target is Target.OPENVINO:
        require_cpu_precision(options.precision or Precision.FP32)
        return EmbeddedEngine(
            path, precision=openvino_precision(options.precision or Precision.FP32)
        )
    return ReferenceEngine(served.segmentation.SerializeToString())


def _write_plans(
    trt: Any, folder: Path, source: Source, options: BackendOptions, progress: Progress
) -> tuple[dict[str, Any], dict[str, str]]:
    """Build the three plans; what their layers compute in, and what box they are for."""
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
            BuildOptions(profiles=profiles_of(name, options.batches), timing_cache=timing),
            progress=functools.partial(_of_graph, progress, name),
        )
        if name == SEGMENTATION.name and options.precision is Precision.FP16:
            engine.layers.require_fp16(name)
        timing = engine.timing_cache or timing
        layers[name] = {
            "counts": engine.layers.counts,
            "fp16_share": engine.layers.fp16_share,
            "inspected": engine.layers.inspected,
        }
        write_model(folder, name, MODEL_FILE[options.target], engine.plan)
    if timing:
        write_bytes(cache, timing)
    return layers, box


def _of_graph(progress: Progress, graph: str, phase: str, done: int, total: int) -> None:
    progress(f"{graph}: {phase}", done, total)


def _cache_file(box: dict[str, str]) -> Path:
    """What was timed on this kind of GPU with this TensorRT, kept for the next export."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return home / "infmap-kit" / f"timing-{box['tensorrt']}-{box['compute_capability']}.cache"
