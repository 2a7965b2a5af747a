"""Engines on this machine: the same graph on ONNX Runtime (the reference) and on OpenVINO."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from infmap_kit.errors import HostMismatch, MissingDependency, SpecError
from infmap_kit.model.contract import (
    CANVAS,
    CLASSIFIER,
    DETECTED,
    ENSEMBLE,
    INFECTION_MAP,
    LUNG_SEGMENTATION,
    RAW_LUNG_PROBABILITY,
    RAW_PROBABILITY,
    RENDERING,
    SEGMENTATION,
    SEVERITY,
    Contract,
    Graph,
)
from infmap_kit.triton.config import graph_file, parse_config, served_graphs
from infmap_kit.triton.repository import Manifest, version_folder


class Engine(Protocol):
    """Something that segments pictures."""

    def infer(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(N, 224, 224) uint8 to (N, 224, 224) float32 probabilities."""
        ...


class GraphEngine(Protocol):
    """Something that computes any graph."""

    def run(
        self, inputs: Mapping[str, NDArray[Any]], outputs: Sequence[str]
    ) -> dict[str, NDArray[Any]]:
        """Compute some outputs by name."""
        ...


class OnnxRuntimeGraph:
    """Any graph in ONNX Runtime on the CPU."""

    def __init__(self, graph: bytes) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise MissingDependency(
                "ONNX Runtime is the reference and is not installed: pip install 'infmap-kit[export]'"
            ) from error
        options = onnxruntime.SessionOptions()
        # What is recorded of it is compared bit by bit.
        options.use_deterministic_compute = True
        self._session = onnxruntime.InferenceSession(
            graph, options, providers=["CPUExecutionProvider"]
        )

    def run(
        self, inputs: Mapping[str, NDArray[Any]], outputs: Sequence[str]
    ) -> dict[str, NDArray[Any]]:
        """Compute some outputs by name."""
        return dict(zip(outputs, self._session.run(list(outputs), dict(inputs)), strict=True))


class EmbeddedGraph:
    """Any graph just as Triton's runner compiles it for a CPU."""

    def __init__(self, path: Path, *, precision: str = "f32", threads: int = 0) -> None:
        try:
            from infmap_kit.triton.python_model import Graph
        except ImportError as error:
            raise MissingDependency(
                "the embedded target runs on OpenVINO, which is not installed: "
                "pip install 'infmap-kit[embedded]'"
            ) from error
        self._graph = Graph(path, precision=precision, threads=threads)

    def run(
        self, inputs: Mapping[str, NDArray[Any]], outputs: Sequence[str]
    ) -> dict[str, NDArray[Any]]:
        """Compute some outputs by name."""
        found = self._graph.infer(dict(inputs))
        # Copied, since the next request writes to the engine's own memory.
        return {name: np.array(found[name]) for name in outputs}

    @property
    def compiled(self) -> Any:
        """OpenVINO's compiled model for one usual picture."""
        return self._graph.compiled


