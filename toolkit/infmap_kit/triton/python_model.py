"""Triton python backend model: ONNX graphs on OpenVINO, one after the other in one process.

`infmap-kit export --target embedded` copies this file beside the graphs as ``model.py``; so it imports
nothing of infmap-kit. Which graphs, in which precision and on how many threads stands in the model's config.
Each model that Triton hands a request on to costs about a millisecond, so that the graphs share one.
Tensors cross by DLPack: ``as_numpy()`` of Triton before 24.11 is silently wrong with NumPy 2.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Protocol

# Triton's stub runs Python isolated, which ignores PYTHONPATH; the packages of the environment that
# started the server are found by it all the same.
sys.path[:0] = [
    path
    for path in os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if path and path not in sys.path
]

# OpenVINO would count its import at Google Analytics; without this package it cannot. (``infmap_kit.telemetry``
# does the same, and is not imported here.)
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # as the import system documents

import numpy as np  # noqa: E402  # after the path is set

USUAL_SIZE = 224
"""Height and width of the pictures that most requests bring."""

GRAPHS = "graphs"
"""Parameter of the model's config: a JSON list of ``file``, ``precision`` and ``threads``, in the order in
which the graphs build on each other."""


MOST_PIXELS = "most_pixels"
"""Parameter of the model's config: pixels of the largest input, of all its pictures, that is computed."""

DEFAULT_MOST_PIXELS = "40000000"
"""The same where a config does not say it."""

USUAL_BYTES = 2**24
"""Input of a usual request, as of a detector with 4096x4096 pixels; what a larger one needed is given back."""


