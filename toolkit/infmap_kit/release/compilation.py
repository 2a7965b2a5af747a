"""The compile gate: whether TensorRT would take graphs on a GPU host, found on a machine without one.

NVIDIA's tensorrt-rtx has the parser and the builder of TensorRT and needs no GPU to build. What it builds
cannot be run here, and Triton does not load it: only the answer is used.
"""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx

from infmap_kit.errors import ExportError, GateFailed
from infmap_kit.gate.engines import OnnxRuntimeEngine
from infmap_kit.gate.pictures import radiographs_in, synthetic_pictures
from infmap_kit.gate.runners import CachingRunner, ReferenceRunner
from infmap_kit.graphs.precision.fp16 import fp16_graph
from infmap_kit.graphs.precision.qdq import QdqGraph
from infmap_kit.graphs.preparation import read_graph
from infmap_kit.model.precision import Precision
from infmap_kit.parts.contract import Contract
from infmap_kit.parts.registry import INFECTION
from infmap_kit.progress import Progress, no_progress
from infmap_kit.release.publish import graphs_of
from infmap_kit.release.source import read_source, with_parts
from infmap_kit.report.table import Table
from infmap_kit.targets.lowered import quantised_networks
from infmap_kit.targets.registry import find
from infmap_kit.targets.target import Proof
from infmap_kit.targets.tensorrt import TensorrtOptions
from infmap_kit.tensorrt.builder import BuildOptions, engine_from_onnx
from infmap_kit.tensorrt.gpus import Gpu, gpu
from infmap_kit.tensorrt.library import require_compiler
from infmap_kit.tensorrt.profiles import profiles_of
from infmap_kit.tensorrt.refusal import GraphRefused, Refusal
from infmap_kit.triton.repository import MANIFEST, check_repository, served_contract

DEFAULT_GPUS = ("sm75", "sm86")


