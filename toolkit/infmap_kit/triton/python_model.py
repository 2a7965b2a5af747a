"""Triton python backend model: ONNX graphs on OpenVINO, one after the other in one process.

`infmap-kit export --target embedded` copies this file beside the graphs as ``model.py``; so it imports
nothing of infmap-kit. Which graphs, in which precision, on how many threads and for how many requests at the
same time stands in the model's config.
Each model that Triton hands a request on to costs about a millisecond, so that the graphs share one.
Tensors cross by DLPack: ``as_numpy()`` of Triton before 24.11 is silently wrong with NumPy 2.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import ctypes
import json
import os
import queue
import sys
import threading
from collections.abc import Callable, Collection, Sequence
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

STREAMS = "streams"
"""Parameter of the model's config: requests that are computed at the same time; 1 where it is missing."""

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
        Threads that compute one request; 0 is all cores, shared out among the streams.
    streams
        Requests that it computes at the same time, each by a :meth:`twin`.
    """

    def __init__(self, path: Path, *, precision: str, threads: int, streams: int = 1) -> None:
        in_all = threads * streams or os.cpu_count() or 1
        options = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": precision,
            "INFERENCE_NUM_THREADS": in_all,
            # One thread would be pinned to the first core, that of every process with one thread.
            "ENABLE_CPU_PINNING": in_all != 1,
        }
        if streams > 1:
            # Each graph has streams of its own: pinned, those of two graphs would meet on one core while
            # another is idle.
            options |= {
                "PERFORMANCE_HINT": "THROUGHPUT",
                "NUM_STREAMS": streams,
                "ENABLE_CPU_PINNING": False,
            }
        self._share(_Engines(path, options))

    def _share(self, engines: _Engines) -> None:
        self._engines = engines
        self.inputs, self.outputs = engines.inputs, engines.outputs
        self._prepare()

    def _prepare(self) -> None:
        self._compiled = self._engines.compiled
        self._usual, self._any_shape = (one.create_infer_request() for one in self._compiled)

    def twin(self) -> CompiledGraph:
        """The same engines for a request at the same time, with memory of its own for what it computes."""
        twin = CompiledGraph.__new__(CompiledGraph)
        twin._share(self._engines)
        return twin

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
        if self._compiled is not self._engines.compiled:
            self._prepare()
        request = self._usual if shapes == self._engines.usual_shapes else self._any_shape
        try:
            request.infer(inputs, share_inputs=True)
        except RuntimeError:
            # OpenVINO keeps in mind what it failed at, and would fail at good requests that follow.
            self._engines.replace(self._compiled)
            raise
        return {name: request.get_tensor(name).data for name in self.outputs}

    def release(self) -> None:
        """Give back the memory that the last request was computed in; the next one takes it anew."""
        self._any_shape.get_compiled_model().release_memory()


class _Engines:
    """The engines that a :class:`CompiledGraph` and its twins share, compiled for usual and for any shapes."""

    def __init__(self, path: Path, options: dict[str, Any]) -> None:
        self._path, self._options = path, options
        self._lock = threading.Lock()
        self._load()

    def _load(self) -> None:
        # Whoever runs a pipeline of other engines in a process of their own may lack it.
        import openvino

        core = openvino.Core()
        model = core.read_model(self._path)
        self.inputs = tuple(tensor.any_name for tensor in model.inputs)
        self.outputs = tuple(tensor.any_name for tensor in model.outputs)
        any_shape = core.compile_model(model, "CPU", self._options)
        self.usual_shapes = {
            tensor.any_name: _usual_shape(tensor.partial_shape) for tensor in model.inputs
        }
        model.reshape({name: list(shape) for name, shape in self.usual_shapes.items()})
        self.compiled = (core.compile_model(model, "CPU", self._options), any_shape)

    def replace(self, failed: tuple[Any, Any]) -> None:
        """Compile anew in the place of engines that failed, unless a twin already did."""
        with self._lock:
            if self.compiled is failed:
                self._load()


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

    def infer(
        self, inputs: dict[str, Any], outputs: Collection[str], *, copied: bool = True
    ) -> dict[str, Any]:
        """Compute some outputs by name; ``inputs`` are as in :class:`CompiledGraph`.

        Without ``copied`` they lie in the engines' own memory, and are good until these are asked again.

        Raises
        ------
        ValueError
            When an input is too large; nothing was computed.
        """
        self._refuse_large(inputs)
        tensors = dict(inputs)
        needed = self._needed(outputs)
        large = sum(array.nbytes for array in inputs.values()) > USUAL_BYTES
        try:
            for graph in needed:
                tensors |= graph.infer({name: tensors[name] for name in graph.inputs})
            # Of a large request the engines' memory is given back.
            own = np.array if copied or large else np.asarray
            return {name: own(tensors[name]) for name in outputs}
        finally:
            if large:
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
    """The shape for one picture of the usual size: (N, H, W) becomes (1, 224, 224)."""
    _, *rest = shape
    return (1, *(USUAL_SIZE if size.is_dynamic else size.get_length() for size in rest))


class SideBySide:
    """Pipelines over the same engines, each of which computes a request at the same time as the others.

    Parameters
    ----------
    pipelines
        The pipelines; each has memory of its own.
    """

    def __init__(self, pipelines: Sequence[Pipeline]) -> None:
        self._count = len(pipelines)
        self._free: queue.SimpleQueue[Pipeline] = queue.SimpleQueue()
        for pipeline in pipelines:
            self._free.put(pipeline)
        self._threads = concurrent.futures.ThreadPoolExecutor(self._count)

    def start(self, work: Callable[[Pipeline], None], *, size: int) -> None:
        """Wait until a pipeline is free, and let it work while the caller goes on.

        Parameters
        ----------
        work
            Computes with the pipeline that it is given, and raises nothing.
        size
            Bytes of the request's input. Above ``USUAL_BYTES`` it waits until no other request is computed, and
            the caller waits for it: its memory is given back, which no other may be using.
        """
        alone = size > USUAL_BYTES
        taken = [self._free.get() for _ in range(self._count if alone else 1)]

        def run() -> None:
            try:
                work(taken[0])
            finally:
                for pipeline in taken:
                    self._free.put(pipeline)

        if alone:
            run()
        else:
            self._threads.submit(run)

    def close(self) -> None:
        """Wait until everything is computed that was started."""
        self._threads.shutdown()


class TritonPythonModel:
    """Loads the graphs of its version folder once, and answers as many requests at a time as it has streams."""

    def initialize(self, args: dict[str, str]) -> None:
        """Compile the graphs that the model's config names."""
        # Exists only inside the server.
        import triton_python_backend_utils as pb_utils

        self._pb_utils = pb_utils
        config = json.loads(args["model_config"])
        folder = Path(args["model_repository"]) / args["model_version"]
        listed = json.loads(config["parameters"][GRAPHS]["string_value"])
        most_pixels = int(_parameter(config, MOST_PIXELS, DEFAULT_MOST_PIXELS))
        streams = int(_parameter(config, STREAMS, "1"))
        graphs = [
            CompiledGraph(
                folder / graph["file"],
                precision=graph["precision"],
                threads=graph["threads"],
                streams=streams,
            )
            for graph in listed
        ]
        sets = [graphs, *([graph.twin() for graph in graphs] for _ in range(streams - 1))]
        pipelines = [Pipeline(one, most_pixels=most_pixels) for one in sets]
        self._pipeline = pipelines[0]
        self._side_by_side = SideBySide(pipelines) if streams > 1 else None
        self._input_names = [item["name"] for item in config["input"]]

    def execute(self, requests: list[Any]) -> list[Any] | None:
        """Answer each request with the outputs that it asks for; with several streams, as it is computed.

        Triton hands the next request over when this returns, so this waits while no stream is free.
        """
        if self._side_by_side is None:
            # Triton itself copies a list of responses, before the next.
            several = len(requests) > 1
            return [self._answer(self._pipeline, r, self._inputs(r), several) for r in requests]
        for request in requests:
            inputs = self._inputs(request)
            size = sum(array.nbytes for array in inputs.values())
            self._side_by_side.start(self._sending(request, inputs), size=size)
        return None

    def finalize(self) -> None:
        """Answer what was begun before the model goes."""
        if self._side_by_side is not None:
            self._side_by_side.close()

    def _inputs(self, request: Any) -> dict[str, Any]:
        get = self._pb_utils.get_input_tensor_by_name
        return {name: np.from_dlpack(get(request, name)) for name in self._input_names}

    def _sending(self, request: Any, inputs: dict[str, Any]) -> Callable[[Pipeline], None]:
        sender = request.get_response_sender()

        def answer_and_send(pipeline: Pipeline) -> None:
            response = self._answer(pipeline, request, inputs, False)
            sender.send(response, flags=self._pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)

        return answer_and_send

    def _answer(self, pipeline: Pipeline, one: Any, inputs: dict[str, Any], copied: bool) -> Any:
        pb_utils = self._pb_utils
        try:
            outputs = pipeline.infer(inputs, one.requested_output_names(), copied=copied)
            return pb_utils.InferenceResponse(
                [pb_utils.Tensor.from_dlpack(name, array) for name, array in outputs.items()]
            )
        # Whatever it is: with several streams nobody else would tell the client, which would wait for ever.
        except Exception as error:  # noqa: BLE001
            return pb_utils.InferenceResponse(error=pb_utils.TritonError(str(error)))


def _parameter(config: dict[str, Any], name: str, default: str) -> str:
    """A parameter of the model's config."""
    return str(config["parameters"].get(name, {"string_value": default})["string_value"])
