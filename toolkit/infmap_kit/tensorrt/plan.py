"""A TensorRT plan run on this machine's GPU, to be compared with its reference before it is published."""

from __future__ import annotations

import contextlib
import functools
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
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
    version_compatible
        Whether it is such a plan, which carries code that runs on the host.

    Raises
    ------
    HostMismatch
        When the plan does not load here, or the GPU has no room for it.
    MissingDependency
        When cuda-bindings, which moves the pictures, is not installed.
    """

    def __init__(self, trt: Any, plan: bytes, *, version_compatible: bool = False) -> None:
        self._trt = trt
        logger = logger_of(trt)
        self._runtime = trt.Runtime(logger)
        self._runtime.engine_host_code_allowed = version_compatible
        self._engine = self._runtime.deserialize_cuda_engine(plan)
        if self._engine is None:
            raise HostMismatch(f"the plan does not load on this machine: {logger.last()}")
        names = [self._engine.get_tensor_name(i) for i in range(self._engine.num_io_tensors)]
        self._inputs, self._outputs = (
            [name for name in names if self._engine.get_tensor_mode(name) == mode]
            for mode in (trt.TensorIOMode.INPUT, trt.TensorIOMode.OUTPUT)
        )
        self._context = self._new_context()
        try:
            from cuda.bindings import runtime as cuda
        except ImportError as error:
            raise MissingDependency(
                "running a plan needs cuda-bindings, which is not installed: pip install 'infmap-kit[tensorrt]'"
            ) from error
        self._cuda = cuda

    @property
    def memory_bytes(self) -> int:
        """GPU memory for activations of a context for each profile, each of which takes what its own needs."""
        engine = self._engine
        if hasattr(engine, "get_device_memory_size_for_profile_v2"):
            profiles = range(engine.num_optimization_profiles)
            return sum(int(engine.get_device_memory_size_for_profile_v2(n)) for n in profiles)
        return int(engine.device_memory_size_v2)

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
        with contextlib.ExitStack() as stack:
            stream, results = self._bind(context, inputs, stack)
            self._execute(context, stream)
            for name in outputs:
                array, address = results[name]
                back = cuda.cudaMemcpyKind.cudaMemcpyDeviceToHost
                self._call(cuda.cudaMemcpy(array.ctypes.data, address, array.nbytes, back))
        return {name: results[name][0] for name in outputs}

    def resident(self, inputs: Mapping[str, NDArray[Any]]) -> Callable[[], None]:
        """Move inputs to the GPU once, for a function that computes on them again and again.

        Raises what :meth:`run` raises. The memory is freed together with the returned function.
        """
        context, stack = self._new_context(), contextlib.ExitStack()
        with stack:
            stream, _ = self._bind(context, inputs, stack)
            compute = functools.partial(self._execute, context, stream)
            weakref.finalize(compute, stack.pop_all().close)
        return compute

    def infer(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Compute the first output of a graph whose one input is pictures.

        (N, 224, 224) uint8 to (N, 224, 224) float32 probabilities; raises what :meth:`run` raises.
        """
        output = self._outputs[0]
        return self.run({self._inputs[0]: images}, (output,))[output]

    def _new_context(self) -> Any:
        context = self._engine.create_execution_context()
        if context is None:
            raise HostMismatch(
                "TensorRT cannot make room for the plan on the GPU, so it has too little memory free "
                f"({logger_of(self._trt).last()}): end what else runs on it, or export with smaller --batches"
            )
        return context

    def _bind(
        self, context: Any, inputs: Mapping[str, NDArray[Any]], stack: contextlib.ExitStack
    ) -> tuple[Any, dict[str, tuple[NDArray[Any], int]]]:
        """Bring inputs to the GPU and make room for outputs: a stream, and each output here and there."""
        stream = stack.enter_context(self._stream())
        profile = self._profile({name: array.shape for name, array in inputs.items()})
        if not context.set_optimization_profile_async(profile, int(stream)):
            raise HostMismatch(f"TensorRT does not take profile {profile} of the plan: see its log")
        for name, array in inputs.items():
            pixels = np.ascontiguousarray(array)
            address = stack.enter_context(self._memory(pixels.nbytes))
            there = self._cuda.cudaMemcpyKind.cudaMemcpyHostToDevice
            self._call(self._cuda.cudaMemcpy(address, pixels.ctypes.data, pixels.nbytes, there))
            if not context.set_input_shape(name, pixels.shape):
                raise HostMismatch(
                    f"TensorRT does not take {name} of shape {pixels.shape} in profile {profile} of the plan"
                )
            _set_address(context, name, address)
        results = {}
        # TensorRT writes every output, whichever is asked for.
        for name in self._outputs:
            dtype = self._trt.nptype(self._engine.get_tensor_dtype(name))
            array = np.empty(tuple(context.get_tensor_shape(name)), dtype)
            address = stack.enter_context(self._memory(array.nbytes))
            _set_address(context, name, address)
            results[name] = (array, address)
        return stream, results

    def _execute(self, context: Any, stream: Any) -> None:
        if not context.execute_async_v3(int(stream)):
            raise HostMismatch("TensorRT cannot run the plan that it built: see its log")
        self._call(self._cuda.cudaStreamSynchronize(stream))

    def _profile(self, shapes: Mapping[str, tuple[int, ...]]) -> int:
        """The first profile that the inputs fit; the largest batches come last."""
        for index in range(self._engine.num_optimization_profiles):
            bounds = {name: self._engine.get_tensor_profile_shape(name, index) for name in shapes}
            if all(
                len(least) == len(shapes[name])
                and all(a <= b <= c for a, b, c in zip(least, shapes[name], most, strict=True))
                for name, (least, _, most) in bounds.items()
            ):
                return index
        raise HostMismatch(
            f"the plan has no profile for inputs of {dict(shapes)}: export with larger --batches"
        )

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
        """The value of a CUDA call besides its error code, which must be none."""
        code, *values = answer
        if int(code):
            _, message = self._cuda.cudaGetErrorString(code)
            raise HostMismatch(
                f"CUDA fails on this GPU ({message.decode()}): look at it with nvidia-smi"
            )
        return values[0] if values else None


def _set_address(context: Any, name: str, address: int) -> None:
    if not context.set_tensor_address(name, address):
        raise HostMismatch(
            f"TensorRT does not take memory for tensor {name} of the plan: see its log"
        )
