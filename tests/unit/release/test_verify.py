"""The gate for what was published already."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from infmap_kit.errors import GateFailed, HostMismatch, SpecError
from infmap_kit.gate.pictures import synthetic_pictures
from infmap_kit.gate.report import Evidence
from infmap_kit.model.finding import COVID_19, Code
from infmap_kit.release.export import publish
from infmap_kit.release.publish import reference_runner
from infmap_kit.release.source import Source, read_source, with_finding
from infmap_kit.release.verify import compare_repository
from infmap_kit.targets.embedded import EmbeddedOptions
from infmap_kit.targets.onnxruntime import OnnxruntimeOptions
from infmap_kit.targets.openvino import OpenvinoOptions
from infmap_kit.targets.target import TargetOptions
from infmap_kit.triton.repository import write_manifest
from published import seal_anew
from small_network import small_network

PICTURES = synthetic_pictures()[:2]


def _source(folder: Path, *, bias: float = -9.0) -> Source:
    path = folder / f"small{bias}.onnx"
    onnx.save(small_network(bias=bias), path)
    return read_source(path)


@pytest.fixture
def source(tmp_path: Path) -> Source:
    return _source(tmp_path)


def _verify(source: Source, repository: Path, **more: object) -> None:
    compare_repository(
        source,
        repository,
        reference=reference_runner(source),
        pictures=PICTURES,
        **more,  # type: ignore[arg-type]
    ).require()


@pytest.mark.parametrize(
    "options",
    [
        EmbeddedOptions(),
        OnnxruntimeOptions(batches=(1,)),
        OpenvinoOptions(batches=(1,)),
    ],
)
def test_what_was_published_passes(source: Source, tmp_path: Path, options: TargetOptions) -> None:
    publish(source, tmp_path / "r", options, pictures=PICTURES)
    _verify(source, tmp_path / "r", evidence=Evidence(tmp_path / "report"))
    assert sorted(path.name for path in (tmp_path / "report").iterdir()) == [
        "gate.json",
        "gate.md",
        "worst.png",
    ]


def test_an_engine_of_another_run_is_named(source: Source, tmp_path: Path) -> None:
    publish(_source(tmp_path, bias=-8.5), tmp_path / "r", EmbeddedOptions(), pictures=PICTURES)
    with pytest.raises(GateFailed, match="is of another network: expected the graph"):
        _verify(source, tmp_path / "r")


def test_an_engine_that_was_exchanged_under_a_repaired_manifest_fails(
    source: Source, tmp_path: Path
) -> None:
    repository = tmp_path / "r"
    publish(source, repository, EmbeddedOptions(), pictures=PICTURES)
    path = repository / "infmap" / "1" / "segmentation.onnx"
    model = onnx.load(path)
    (weight,) = [t for t in model.graph.initializer if t.name == "weight"]
    noise = np.random.default_rng(0).normal(1, 0.05, (1, 1, 3, 3)).astype(np.float32)
    weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight) * noise, "weight"))
    onnx.save(model, path)
    with pytest.raises(SpecError, match="is not what was exported"):
        _verify(source, repository)
    seal_anew(repository)
    with pytest.raises(GateFailed, match="Dice of at least"):
        _verify(source, repository)


def test_the_same_network_under_another_finding_is_named(source: Source, tmp_path: Path) -> None:
    """Its numbers are the same, and every result would go by another disease's name."""
    pneumonia = dataclasses.replace(
        COVID_19, name="Pneumonia", condition=Code("233604007", "SCT", "Pneumonia")
    )
    publish(with_finding(source, pneumonia), tmp_path / "r", EmbeddedOptions(), pictures=PICTURES)
    expected = "of another finding: expected COVID-19 infection, found Pneumonia .*name, condition"
    with pytest.raises(GateFailed, match=expected):
        _verify(source, tmp_path / "r")
    _verify(with_finding(source, pneumonia), tmp_path / "r")


def test_a_truncated_engine_is_found(source: Source, tmp_path: Path) -> None:
    repository = tmp_path / "r"
    publish(source, repository, EmbeddedOptions(), pictures=PICTURES)
    path = repository / "infmap" / "1" / "segmentation.onnx"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(SpecError, match=r"segmentation\.onnx is not what was exported"):
        _verify(source, repository)


def test_plans_are_verified_by_their_server(source: Source, tmp_path: Path) -> None:
    repository = tmp_path / "r"
    manifest, _ = publish(source, repository, EmbeddedOptions(), pictures=PICTURES)
    (repository / "infmap" / "1" / "rendering.onnx").unlink()
    write_manifest(
        repository, target="tensorrt", precision="fp16", model=manifest.model, built_with={}
    )
    with pytest.raises(HostMismatch, match="name the server with --url"):
        _verify(source, repository)
