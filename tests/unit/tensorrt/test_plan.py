"""Plans on a GPU; without one, that they are refused in one line."""

from __future__ import annotations

import ctypes
import gc
import math
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from infmap_kit.errors import HostMismatch
from infmap_kit.gate.engines import DeviceEngine
from infmap_kit.gate.pictures import synthetic_pictures
from infmap_kit.graphs.preparation import prepare_segmentation
from infmap_kit.release.export import publish
from infmap_kit.release.source import read_source
from infmap_kit.targets.tensorrt import TensorrtOptions
from infmap_kit.tensorrt.builder import BuildOptions, engine_from_onnx
from infmap_kit.tensorrt.plan import PlanEngine
from infmap_kit.tensorrt.present_gpu import has_gpu
from infmap_kit.tensorrt.profiles import profiles_of
from infmap_kit.triton.repository import check_repository
from small_network import small_network


@pytest.mark.skipif(has_gpu(), reason="is about machines without an NVIDIA GPU")
def test_without_a_gpu_a_plan_is_refused_in_one_line() -> None:
    trt = pytest.importorskip("tensorrt_rtx_bindings", reason="needs infmap-kit[compile]")
    options = BuildOptions(
        profiles=profiles_of("segmentation", (1,)), compute_capabilities=("SM75",)
    )
    plan = engine_from_onnx(trt, prepare_segmentation(small_network()), options).plan
    with pytest.raises(HostMismatch, match="does not load on this machine") as caught:
        PlanEngine(trt, plan)
    assert "\n" not in str(caught.value)


@pytest.mark.gpu
@pytest.mark.skipif(not has_gpu(), reason="needs an NVIDIA GPU")
def test_plans_are_published_when_they_decide_as_their_reference(tmp_path: Path) -> None:
    pytest.importorskip("tensorrt", reason="needs infmap-kit[tensorrt]")
    onnx.save(small_network(), tmp_path / "small.onnx")
    manifest, gate = publish(
        read_source(tmp_path / "small.onnx"),
        tmp_path / "repository",
        TensorrtOptions(batches=(1, 4)),
        pictures=synthetic_pictures(),
    )
    assert check_repository(tmp_path / "repository") == manifest
    assert gate.flips == ()
    assert manifest.model["layers"]["segmentation"]["inspected"]
    assert manifest.model["layers"]["segmentation"]["fp16_share"] == 1


class _Memory:
    """CUDA's memory calls, on host memory that they alone hand out."""

    def __init__(self) -> None:
        self.blocks: dict[int, ctypes.Array[ctypes.c_char]] = {}
        self.copied = 0
        self.cudaMemcpyKind = types.SimpleNamespace(
            cudaMemcpyHostToDevice=1, cudaMemcpyDeviceToHost=2
        )

    def cudaMalloc(self, size: int) -> tuple[int, int]:  # noqa: N802
        block = ctypes.create_string_buffer(size)
        self.blocks[ctypes.addressof(block)] = block
        return 0, ctypes.addressof(block)

    def cudaFree(self, address: int) -> tuple[int]:  # noqa: N802
        del self.blocks[address]
        return (0,)

    def cudaMemcpy(self, to: int, source: int, size: int, kind: int) -> tuple[int]:  # noqa: N802
        assert (to if kind == 1 else source) in self.blocks
        ctypes.memmove(to, source, size)
        self.copied += 1
        return (0,)

    def cudaStreamCreate(self) -> tuple[int, int]:  # noqa: N802
        return 0, 7

    def cudaStreamDestroy(self, _stream: int) -> tuple[int]:  # noqa: N802
        return (0,)

    def cudaStreamSynchronize(self, _stream: int) -> tuple[int]:  # noqa: N802
        return (0,)


class _Doubling:
    """An engine of two profiles, one picture and up to four, that writes means and doubles."""

    num_io_tensors = 3
    num_optimization_profiles = 2

    def __init__(self) -> None:
        self.profiles: list[int] = []
        self.refuses = ""

    def get_tensor_name(self, index: int) -> str:
        return ("IMAGE", "mean", "double")[index]

    def get_tensor_mode(self, name: str) -> str:
        return "in" if name == "IMAGE" else "out"

    def get_tensor_dtype(self, name: str) -> str:
        return "float32"

    def get_tensor_profile_shape(self, _name: str, index: int) -> list[tuple[int, ...]]:
        return [(1, 2, 2), (1, 2, 2), ((1, 4)[index], 2, 2)]

    def create_execution_context(self) -> _Context | None:
        return None if self.refuses == "context" else _Context(self)


