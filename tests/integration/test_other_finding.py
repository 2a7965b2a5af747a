"""Another finding than COVID-19, named by one TOML file: exported, served, inferred and stored."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset, dcmread

from dicom_files import as_file, chest_dataset
from infmap_kit.gate.pictures import synthetic_pictures
from infmap_kit.model.paint import Paint
from infmap_kit.release.bundle import read_bundle, write_bundle
from infmap_kit.release.export import publish
from infmap_kit.release.publish import reference_runner
from infmap_kit.release.source import read_source
from infmap_kit.release.verify import compare_served
from infmap_kit.serving.server import free_ports, serving
from infmap_kit.targets.embedded import EmbeddedOptions
from infmap_kit.triton.client import InfmapClient
from infmap_kit.triton.repository import Manifest
from infmap_kit.triton.server.process import TritonServer
from other_finding import TUBERCULOSIS, tuberculosis_run
from paints import painted_apart

_HALF = 71
"""Where the small network's probability is 0.5; it is 0.55 three levels of gray above, and 0.6 six."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tuberculosis_run(tmp_path_factory.mktemp("tb") / "run")


@pytest.fixture(scope="module")
def repository(run: Path) -> Path:
    folder = run.with_name("model_repository")
    publish(read_source(run), folder, EmbeddedOptions(), pictures=synthetic_pictures()[:2])
    return folder


@pytest.fixture(scope="module")
def server(repository: Path) -> Iterator[TritonServer]:
    with serving(repository, free_ports()) as running:
        yield running


def _flat(level: int) -> NDArray[np.uint8]:
    return np.full((224, 224), level, np.uint8)


