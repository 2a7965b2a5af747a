"""A part registered in one file outside the package goes the whole way, and its output reaches the JSON."""

from __future__ import annotations

from pathlib import Path

import pytest

from infmap_kit.errors import BundleError, ExportError, GateFailed
from infmap_kit.gate.comparison import compare
from infmap_kit.gate.pictures import synthetic_pictures
from infmap_kit.gate.report import markdown
from infmap_kit.host.inspection import inspect
from infmap_kit.parts.part import Part
from infmap_kit.release.bundle import read_bundle, write_bundle
from infmap_kit.release.compilation import graphs_at
from infmap_kit.release.export import publish
from infmap_kit.release.install import install_bundle
from infmap_kit.release.origin import read_origin
from infmap_kit.release.publish import reference_runner
from infmap_kit.release.source import Source, read_source, with_parts
from infmap_kit.release.verify import compare_repository
from infmap_kit.targets.embedded import EmbeddedOptions
from infmap_kit.triton.config import parse_config
from infmap_kit.triton.releases import releases_of, roll_back
from small_network import small_classifier_run, small_lung_run, small_run
from toy_part import brightness, brightness_run

__all__ = ["brightness"]

PICTURES = synthetic_pictures()[:2]


@pytest.fixture
def source(brightness: Part, tmp_path: Path) -> Source:
    parts = {
        brightness.name: brightness_run(tmp_path / "brightness"),
        "lungs": small_lung_run(tmp_path / "lungs"),
        "classifier": small_classifier_run(tmp_path / "classifier"),
    }
    return with_parts(read_source(small_run(tmp_path / "run")), parts)


def test_a_toy_part_is_published_proved_and_rolled_back(source: Source, tmp_path: Path) -> None:
    repository = tmp_path / "r"
    manifest, gate = publish(source, repository, EmbeddedOptions(), pictures=PICTURES)
    assert manifest.model["brightness"]["version"] == "3"
    assert gate.summary()["brightness"] == {"largest_error": pytest.approx(0, abs=1e-5)}
    assert "brightness: largest error" in markdown(gate)
    config = parse_config((repository / "infmap" / "config.pbtxt").read_text())
    assert config.output[-1].name == "BRIGHTNESS"
    assert config.parameters["brightness_version"].string_value == "3"
    compare_repository(
        source, repository, reference=reference_runner(source), pictures=PICTURES
    ).require()
    assert "brightness" in graphs_at(repository)
    others = {"lungs": tmp_path / "lungs", "classifier": tmp_path / "classifier"}
    alone = with_parts(read_source(tmp_path / "run"), others)
    with pytest.raises(GateFailed, match="serves another brightness.*give its run as --brightness"):
        compare_repository(alone, repository, reference=reference_runner(alone), pictures=PICTURES)
    publish(alone, repository, EmbeddedOptions(), pictures=PICTURES)
    assert len(releases_of(repository)) == 2
    assert "brightness" in roll_back(repository).model
    assert inspect(repository)["whole"]


def test_a_toy_part_is_said_in_the_answer(source: Source) -> None:
    document = reference_runner(source).predict(*PICTURES[0]).as_json()
    assert document["brightness"] == round(float(PICTURES[0][1].mean() / 255), 4)
    assert {"lungs", "classifier", "grade"} <= document.keys()


def test_another_toy_part_fails_the_gate(source: Source, tmp_path: Path) -> None:
    bent = with_parts(source, {"brightness": brightness_run(tmp_path / "b", gain=1.1)})
    with pytest.raises(GateFailed, match="brightness is off by"):
        compare(reference_runner(source), reference_runner(bent), PICTURES).require()
    with pytest.raises(ExportError, match="knows nothing of brightness"):
        with_parts(source, {"brightness": tmp_path / "run"})


def test_a_bundle_carries_a_toy_part(source: Source, tmp_path: Path) -> None:
    parts = {"brightness": tmp_path / "brightness"}
    record = write_bundle(tmp_path / "run", tmp_path / "b", pictures=PICTURES, parts=parts)
    assert record["brightness"]["name"] == "brightness"
    assert read_bundle(tmp_path / "b").source.contract.parts == ("brightness",)
    manifest, gate = install_bundle(
        tmp_path / "b", tmp_path / "r", EmbeddedOptions(), unsigned=True
    )
    gate.require()
    assert manifest.gate["brightness"]["largest_error"] < 1e-3
    with pytest.raises(BundleError, match="leave --brightness out"):
        read_origin(tmp_path / "b", parts=parts)