class _Context:
    def __init__(self, engine: _Doubling) -> None:
        self._engine = engine
        self._addresses: dict[str, int] = {}

    def set_optimization_profile_async(self, index: int, _stream: int) -> bool:
        self._engine.profiles.append(index)
        return self._engine.refuses != "profile"

    def set_input_shape(self, _name: str, shape: tuple[int, ...]) -> bool:
        self._shape = shape
        return self._engine.refuses != "shape"

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return self._shape[:1] if name == "mean" else self._shape

    def set_tensor_address(self, name: str, address: int) -> bool:
        self._addresses[name] = address
        return self._engine.refuses != "address"

    def execute_async_v3(self, _stream: int) -> bool:
        count = math.prod(self._shape)
        image = np.ctypeslib.as_array(
            (ctypes.c_uint8 * count).from_address(self._addresses["IMAGE"])
        )
        for name, value in (
            ("mean", image.reshape(self._shape).mean((1, 2))),
            ("double", 2.0 * image),
        ):
            content = value.astype(np.float32)
            ctypes.memmove(self._addresses[name], content.ctypes.data, content.nbytes)
        return True


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> tuple[Any, _Doubling, _Memory]:
    """TensorRT's and CUDA's calls where neither is, so that what is called in which order is seen."""
    engine, memory = _Doubling(), _Memory()
    trt = types.SimpleNamespace(
        __name__="stand_in",
        ILogger=type("ILogger", (), {"ERROR": 1, "INTERNAL_ERROR": 0}),
        Runtime=lambda _: types.SimpleNamespace(deserialize_cuda_engine=lambda _: engine),
        TensorIOMode=types.SimpleNamespace(INPUT="in", OUTPUT="out"),
        nptype=np.dtype,
    )
    bindings = types.ModuleType("cuda.bindings")
    bindings.runtime = memory  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "cuda", types.ModuleType("cuda"))
    monkeypatch.setitem(sys.modules, "cuda.bindings", bindings)
    return trt, engine, memory


def test_a_plan_of_any_graph_is_run_in_the_profile_that_fits(
    stand_in: tuple[Any, _Doubling, _Memory],
) -> None:
    trt, engine, memory = stand_in
    plan = PlanEngine(trt, b"")
    for count in (1, 3):
        images = np.arange(4 * count, dtype=np.uint8).reshape(count, 2, 2)
        outputs = plan.run({"IMAGE": images}, ("double", "mean"))
        np.testing.assert_array_equal(outputs["double"], 2.0 * images)
        np.testing.assert_array_equal(outputs["mean"], images.mean((1, 2)))
    assert engine.profiles == [0, 1]
    assert list(plan.infer(images)) == list(outputs["mean"])
    assert memory.blocks == {}, "memory of the GPU is given back"
    with pytest.raises(HostMismatch, match=r"no profile for inputs of .*\(5, 2, 2\)"):
        plan.run({"IMAGE": np.zeros((5, 2, 2), np.uint8)}, ("mean",))


@pytest.mark.parametrize("refused", ["profile", "shape", "address"])
def test_what_tensorrt_refuses_by_false_ends_the_run(
    stand_in: tuple[Any, _Doubling, _Memory], refused: str
) -> None:
    """Ignored, it would compute on what an earlier request left."""
    trt, engine, memory = stand_in
    engine.refuses = refused
    with pytest.raises(HostMismatch, match=f"TensorRT does not take .*{refused[:4]}|memory for"):
        PlanEngine(trt, b"").run({"IMAGE": np.zeros((1, 2, 2), np.uint8)}, ("mean",))
    assert memory.blocks == {}


def test_a_plan_that_the_gpu_has_no_room_for_is_refused_in_one_line(
    stand_in: tuple[Any, _Doubling, _Memory],
) -> None:
    """TensorRT gives no context then, and says why in its log alone."""
    trt, engine, _ = stand_in
    plan = PlanEngine(trt, b"")
    engine.refuses = "context"
    for ask in (lambda: PlanEngine(trt, b""), lambda: plan.resident({})):
        with pytest.raises(HostMismatch, match="too little memory free .*smaller --batches"):
            ask()


def test_the_engine_alone_transfers_nothing(stand_in: tuple[Any, _Doubling, _Memory]) -> None:
    trt, _, memory = stand_in
    plan = PlanEngine(trt, b"")
    assert isinstance(plan, DeviceEngine)
    compute = plan.resident({"IMAGE": np.ones((1, 2, 2), np.uint8)})
    copied = memory.copied
    for _ in range(3):
        compute()
    assert memory.copied == copied
    assert memory.blocks
    del plan, compute
    gc.collect()
    assert memory.blocks == {}
