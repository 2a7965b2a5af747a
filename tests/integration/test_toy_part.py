"""A part from outside the package is served, measured and examined, and what it says stands in the JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from infmap_kit.bench.measure import BenchOptions, measure
from infmap_kit.bench.scopes import SERVED_ENSEMBLE
from infmap_kit.gate.pictures import synthetic_pictures
from infmap_kit.host.doctor import examine
from infmap_kit.imaging.synthetic.folder import write_synthetic
from infmap_kit.parts.part import Part
from infmap_kit.release.export import publish
from infmap_kit.release.publish import reference_runner
from infmap_kit.release.source import read_source, with_parts
from infmap_kit.release.verify import compare_served
from infmap_kit.results.infer import InferenceRun
from infmap_kit.serving.server import free_ports, serving
from infmap_kit.targets.check import Status
from infmap_kit.targets.embedded import EmbeddedOptions
from infmap_kit.triton.client import InfmapClient
from pictures import read_picture
from small_network import small_run
from toy_part import brightness, brightness_run

__all__ = ["brightness"]


@pytest.fixture
def repository(brightness: Part, tmp_path: Path) -> Path:
    parts = {brightness.name: brightness_run(tmp_path / "brightness")}
    source = with_parts(read_source(small_run(tmp_path / "run")), parts)
    publish(source, tmp_path / "r", EmbeddedOptions(), pictures=synthetic_pictures()[:1])
    return tmp_path / "r"


def test_what_a_toy_part_says_reaches_the_json(repository: Path, tmp_path: Path) -> None:
    write_synthetic(tmp_path / "set", count=2, size=256, seed=1)
    files = sorted((tmp_path / "set" / "images").iterdir())
    runs = {"brightness": tmp_path / "brightness"}
    source = with_parts(read_source(tmp_path / "run"), runs)
    with serving(repository, free_ports()) as server:
        with InfmapClient(server.grpc_url) as client:
            outcomes = list(InferenceRun(files, tmp_path / "out", client))
        compare_served(
            source,
            server.grpc_url,
            reference=reference_runner(source),
            pictures=synthetic_pictures()[:2],
        ).require()
    for outcome in outcomes:
        assert outcome.json_path is not None
        document = json.loads(outcome.json_path.read_text())
        mean = read_picture(outcome.source, gray=True).mean() / 255
        assert document["brightness"] == pytest.approx(mean, abs=0.005)
        assert document["model"]["brightness_version"] == "3"


def test_a_repository_with_a_toy_part_is_measured_and_examined(repository: Path) -> None:
    options = BenchOptions(
        samples=10, warm_up=2, tolerance_percent=1000, budget_s=60, independent=False
    )
    record = measure(repository, [], options)
    assert not record.failure
    assert record.as_json()["scopes"][SERVED_ENSEMBLE]["samples_ms"]
    checks = {check.name: check for check in examine(repository, free_ports())}
    assert checks["repository"].status is Status.OK
