"""Plans on a GPU; without one, that they are refused in one line."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from infmap_kit.errors import HostMismatch
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