class CompiledGraph:
    """A graph compiled for this CPU twice: for one picture of the usual size, and for any shapes.

    With every shape known beforehand OpenVINO answers one picture noticeably sooner.

    Parameters
    ----------
    path
        ONNX, or OpenVINO's own XML.
    precision
        ``f32`` or ``bf16``, as OpenVINO names them; what is quantised in the graph stays so.
    threads
        Threads that compute it; 0 is all cores.
    """

    def __init__(self, path: Path, *, precision: str, threads: int) -> None:
        self._path = path
        self._options = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": precision,
            "INFERENCE_NUM_THREADS": threads or os.cpu_count() or 1,
            # One thread would be pinned to the first core, that of every process with one thread.
            "ENABLE_CPU_PINNING": threads != 1,
        }
        self._load()

    def _load(self) -> None:
        # Whoever runs a pipeline of other engines in a process of their own may lack it.
        import openvino

        core = openvino.Core()
        model = core.read_model(self._path)
        self.inputs = tuple(tensor.any_name for tensor in model.inputs)
        self.outputs = tuple(tensor.any_name for tensor in model.outputs)
        self._any_shape = core.compile_model(model, "CPU", self._options).create_infer_request()
        self._usual_shapes = {
            tensor.any_name: _usual_shape(tensor.partial_shape) for tensor in model.inputs
        }
        model.reshape({name: list(shape) for name, shape in self._usual_shapes.items()})
        self._usual = core.compile_model(model, "CPU", self._options).create_infer_request()

    @property
    def compiled(self) -> Any:
        """The engine for one picture of the usual size."""
        return self._usual.get_compiled_model()

    def infer(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Compute all outputs; the arrays are the engine's own, and good until it is asked again.

        Parameters
        ----------
        inputs
            Name to array, contiguous.

        Raises
        ------
        ValueError
            When the inputs do not fit each other.
        RuntimeError
            When OpenVINO fails.
        """
        shapes = {name: array.shape for name, array in inputs.items()}
        if len({shape[0] for shape in shapes.values()}) > 1 or not all(map(all, shapes.values())):
            raise ValueError(
                f"expected as many pictures in each input, and none empty: found {shapes}"
            )
        request = self._usual if shapes == self._usual_shapes else self._any_shape
        try:
            request.infer(inputs, share_inputs=True)
        except RuntimeError:
            # OpenVINO keeps in mind what it failed at, and would fail at good requests that follow.
            self._load()
            raise
        return {name: request.get_tensor(name).data for name in self.outputs}

    def release(self) -> None:
        """Give back the memory that the last request was computed in; the next one takes it anew."""
        self._any_shape.get_compiled_model().release_memory()


class PreparedGraph(Protocol):
    """A graph that was made ready to compute, as :class:`CompiledGraph` is."""

    @property
    def inputs(self) -> Sequence[str]:
        """Names of its inputs."""
        ...

    @property
    def outputs(self) -> Sequence[str]:
        """Names of its outputs."""
        ...

    def infer(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Compute all outputs."""
        ...

    def release(self) -> None:
        """Give back the memory that the last request was computed in."""
        ...


class Pipeline:
    """Graphs that build on each other, of which only those are computed that are asked for.

    Parameters
    ----------
    graphs
        The graphs, each after those whose outputs it takes.
    most_pixels
        Pixels of the largest input that is computed, of all its pictures together; ``None`` is any number.
    """

    def __init__(self, graphs: Sequence[PreparedGraph], *, most_pixels: int | None = None) -> None:
        self._graphs = graphs
        self._most_pixels = most_pixels

    def infer(self, inputs: dict[str, Any], outputs: Collection[str]) -> dict[str, Any]:
        """Compute some outputs by name, as arrays of their own; ``inputs`` are as in :class:`CompiledGraph`.

        Raises
        ------
        ValueError
            When an input is too large; nothing was computed.
        """
        self._refuse_large(inputs)
        tensors = dict(inputs)
        needed = self._needed(outputs)
        try:
            for graph in needed:
                tensors |= graph.infer({name: tensors[name] for name in graph.inputs})
            # Copied, since the next request writes to the engine's own memory.
            return {name: np.array(tensors[name]) for name in outputs}
        finally:
            if sum(array.nbytes for array in inputs.values()) > USUAL_BYTES:
                tensors.clear()
                for graph in needed:
                    graph.release()
                _trim()

    def _refuse_large(self, inputs: dict[str, Any]) -> None:
        for name, array in inputs.items():
            if self._most_pixels is not None and array.size > self._most_pixels:
                raise ValueError(
                    f"expected {name} of at most {self._most_pixels / 1e6:g} megapixels in a request, found "
                    f"{array.size / 1e6:.1f}: send fewer or smaller pictures"
                )

    def _needed(self, outputs: Collection[str]) -> list[PreparedGraph]:
        names = set(outputs)
        needed: list[PreparedGraph] = []
        for graph in reversed(self._graphs):
            if names.intersection(graph.outputs):
                needed.insert(0, graph)
                names.update(graph.inputs)
        return needed


def _trim() -> None:
    """Let the C library give free memory back to the system, where it is one that can (glibc)."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def _usual_shape(shape: Any) -> tuple[int, ...]:
    """One picture of the usual size: (N, H, W) becomes (1, 224, 224)."""
    _, *rest = shape
    return (1, *(USUAL_SIZE if size.is_dynamic else size.get_length() for size in rest))


class TritonPythonModel:
    """Loads the graphs of its version folder once, and answers requests one by one."""

    def initialize(self, args: dict[str, str]) -> None:
        """Compile the graphs that the model's config names."""
        # Exists only inside the server.
        import triton_python_backend_utils as pb_utils

        self._pb_utils = pb_utils
        config = json.loads(args["model_config"])
        folder = Path(args["model_repository"]) / args["model_version"]
        listed = json.loads(config["parameters"][GRAPHS]["string_value"])
        stated = config["parameters"].get(MOST_PIXELS, {"string_value": DEFAULT_MOST_PIXELS})
        most_pixels = int(stated["string_value"])
        self._pipeline = Pipeline(
            [
                CompiledGraph(
                    folder / graph["file"], precision=graph["precision"], threads=graph["threads"]
                )
                for graph in listed
            ],
            most_pixels=most_pixels,
        )
        self._input_names = [item["name"] for item in config["input"]]

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer each request with the outputs that it asks for."""
        return [self._answer(request) for request in requests]

    def _answer(self, request: Any) -> Any:
        pb_utils = self._pb_utils
        inputs = {
            name: np.from_dlpack(pb_utils.get_input_tensor_by_name(request, name))
            for name in self._input_names
        }
        try:
            outputs = self._pipeline.infer(inputs, request.requested_output_names())
        except (RuntimeError, ValueError) as error:
            return pb_utils.InferenceResponse(error=pb_utils.TritonError(str(error)))
        return pb_utils.InferenceResponse(
            [pb_utils.Tensor.from_dlpack(name, array) for name, array in outputs.items()]
        )
