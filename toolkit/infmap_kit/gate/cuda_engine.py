"""A graph on ONNX Runtime's CUDA provider, which is the one of Triton's ``onnxruntime`` backend."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from infmap_kit.errors import HostMismatch
from infmap_kit.gate.engines import CPU_PROVIDER, OnnxRuntimeEngine, in_one_line
from infmap_kit.tensorrt.present_gpu import has_gpu

CUDA_PROVIDER = "CUDAExecutionProvider"

CUDA_OPTIONS = {
    # What the configs of target onnxruntime ask of the backend.
    "cudnn_conv_algo_search": "HEURISTIC",
    # On Ampere and later FP32 would quietly become TF32, with the digits of FP16.
    "use_tf32": "0",
}


def has_cuda_provider() -> bool:
    """Whether a GPU is here, and an ONNX Runtime that is made for it (``onnxruntime-gpu``)."""
    if not has_gpu():
        return False
    import onnxruntime

    return CUDA_PROVIDER in onnxruntime.get_available_providers()


class CudaEngine(OnnxRuntimeEngine):
    """A serialized ONNX graph on the GPU; it is a :class:`~infmap_kit.gate.engines.DeviceEngine`.

    Parameters
    ----------
    graph
        The graph.
    recorded
        Whether the kernels of a request are recorded as a CUDA graph and replayed. Such an engine is for
        :meth:`resident` alone, and for one set of inputs.

    Raises
    ------
    HostMismatch
        When the provider cannot start, for want of CUDA's libraries for example; ONNX Runtime itself would
        go on with the CPU and say nothing.
    ExportError
        When it does not take the graph.
    """

    deterministic: ClassVar[bool] = False
    device: ClassVar[str] = "cuda"

    def __init__(self, graph: bytes, *, recorded: bool = False) -> None:
        self._options = CUDA_OPTIONS | ({"enable_cuda_graph": "1"} if recorded else {})
        super().__init__(graph)
        started = self._session.get_providers()
        if started[:1] == [CPU_PROVIDER]:
            raise HostMismatch(
                "ONNX Runtime's CUDA provider does not start on this machine, perhaps for want of CUDA's "
                "libraries: pip install 'onnxruntime-gpu[cuda,cudnn]'"
            )

    def providers(self) -> list[Any]:
        """CUDA, and the CPU for what CUDA does not take, such as computing with shapes."""
        import onnxruntime

        # Libraries that came as Python packages are found by nobody else. What is missing is printed.
        with contextlib.redirect_stdout(io.StringIO()):
            onnxruntime.preload_dlls(directory="")
        return [(CUDA_PROVIDER, self._options), CPU_PROVIDER]

    def resident(self, inputs: Mapping[str, NDArray[Any]]) -> Callable[[], None]:
        """Move inputs to the GPU once, for a function that computes on them again and again.

        Every call writes to the same memory, as a CUDA graph must.

        Raises
        ------
        ExportError
            When the graph cannot be computed, or not be recorded.
        """
        compute, _ = self.bound(inputs)
        return compute

    def bound(
        self, inputs: Mapping[str, NDArray[Any]]
    ) -> tuple[Callable[[], None], Callable[[], dict[str, NDArray[Any]]]]:
        """The function that :meth:`resident` returns, and one that copies the outputs of its last call back."""
        from onnxruntime import OrtValue

        binding, session = self._session.io_binding(), self._session
        for name, array in inputs.items():
            pixels = np.ascontiguousarray(array)
            binding.bind_ortvalue_input(name, OrtValue.ortvalue_from_numpy(pixels, self.device, 0))
        names = [output.name for output in session.get_outputs()]
        for name in names:
            binding.bind_output(name, self.device)

        def compute() -> None:
            with in_one_line("ONNX Runtime cannot compute the graph on the GPU"):
                session.run_with_iobinding(binding)

        compute()
        # Where the first outputs were put, all later ones go.
        kept = dict(zip(names, binding.get_outputs(), strict=True))
        for name, value in kept.items():
            binding.bind_ortvalue_output(name, value)
        return compute, lambda: {name: value.numpy() for name, value in kept.items()}
