"""Engines on this machine: the same graph on ONNX Runtime (the reference) and on OpenVINO."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from infmap_kit.errors import ExportError, HostMismatch, MissingDependency
from infmap_kit.model.precision import Precision

CPU_PROVIDER = "CPUExecutionProvider"


class Engine(Protocol):
    """A graph that was made ready to compute."""

    def run(
        self, inputs: Mapping[str, NDArray[Any]], outputs: Sequence[str]
    ) -> dict[str, NDArray[Any]]:
        """Compute some outputs by name."""
        ...


@runtime_checkable
class DeviceEngine(Engine, Protocol):
    """An engine with memory of its own, to which inputs travel and from which outputs come back."""

    def resident(self, inputs: Mapping[str, NDArray[Any]]) -> Callable[[], None]:
        """Move inputs there once; what is returned computes on them again and again, and nothing travels."""
        ...


@contextlib.contextmanager
def in_one_line(failed: str) -> Iterator[None]:
    """Translate what a library raises about a graph; each has a tree of its own, below ``Exception``."""
    try:
        yield
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ExportError(f"{failed}: {reason:.300}") from error


class OnnxRuntimeEngine:
    """A serialized ONNX graph on ONNX Runtime on the CPU; every other engine is compared with one in FP32.

    Raises
    ------
    MissingDependency
        When ONNX Runtime is not installed.
    ExportError
        When it does not take the graph.
    """

    deterministic: ClassVar[bool] = True
    """Whether the same input gives the same bits; what is recorded of the reference is compared bit by bit."""

    def __init__(self, graph: bytes) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise MissingDependency(
                "ONNX Runtime is the reference and is not installed: pip install 'infmap-kit[export]'"
            ) from error
        options = onnxruntime.SessionOptions()
        options.use_deterministic_compute = self.deterministic
        # Q/DQ nodes are computed as they are written, the same on every machine: in kernels of 8-bit integers
        # sums overflow on a CPU without VNNI.
        options.add_session_config_entry("session.disable_quant_qdq", "1")
        # What stops it is raised; its own lines would stand between ours.
        options.log_severity_level = 4
        with in_one_line("ONNX Runtime cannot take the graph"):
            self._session = onnxruntime.InferenceSession(graph, options, providers=self.providers())

    def providers(self) -> list[Any]:
        """ONNX Runtime's execution providers, the preferred first, each by name or with its options."""
        return [CPU_PROVIDER]

    def run(
        self, inputs: Mapping[str, NDArray[Any]], outputs: Sequence[str]
    ) -> dict[str, NDArray[Any]]:
        """Compute some outputs by name.

        Raises
        ------
        ExportError
            When the graph cannot be computed.
        """
        with in_one_line("ONNX Runtime cannot compute the graph"):
            computed = self._session.run(list(outputs), dict(inputs))
        return dict(zip(outputs, computed, strict=True))

    def infer(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Compute the first output of a graph whose one input is pictures.

        (N, H, H) uint8 to (N, H, H) float32 probabilities.
        """
        tensor, output = self._session.get_inputs()[0].name, self._session.get_outputs()[0].name
        probability: NDArray[np.float32] = self.run({tensor: images}, (output,))[output]
        return probability


class OpenvinoEngine:
    """A graph just as Triton's runner compiles it for a CPU.

    Parameters
    ----------
    path
        ONNX, or OpenVINO's own XML.
    precision
        ``f32`` or ``bf16``, as OpenVINO names them; what is quantised in the graph stays so.
    threads
        0 is all cores.

    Raises
    ------
    MissingDependency
        When OpenVINO is not installed.
    ExportError
        When it does not take the graph.

    Attributes
    ----------
    graph
        The runner's own graph, whose outputs are not copied.
    path, precision
        File and precision that the engine was made from.
    """

    def __init__(self, path: Path, *, precision: str = "f32", threads: int = 0) -> None:
        try:
            import openvino  # noqa: F401  # the runner imports it when it compiles

            from infmap_kit.triton.python_model import CompiledGraph
        except ImportError as error:
            raise MissingDependency(
                "the embedded target runs on OpenVINO, which is not installed: "
                "pip install 'infmap-kit[embedded]'"
            ) from error
        self.path, self.precision = path, precision
        with in_one_line("OpenVINO cannot take the graph"):
            self.graph = CompiledGraph(path, precision=precision, threads=threads)

    def run(
        self, inputs: Mapping[str, NDArray[Any]], outputs: Sequence[str]
    ) -> dict[str, NDArray[Any]]:
        """Compute some outputs by name."""
        with in_one_line("OpenVINO cannot compute the graph"):
            computed = self.graph.infer(dict(inputs))
        # Copied, since the next request writes to the engine's own memory.
        return {name: np.array(computed[name]) for name in outputs}

    def infer(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Compute the first output, as :meth:`OnnxRuntimeEngine.infer` does."""
        output = self.graph.outputs[0]
        return self.run({self.graph.inputs[0]: images}, (output,))[output]

    def precisions(self) -> dict[str, int]:
        """Count the convolutions of the compiled graph by the type that they run in."""
        return dict(Counter(self.convolutions().values()))

    def convolutions(self) -> dict[str, str]:
        """The type that each convolution of the compiled graph runs in, by its name, as OpenVINO reports it."""
        types: dict[str, str] = {}
        for node in self.graph.compiled.get_runtime_model().get_ordered_ops():
            info = node.get_rt_info()
            kind: Any = info["layerType"].astype(str) if "layerType" in info else ""
            if "Convolution" in str(kind):
                types[node.get_friendly_name()] = info["runtimePrecision"].astype(str)
        return types


def openvino_precision(precision: Precision) -> str:
    """A precision as OpenVINO's ``INFERENCE_PRECISION_HINT`` spells it."""
    # INT8 stands in the graph itself; the hint is for what stayed as it was.
    return "bf16" if precision is Precision.BF16 else "f32"


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
