"""ONNX Runtime on a GPU; without one, that the CPU never stands in for it unsaid."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest

from infmap_kit.errors import HostMismatch
from infmap_kit.gate.cuda_engine import CudaEngine, has_cuda_provider
from infmap_kit.gate.engines import CPU_PROVIDER, DeviceEngine, OnnxRuntimeEngine
from infmap_kit.gate.pictures import synthetic_pictures
from infmap_kit.graphs.preparation import prepare_segmentation
from infmap_kit.tensorrt.present_gpu import has_gpu
from small_network import small_network

GRAPH = prepare_segmentation(small_network()).SerializeToString()
PICTURES = np.stack([picture for _, picture in synthetic_pictures()[:3]])


class _OnCpu(CudaEngine):
    """Its memory and its bindings on the CPU, which ONNX Runtime has the same calls for."""

    device: ClassVar[str] = "cpu"

    def providers(self) -> list[Any]:
        # The first is not the CPU's, so that it counts as started.
        return ["AzureExecutionProvider", CPU_PROVIDER]


@pytest.mark.skipif(has_gpu(), reason="is about machines without an NVIDIA GPU")
@pytest.mark.filterwarnings("ignore:Specified provider")
def test_the_cpu_does_not_take_the_gpus_place_in_silence() -> None:
    assert not has_cuda_provider()
    with pytest.raises(HostMismatch, match="CUDA provider does not start") as caught:
        CudaEngine(GRAPH)
    assert "\n" not in str(caught.value)


def test_what_is_bound_is_computed_again_and_again_into_the_same_memory() -> None:
    engine = _OnCpu(GRAPH)
    assert isinstance(engine, DeviceEngine)
    expected = OnnxRuntimeEngine(GRAPH).infer(PICTURES)
    compute, outputs = engine.bound({"IMAGE": PICTURES})
    for _ in range(2):
        compute()
        np.testing.assert_array_equal(outputs()["probability"], expected)
    np.testing.assert_array_equal(engine.infer(PICTURES), expected)
    engine.resident({"IMAGE": PICTURES})()


@pytest.mark.gpu
@pytest.mark.skipif(not has_cuda_provider(), reason="needs an NVIDIA GPU and onnxruntime-gpu")
def test_a_gpu_answers_as_the_cpu_does() -> None:
    expected = OnnxRuntimeEngine(GRAPH).infer(PICTURES)
    np.testing.assert_allclose(CudaEngine(GRAPH).infer(PICTURES), expected, atol=1e-4)
    compute, outputs = CudaEngine(GRAPH, recorded=True).bound({"IMAGE": PICTURES})
    for _ in range(3):
        compute()
    np.testing.assert_allclose(outputs()["probability"], expected, atol=1e-4)
