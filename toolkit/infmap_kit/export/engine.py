"""Engines on this machine: the same graph on ONNX Runtime (the reference) and on OpenVINO."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from infmap_kit.errors import HostMismatch, MissingDependency
from infmap_kit.graphs.contract import SEGMENTATION


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
            from infmap_kit.triton.runner import Graph
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
        return self._graph.infer(dict(inputs), list(outputs))

    @property
    def compiled(self) -> Any:
        """OpenVINO's compiled model for one usual picture."""
        return self._graph.compiled


class ReferenceEngine:
    """A segmentation graph in FP32 on ONNX Runtime: what every other engine is compared with."""

    def __init__(self, graph: bytes) -> None:
        self._graph = OnnxRuntimeGraph(graph)

    def infer(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(N, 224, 224) uint8 to (N, 224, 224) float32 probabilities."""
        return _segment(self._graph, images)


class EmbeddedEngine:
    """A segmentation graph just as Triton's runner compiles it."""

    def __init__(self, path: Path, *, precision: str, threads: int = 0) -> None:
        self._graph = EmbeddedGraph(path, precision=precision, threads=threads)

    def infer(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(N, 224, 224) uint8 to (N, 224, 224) float32 probabilities."""
        return _segment(self._graph, images)

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


def _segment(graph: GraphEngine, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    name = SEGMENTATION.outputs[0].name
    probability: NDArray[np.float32] = graph.run({SEGMENTATION.inputs[0].name: images}, (name,))[
        name
    ]
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
