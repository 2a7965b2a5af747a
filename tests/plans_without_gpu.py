"""Target tensorrt where NVIDIA's library cannot run: plans are ONNX graphs, and the GPU is the CPU."""

from __future__ import annotations

import types
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from infmap_kit.gate.engines import OnnxRuntimeEngine
from infmap_kit.tensorrt import builder, library, plan, present_gpu
from infmap_kit.tensorrt.builder import BuildOptions, TensorrtEngine
from infmap_kit.tensorrt.layers import LayerTypes
from infmap_kit.tensorrt.present_gpu import PresentGpu


class PlanOnCpu(OnnxRuntimeEngine):
    """A plan that takes as much memory as it is told to."""

    memory_bytes = 100 << 20

    def __init__(self, _trt: Any, content: bytes, *, version_compatible: bool = False) -> None:
        super().__init__(content)

    def resident(self, inputs: Mapping[str, NDArray[Any]]) -> Callable[[], None]:
        """Compute on the same inputs again and again."""
        held = {name: np.array(array) for name, array in inputs.items()}

        def compute() -> None:
            self._session.run(None, held)

        return compute


def _layers_of(graph: onnx.ModelProto) -> LayerTypes:
    """Convolutions behind Q/DQ nodes are INT8, and all others FP16."""
    nodes = graph.graph.node
    dequantised = {node.output[0] for node in nodes if node.op_type == "DequantizeLinear"}
    counts = Counter(
        "INT8" if node.input[0] in dequantised else "HALF"
        for node in nodes
        if node.op_type == "Conv"
    )
    return LayerTypes(counts={"CONVOLUTION": dict(counts)}, inspected=True)


def stand_in_for_tensorrt(
    monkeypatch: pytest.MonkeyPatch, *, memory_mib: int = 8192
) -> list[tuple[str, BuildOptions]]:
    """A card of Turing's with so much memory, and TensorRT 11.3; what is built is listed."""
    built: list[tuple[str, BuildOptions]] = []

    def engine_from_onnx(
        _trt: Any, graph: onnx.ModelProto, options: BuildOptions, **_: Any
    ) -> TensorrtEngine:
        built.append((graph.graph.name, options))
        return TensorrtEngine(
            plan=graph.SerializeToString(), layers=_layers_of(graph), timing_cache=b""
        )

    gpu = PresentGpu(name="NVIDIA T4", capability="7.5", driver=580, memory_mib=memory_mib)
    trt = types.SimpleNamespace(__name__="tensorrt", __version__="11.3.0.99")
    monkeypatch.setattr(library, "require_tensorrt", lambda: trt)
    monkeypatch.setattr(builder, "engine_from_onnx", engine_from_onnx)
    monkeypatch.setattr(plan, "PlanEngine", PlanOnCpu)
    monkeypatch.setattr(present_gpu, "present_gpu", lambda: gpu)
    return built
