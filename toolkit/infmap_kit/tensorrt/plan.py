"""A TensorRT plan run on this machine's GPU, to be compared with its reference before it is published."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infmap_kit.errors import HostMismatch, MissingDependency
from infmap_kit.tensorrt.builder import logger_of


class PlanEngine:
    """A plan of any graph, in host memory at both ends.

    Parameters
    ----------
    trt
        The module that built it.
    plan
        The serialized engine.

    Raises
    ------
    HostMismatch
        When the plan does not load here.
    MissingDependency
        When cuda-bindings, which moves the pictures, is not installed.
    """

    def __init__(self, trt: Any, plan: bytes) -> None:
        self._trt = trt
        logger = logger_of(trt)
        self._runtime = trt.Runtime(logger)
        self._engine = self._runtime.deserialize_cuda_engine(plan)
        if self._engine is None:
            raise HostMismatch(f"the plan does not load on this machine: {logger.last()}")
        names = [self._engine.get_tensor_name(i) for i in range(self._engine.num_io_tensors)]
        self._inputs, self._outputs = (
            [name for name in names if self._engine.get_tensor_mode(name) == mode]
            for mode in (trt.TensorIOMode.INPUT, trt.TensorIOMode.OUTPUT)
        )
        self._context = self._engine.create_execution_context()
        try:
            from cuda.bindings import runtime as cuda
        except ImportError as error:
            raise MissingDependency(
                "running a plan needs cuda-bindings, which is not installed: pip install 'infmap-kit[tensorrt]'"
            ) from error
        self._cuda = cuda

    def run(
        self, inputs: Mapping[str, NDArray[Any]], outputs: Sequence[str]
    ) -> dict[str, NDArray[Any]]:
        """Compute some outputs by name.

        Raises
        ------
        HostMismatch
            When CUDA or TensorRT reports an error, or no profile takes inputs of these shapes.
        """
        cuda, context = self._cuda, self._context
        given = {name: np.ascontiguousarray(array) for name, array in inputs.items()}
        with self._stream() as stream, contextlib.ExitStack() as stack:
            self._choose_profile(given, stream)
            for name, array in given.items():
                context.set_input_shape(name, array.shape)
                address = stack.enter_context(self._memory(array.nbytes))
                there = cuda.cudaMemcpyKind.cudaMemcpyHostToDevice
                self._call(cuda.cudaMemcpy(address, array.ctypes.data, array.nbytes, there))
                context.set_tensor_address(name, address)
            # TensorRT writes every output, whichever is asked for.
            results = {name: self._empty(name) for name in self._outputs}
            addresses = {
                name: stack.enter_context(self._memory(array.nbytes))
                for name, array in results.items()
            }
            for name, address in addresses.items():
                context.set_tensor_address(name, address)
            if not context.execute_async_v3(int(stream)):
                raise HostMismatch("TensorRT cannot run the plan that it built: see its log")
            self._call(cuda.cudaStreamSynchronize(stream))
            for name in outputs:
                array = results[name]
                back = cuda.cudaMemcpyKind.cudaMemcpyDeviceToHost
                self._call(cuda.cudaMemcpy(array.ctypes.data, addresses[name], array.nbytes, back))
        return {name: results[name] for name in outputs}

    def infer(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Compute the first output of a graph whose one input is pictures.

        (N, 224, 224) uint8 to (N, 224, 224) float32 probabilities; raises what :meth:`run` raises.
        """
        output = self._outputs[0]
        return self.run({self._inputs[0]: images}, (output,))[output]

    def _choose_profile(self, inputs: Mapping[str, NDArray[Any]], stream: Any) -> None:
        """Take the first profile that the inputs fit, as a batching server does."""
        for index in range(self._engine.num_optimization_profiles):
            bounds = {n: self._engine.get_tensor_profile_shape(n, index) for n in inputs}
            if all(
                len(array.shape) == len(bounds[name][0])
                and all(
                    least <= size <= most
                    for least, size, most in zip(
                        bounds[name][0], array.shape, bounds[name][2], strict=True
                    )
                )
                for name, array in inputs.items()
            ):
                self._context.set_optimization_profile_async(index, int(stream))
                return
        shapes = {name: array.shape for name, array in inputs.items()}
        raise HostMismatch(f"the plan has no profile for inputs of {shapes}: export with --batches")

    def _empty(self, name: str) -> NDArray[Any]:
        dtype = self._trt.nptype(self._engine.get_tensor_dtype(name))
        return np.empty(tuple(self._context.get_tensor_shape(name)), dtype)

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
