"""The choice of the embedded target among its precisions."""

from __future__ import annotations

from pathlib import Path

import onnx

from infmap_kit.gate.pictures import synthetic_pictures
from infmap_kit.release.export import publish
from infmap_kit.release.source import read_source
from infmap_kit.targets.candidates import candidates_table
from infmap_kit.targets.embedded import EmbeddedOptions
from small_network import small_network


def test_without_a_precision_the_fastest_that_passes_is_published(tmp_path: Path) -> None:
    onnx.save(small_network(), tmp_path / "small.onnx")
    manifest, gate = publish(
        read_source(tmp_path / "small.onnx"),
        tmp_path / "repository",
        EmbeddedOptions(precision=None),
        pictures=synthetic_pictures()[:2],
    )
    tried = manifest.model["candidates"]
    assert gate.passed
    assert [entry["precision"] for entry in tried] == ["fp32", "bf16", "int8"]
    timed = {entry["precision"]: entry["p50_ms"] for entry in tried if "p50_ms" in entry}
    assert manifest.precision == min(timed, key=lambda precision: timed[precision])
    assert len(candidates_table(tried).rows) == 3
