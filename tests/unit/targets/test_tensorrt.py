"""What target tensorrt asks of NVIDIA's library, and what it refuses before a server would fail."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from infmap_kit.errors import HostMismatch
from infmap_kit.gate.pictures import synthetic_pictures
from infmap_kit.parts.contract import Contract
from infmap_kit.release.export import publish
from infmap_kit.release.source import read_source
from infmap_kit.targets.tensorrt import TensorrtOptions
from infmap_kit.tensorrt.profiles import LARGEST_CANVAS, profiles_of
from infmap_kit.triton.repository import Manifest
from plans_without_gpu import PlanOnCpu, stand_in_for_tensorrt
from small_network import small_network


def _publish(folder: Path) -> Manifest:
    onnx.save(small_network(), folder / "small.onnx")
    manifest, _ = publish(
        read_source(folder / "small.onnx"),
        folder / "repository",
        TensorrtOptions(batches=(1, 4), portable=True),
        pictures=synthetic_pictures()[:2],
    )
    return manifest


def test_each_graph_is_built_for_its_profiles_and_its_memory_is_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = stand_in_for_tensorrt(monkeypatch)
    manifest = _publish(tmp_path)
    assert [options.profiles for _, options in built] == [
        profiles_of(name, (1, 4), Contract(summary=True))
        for name in ("segmentation", "detection", "rendering", "summary")
    ]
    assert all(options.portable for _, options in built)
    assert manifest.built_with["gpu"] == "NVIDIA T4"
    assert all(size > 100 << 20 for size in manifest.model["gpu_memory_bytes"].values())
    # Each of the batches was proved, and not the single picture alone.
    assert set(manifest.gate["batches"]) == {"4"}


def test_pictures_too_large_for_the_card_are_told_before_anything_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rendering at 5120x5120 on 8 GB: the server would end at its start, or at the first such picture."""
    assert LARGEST_CANVAS == 5120
    stand_in_for_tensorrt(monkeypatch, memory_mib=8192)
    monkeypatch.setattr(PlanOnCpu, "memory_bytes", 5 << 30)
    with pytest.raises(
        HostMismatch, match="the plans take 10240 MiB .* NVIDIA T4 has 8192: export"
    ) as caught:
        _publish(tmp_path)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "repository").exists()