class ReferenceEngine:
    """A network in FP32 on ONNX Runtime: what every other engine is compared with."""

    def __init__(self, graph: bytes, *, network: Graph = SEGMENTATION) -> None:
        self._graph, self._network = OnnxRuntimeGraph(graph), network

    def infer(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(N, 224, 224) uint8 to (N, 224, 224) float32 probabilities."""
        return _segment(self._graph, self._network, images)


class EmbeddedEngine:
    """A network just as Triton's runner compiles it."""

    def __init__(
        self,
        path: Path,
        *,
        precision: str,
        threads: int = 0,
        network: Graph = SEGMENTATION,
    ) -> None:
        self._graph = EmbeddedGraph(path, precision=precision, threads=threads)
        self._network = network

    def infer(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(N, 224, 224) uint8 to (N, 224, 224) float32 probabilities."""
        return _segment(self._graph, self._network, images)

    def precisions(self) -> dict[str, int]:
        """How many layers of the compiled graph run in which type, as OpenVINO reports it."""
        counts: dict[str, int] = {}
        for node in self._graph.compiled.get_runtime_model().get_ordered_ops():
            info = node.get_rt_info()
            kind: Any = info["layerType"].astype(str) if "layerType" in info else ""
            if "Convolution" in str(kind):
                precision = info["runtimePrecision"].astype(str)
                counts[precision] = counts.get(precision, 0) + 1
        return counts


class ServedGraphs:
    """The graphs of a published repository, compiled in this process as its server compiles them.

    Parameters
    ----------
    repository
        Published for the embedded target.

    Raises
    ------
    SpecError
        When its config lacks a graph.
    """

    def __init__(self, repository: Path) -> None:
        folder = version_folder(repository, ENSEMBLE.name, Manifest.read(repository).release)
        config = parse_config((repository / ENSEMBLE.name / "config.pbtxt").read_text("utf-8"))
        listed = {graph.file.partition(".")[0]: graph for graph in served_graphs(config)}
        self.contract = Contract.of(listed)
        lacking = [graph.name for graph in self.contract.graphs if graph.name not in listed]
        if lacking:
            raise SpecError(f"{repository} has no graph for {lacking[0]!r}: export again")
        engines = {
            network.name: EmbeddedEngine(
                folder / listed[network.name].file,
                precision=listed[network.name].precision,
                threads=listed[network.name].threads,
                network=network,
            )
            for network in self.contract.networks
        }
        self.references = {name: folder / graph_file(name) for name in engines}
        self.reference = self.references[SEGMENTATION.name]
        self.segmentation = engines[SEGMENTATION.name]
        self.lungs = engines.get(LUNG_SEGMENTATION.name)
        self.classifier: EmbeddedGraph | None = None
        if self.contract.classifier:
            served = listed[CLASSIFIER.name]
            self.references[CLASSIFIER.name] = folder / served.file
            self.classifier = EmbeddedGraph(
                folder / served.file, precision=served.precision, threads=served.threads
            )
        self.detection, self.rendering = (
            EmbeddedGraph(
                folder / listed[graph.name].file,
                precision=listed[graph.name].precision,
                threads=listed[graph.name].threads,
            )
            for graph in (self.contract.detection, RENDERING)
        )

    def detect(
        self,
        probability: NDArray[np.float32],
        lung_probability: NDArray[np.float32] | None = None,
    ) -> dict[str, NDArray[Any]]:
        """(N, 224, 224) probabilities, of the lungs too where they are served, to DETECTED and SEVERITY."""
        inputs = {RAW_PROBABILITY.name: probability}
        if lung_probability is not None:
            inputs[RAW_LUNG_PROBABILITY.name] = lung_probability
        return self.detection.run(inputs, (DETECTED.name, SEVERITY.name))

    def render(
        self, probability: NDArray[np.float32], canvas: NDArray[np.uint8]
    ) -> NDArray[np.uint8]:
        """(N, 224, 224) probabilities and (N, H, W) pictures to (N, H, W, 3) maps."""
        inputs: dict[str, NDArray[Any]] = {
            RAW_PROBABILITY.name: probability,
            CANVAS.name: canvas,
        }
        return self.rendering.run(inputs, (INFECTION_MAP.name,))[INFECTION_MAP.name]


def _segment(graph: GraphEngine, network: Graph, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    name = network.outputs[0].name
    probability: NDArray[np.float32] = graph.run({network.inputs[0].name: images}, (name,))[name]
    return probability


def require_cpu_precision(precision: str) -> None:
    """Refuse a precision that this CPU only emulates.

    Raises
    ------
    HostMismatch
        When bf16 is asked for and the CPU has no instructions for it.
    """
    if precision != "bf16":
        return
    import openvino

    if "BF16" not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise HostMismatch("this CPU has no bf16 instructions: export with --precision fp32")