@pytest.fixture(scope="module")
def results(server: TritonServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every format about a DICOM file, and about one that is no radiograph, as a user asks for them."""
    folder = tmp_path_factory.mktemp("results")
    (folder / "chest.dcm").write_bytes(as_file(chest_dataset()))
    blank = chest_dataset(np.zeros((320, 260), np.uint16))
    (folder / "blank.dcm").write_bytes(as_file(blank))
    command = [
        sys.executable,
        "-m",
        "infmap_kit",
        "infer",
        "chest.dcm",
        "blank.dcm",
        "--output",
        "out",
    ]
    done = subprocess.run(
        [*command, "--format", "png,json,dicom,gsps", "--url", server.grpc_url],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        timeout=120,
    )
    assert done.returncode == 6, done.stderr
    (folder / "printed.txt").write_text(done.stdout + done.stderr)
    return folder


def _object(results: Path, kind: str) -> Dataset:
    (path,) = (
        path
        for path in results.glob(f"out/*.{kind}.dcm")
        if path.with_name(f"{_stem(path)}.json").is_file()
    )
    return dcmread(path)


def _stem(path: Path) -> str:
    return path.name.partition(".")[0]


def _codes(dataset: Dataset) -> set[tuple[str, str]]:
    return {
        (str(item.get("CodeValue") or item.get("LongCodeValue")), str(item.CodeMeaning))
        for item in _items(dataset)
        if "CodeMeaning" in item
    }


def _items(dataset: Dataset) -> Iterator[Dataset]:
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                yield item
                yield from _items(item)


def test_a_pixel_between_half_and_the_threshold_does_not_count(server: TritonServer) -> None:
    with InfmapClient(server.grpc_url) as client:
        below, above = (client.infer(_flat(_HALF + more), _flat(200)) for more in (3, 8))
    assert 0.5 < below["PROBABILITY"].max() < 0.6 < above["PROBABILITY"].max()
    assert (int(below["DETECTED"]), float(below["SEVERITY"])) == (0, 0)
    assert int(above["DETECTED"]) == 1
    assert float(above["SEVERITY"]) == pytest.approx(100 * (above["PROBABILITY"] >= 0.6).mean())


def test_the_map_has_the_colours_that_it_names(server: TritonServer) -> None:
    with InfmapClient(server.grpc_url) as client:
        answer = client.infer(_flat(120), _flat(200))
    expected = {
        table: painted_apart(_flat(200), answer["PROBABILITY"], Paint(), table)
        for table in ("inferno", "jet")
    }
    assert np.abs(answer["INFECTION_MAP"].astype(int) - expected["inferno"]).max() <= 2
    assert np.abs(answer["INFECTION_MAP"].astype(int) - expected["jet"]).max() > 50


def test_the_gate_proves_it_in_the_running_server(run: Path, server: TritonServer) -> None:
    source = read_source(run)
    pictures = [("below", _flat(_HALF + 3)), ("above", _flat(_HALF + 8)), *synthetic_pictures()[:2]]
    gate = compare_served(
        source, server.grpc_url, reference=reference_runner(source), pictures=pictures
    )
    assert gate.reasons() == []
    assert [one.detected for one in gate.pictures[:2]] == [False, True]
    assert gate.pictures[0].margin == pytest.approx(-0.05, abs=0.02)


def test_the_json_is_of_tuberculosis(results: Path) -> None:
    (path,) = results.glob("out/*.json")
    document: dict[str, Any] = json.loads(path.read_text())
    assert document["model"]["finding_name"] == "Pulmonary tuberculosis"
    assert json.loads(document["model"]["finding_condition"])[0] == "56717001"
    assert document["notice"] == TUBERCULOSIS.notice
    assert document["detected"] is True
    assert "covid" not in path.read_text().lower()


def test_the_table_says_tuberculosis(results: Path) -> None:
    printed = (results / "printed.txt").read_text()
    assert "Tuberculosis" in printed
    assert "suspected" in printed
    assert "covid" not in printed.lower()


def test_the_structured_report_says_tuberculosis_with_its_codes(results: Path) -> None:
    report = _object(results, "sr")
    codes = _codes(report)
    assert ("56717001", "Tuberculosis") in codes
    assert ("TUBERCULOSIS-AFFECTED-IMAGE", "Affected share of the image") in codes
    assert report.SeriesDescription == "Tuberculosis report"
    answers = {
        str(item.ConceptNameCodeSequence[0].CodeMeaning): item.ConceptCodeSequence[0].CodeMeaning
        for item in _items(report)
        if item.get("ValueType") == "CODE"
    }
    assert answers["Tuberculosis"] == "Detected"


def test_the_segment_is_of_tuberculosis_above_its_threshold(results: Path) -> None:
    masks = _object(results, "seg")
    assert masks.SegmentSequence[0].SegmentLabel == "Pulmonary tuberculosis"
    assert masks.ContentLabel == "TUBERCULOSIS"
    (path,) = results.glob("out/*.json")
    severity = json.loads(path.read_text())["severity_at_threshold"]
    share = 100 * float(masks.pixel_array.mean())
    # What is of the mask at its native size is what severity counts at the network's.
    assert share == pytest.approx(severity["0.6"], abs=0.6)
    assert abs(share - severity["0.6"]) < abs(share - severity["0.5"])


@pytest.mark.parametrize("kind", ["sc", "seg", "sr", "gsps"])
def test_no_object_says_anything_of_covid_19(results: Path, kind: str) -> None:
    text = str(_object(results, kind)).lower()
    assert "tuberculosis" in text
    assert "covid" not in text
    assert "infect" not in text
    assert "840539006" not in text


def test_a_rejection_is_reported_without_any_finding(results: Path) -> None:
    (path,) = (
        path
        for path in results.glob("out/*.sr.dcm")
        if not path.with_name(f"{_stem(path)}.json").is_file()
    )
    assert ("56717001", "Tuberculosis") not in _codes(dcmread(path))
    assert ("111225", "Not Attempted") in _codes(dcmread(path))
    assert "covid" not in str(dcmread(path)).lower()


def test_the_manifest_says_what_is_served(repository: Path) -> None:
    assert Manifest.read(repository).model["finding"] == TUBERCULOSIS.as_parameters()


def test_a_bundle_carries_it(run: Path, tmp_path: Path) -> None:
    path = tmp_path / "tb.infmap"
    write_bundle(run, path, pictures=[("one", _flat(_HALF + 3)), *synthetic_pictures()[:1]])
    bundle = read_bundle(path)
    assert bundle.source.finding == TUBERCULOSIS
    name, picture = bundle.pictures[0]
    assert not bundle.reference.predict(name, picture).detected
    publish(
        bundle.source,
        tmp_path / "model_repository",
        EmbeddedOptions(),
        pictures=bundle.pictures,
        reference=bundle.reference,
    )
