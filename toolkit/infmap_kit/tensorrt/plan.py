"""A TensorRT plan run on this machine's GPU, to be compared with its reference before it is published."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infmap_kit.errors import HostMismatch, MissingDependency
from infmap_kit.model.contract import SEGMENTATION, Graph
from infmap_kit.tensorrt.builder import logger_of


class PlanEngine:
    """A segmentation plan, one picture at a time.

    Parameters
    ----------
    trt
        The module that built it.
    plan
        The serialized engine; its first profile takes one picture.
    network
        Which of the served networks it is.

    Raises
    ------
    HostMismatch
        When the plan does not load here.
    MissingDependency
        When cuda-bindings, which moves the pictures, is not installed.
    """

    def __init__(self, trt: Any, plan: bytes, *, network: Graph = SEGMENTATION) -> None:
        self._image, self._probability = network.inputs[0].name, network.outputs[0].name
        logger = logger_of(trt)
        self._runtime = trt.Runtime(logger)
        self._engine = self._runtime.deserialize_cuda_engine(plan)
        if self._engine is None:
            raise HostMismatch(f"the plan does not load on this machine: {logger.last()}")
        self._context = self._engine.create_execution_context()
        try:
            from cuda.bindings import runtime as cuda
        except ImportError as error:
            raise MissingDependency(
                "running a plan needs cuda-bindings, which is not installed: pip install 'infmap-kit[tensorrt]'"
            ) from error
        self._cuda = cuda

    def infer(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(1, 224, 224) uint8 to (1, 224, 224) float32 probabilities.

        Raises
        ------
        HostMismatch
            When CUDA or TensorRT reports an error.
        """
        cuda = self._cuda
        pictures = np.ascontiguousarray(images)
        probabilities = np.empty(images.shape, np.float32)
        there = cuda.cudaMemcpyKind.cudaMemcpyHostToDevice
        back = cuda.cudaMemcpyKind.cudaMemcpyDeviceToHost
        with (
            self._stream() as stream,
            self._memory(pictures.nbytes) as source,
            self._memory(probabilities.nbytes) as result,
        ):
            self._call(cuda.cudaMemcpy(source, pictures.ctypes.data, pictures.nbytes, there))
            self._context.set_input_shape(self._image, pictures.shape)
            self._context.set_tensor_address(self._image, source)
            self._context.set_tensor_address(self._probability, result)
            if not self._context.execute_async_v3(int(stream)):
                raise HostMismatch("TensorRT cannot run the plan that it built: see its log")
            self._call(cuda.cudaStreamSynchronize(stream))
            target = probabilities.ctypes.data
            self._call(cuda.cudaMemcpy(target, result, probabilities.nbytes, back))
        return probabilities

    @contextlib.contextmanager
    def _stream(self) -> Iterator[Any]:
        stream = self._call(self._cuda.cudaStreamCreate())
        try:
            yield stream
        finally:
            self._cuda.cudaStreamDestroy(stream)

    @contextlib.contextmanager
    def _memory(self, size: int) -> Iterator[int]:
        address = self._call(self._cuda.cudaMalloc(size))
        try:
            yield int(address)
        finally:
            self._cuda.cudaFree(address)

    def _call(self, answer: tuple[Any, ...]) -> Any:
        """What a CUDA call gives besides its error code, which must be none."""
        code, *values = answer
        if int(code):
            _, words = self._cuda.cudaGetErrorString(code)
            raise HostMismatch(f"CUDA says: {words.decode()}")
        return values[0] if values else None