@dataclasses.dataclass(frozen=True, kw_only=True)
class GateOptions:
    """Options of the compilation of graphs.

    Parameters
    ----------
    gpus
        Short names, generations or compute capabilities.
    precision
        Precision of the networks: fp16, fp32 or int8.
    batches
        Batch sizes that the profiles cover.
    calibration_images
        Folder of the radiographs that INT8 takes its ranges from, and that show what has to stay in FP32;
        ``None`` takes synthetic ones.
    """

    gpus: tuple[str, ...] = DEFAULT_GPUS
    precision: Precision | str = Precision.FP16
    batches: tuple[int, ...] = (1, 8, 32)
    calibration_images: Path | None = None

    def __post_init__(self) -> None:
        allowed = TensorrtOptions.precisions
        if self.precision not in allowed:
            raise ExportError(
                f"expected a precision of {', '.join(allowed)}, found {self.precision!r}"
            )
        object.__setattr__(self, "precision", Precision(self.precision))
        if self.calibration_images and self.precision is not Precision.INT8:
            raise ExportError(
                f"int8 is calibrated, and precision is {self.precision}: give --precision int8, or no "
                "--calibration-images"
            )
        if not self.gpus:
            raise ExportError("expected at least one GPU")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Compilation:
    """The result of compiling one graph for one GPU generation.

    Parameters
    ----------
    graph, gpu, generation
        The names of the graph and of the GPU, and its generation.
    seconds, plan_bytes
        Duration, and size of the plan; 0 when none came out.
    fp16_share, int8_share
        Share of the convolutions and matrix products that are FP16, and INT8; ``None`` when there are none.
    kept
        Convolutions that stay in FP32 where the others are INT8.
    refusals
        Nodes that the parser does not take.
    error
        Any other error, in one line.
    """

    graph: str
    gpu: str
    generation: str
    seconds: float = 0.0
    plan_bytes: int = 0
    fp16_share: float | None = None
    int8_share: float | None = None
    kept: tuple[str, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    error: str = ""

    @property
    def passed(self) -> bool:
        """Whether an engine came out that computes in what was asked for."""
        return not self.refusals and not self.error


def graphs_at(
    path: Path, parts: Mapping[str, Path | None] | None = None
) -> dict[str, onnx.ModelProto]:
    """The graphs of a run folder, a model file or a published repository, by name.

    Parameters
    ----------
    path
        The folder or file.
    parts
        Run folders of the networks beside a run, by the parts' names; a repository has its own.

    Raises
    ------
    ExportError
        When the repository holds no graphs but engines.
    """
    if not (path / MANIFEST).is_file():
        return graphs_of(with_parts(read_source(path), parts))
    for name, run in (parts or {}).items():
        if run is not None:
            raise ExportError(f"{path} has its own {name}, if any: leave --{name} out")
    manifest = check_repository(path)
    names = [graph.name for graph in served_contract(manifest).graphs]
    files = find(manifest.target).files(path, manifest.release, names)
    if not all(file.suffix == ".onnx" and file.is_file() for file in files.values()):
        raise ExportError(
            f"{path} holds engines and no graphs: name the run folder that it was exported from"
        )
    return {name: read_graph(file) for name, file in files.items()}


def compile_graphs(
    graphs: dict[str, onnx.ModelProto], options: GateOptions, *, progress: Progress = no_progress
) -> tuple[Compilation, ...]:
    """Compile each graph for each GPU generation.

    Parameters
    ----------
    graphs
        Graphs of a contract by name, all or some of them.
    options
        GPUs, precision and batches.
    progress
        Called with what is compiled, steps done and their number.

    Raises
    ------
    MissingDependency
        When NVIDIA's compiler is not installed.
    HostMismatch
        For a GPU that it does not build for.
    """
    trt = require_compiler()
    contract = Contract.of_graphs(graphs)
    gpus = [gpu(name) for name in options.gpus]
    quantised: Mapping[str, QdqGraph] = {}
    if options.precision is Precision.INT8:
        images = options.calibration_images
        quantised = quantised_networks(graphs, _own_proof(graphs, images), images, progress)
    results = []
    for name, graph in graphs.items():
        eight = quantised.get(name)
        fp16 = options.precision is Precision.FP16 and contract.is_network(name)
        try:
            compiled = fp16_graph(graph).model if fp16 else eight.model if eight else graph
        except ExportError as error:
            results += [_failed(name, target, error=str(error)) for target in gpus]
            continue
        for target in gpus:
            steps = functools.partial(progress, f"{name} for {target.name}")
            built = BuildOptions(
                profiles=profiles_of(name, options.batches, contract),
                compute_capabilities=(target.generation,),
            )
            results.append(
                _compile(trt, name, compiled, target, built, fp16=fp16, eight=eight, progress=steps)
            )
    return tuple(results)


def as_json(results: tuple[Compilation, ...]) -> list[dict[str, Any]]:
    """Return everything of each compilation, for ``--json``."""
    return [{**dataclasses.asdict(result), "passed": result.passed} for result in results]


def require_passed(results: tuple[Compilation, ...]) -> None:
    """Refuse graphs that would fail on a host.

    Raises
    ------
    GateFailed
        With the first reason, by node and operator.
    """
    if failed := [result for result in results if not result.passed]:
        first = failed[0]
        reason = str(first.refusals[0]) if first.refusals else first.error
        raise GateFailed(
            f"{len(failed)} of {len(results)} compilations fail, first {first.graph} for {first.gpu}: {reason}"
        )


def _own_proof(graphs: Mapping[str, onnx.ModelProto], images: Path | None) -> Proof:
    """The graphs' own networks in FP32 as the reference, and the pictures at hand."""

    def engine(name: str) -> OnnxRuntimeEngine:
        return OnnxRuntimeEngine(graphs[name].SerializeToString())

    reference = ReferenceRunner(
        engine(INFECTION.graph.name),
        parts={part.name: engine(part.graph.name) for part in Contract.of(graphs).optional},
    )
    real = radiographs_in(images) if images is not None else []
    return Proof(reference=CachingRunner(reference), pictures=[*real, *synthetic_pictures()])


def _compile(
    trt: Any,
    name: str,
    graph: onnx.ModelProto,
    target: Gpu,
    options: BuildOptions,
    *,
    fp16: bool,
    eight: QdqGraph | None,
    progress: Callable[[int, int], None],
) -> Compilation:
    started = time.monotonic()
    try:
        engine = engine_from_onnx(trt, graph, options, progress=lambda _, *steps: progress(*steps))
        if fp16:
            engine.layers.require_fp16(name)
        if eight is not None:
            engine.layers.require_int8(name, kept_fp32=eight.kept_products)
    except GraphRefused as error:
        return _failed(name, target, refusals=error.refusals)
    except ExportError as error:
        return _failed(name, target, error=str(error))
    return Compilation(
        graph=name,
        gpu=target.name,
        generation=target.generation,
        seconds=round(time.monotonic() - started, 2),
        plan_bytes=len(engine.plan),
        fp16_share=engine.layers.fp16_share,
        int8_share=engine.layers.int8_share,
        kept=eight.kept if eight is not None else (),
    )


def _failed(name: str, target: Gpu, **reason: Any) -> Compilation:
    return Compilation(graph=name, gpu=target.name, generation=target.generation, **reason)


def compilations_table(results: Sequence[Compilation]) -> Table:
    """A table with a row for each graph and GPU."""
    rows = [
        (
            result.graph,
            f"{result.gpu} ({result.generation})",
            "yes" if result.passed else "no",
            *("-" if s is None else f"{s:.0%}" for s in (result.fp16_share, result.int8_share)),
            f"{result.plan_bytes / 1e6:.1f}" if result.plan_bytes else "-",
            f"{result.seconds:.1f}",
        )
        for result in results
    ]
    return Table(
        "", ("graph", "GPU", "compiles", "FP16 layers", "INT8 layers", "engine MB", "s"), rows
    )
