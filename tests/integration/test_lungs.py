"""Lungs on a real server: as one model, as steps of an ensemble, and through releases with and without."""

from __future__ import annotations

import dataclasses
import itertools
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread
from tritonclient import grpc

from infmap_kit.gate.pictures import synthetic_pictures
from infmap_kit.imaging.network_input import network_input
from infmap_kit.imaging.radiograph import Radiograph
from infmap_kit.imaging.synthetic.drawing import synthetic_radiograph
from infmap_kit.model.paint import Paint
from infmap_kit.model.tensors import LUNG_OUTPUTS
from infmap_kit.parts.contract import Contract
from infmap_kit.release.export import publish
from infmap_kit.release.publish import reference_runner
from infmap_kit.release.source import Source, read_source, with_parts
from infmap_kit.release.verify import compare_served
from infmap_kit.serving.server import free_ports, serving
from infmap_kit.serving.supervisor import supervised
from infmap_kit.targets.embedded import EmbeddedOptions
from infmap_kit.targets.openvino import OpenvinoOptions
from infmap_kit.triton.client import InfmapClient
from infmap_kit.triton.inference import find_infection
from infmap_kit.triton.releases import roll_back
from infmap_kit.triton.server.process import TritonServer
from infmap_kit.triton.server.runtime import find_runtime
from paints import painted_apart
from patience import PATIENCE_S
from published import answered_by_the_runner
from settled import requests_settled
from small_network import small_lung_run, small_run

CONTRACT = Contract(("lungs",))
PAINT = Paint(paint_in="lungs", colours="turbo")
SHAPES = {
    "DETECTED": (2,), "SEVERITY": (2,), "PROBABILITY": (2, 224, 224),
    "INFECTION_MAP": (2, 60, 50, 3), "LUNGS": (2, 224, 224), "LUNG_SEVERITY": (2, 2),
    "ZONE_SEVERITY": (2, 6), "SEVERITY_OF_LUNGS": (2,), "SEVERITY_AT": (2, 5),
}  # fmt: skip
SUBSETS = [subset for size in range(1, 10) for subset in itertools.combinations(SHAPES, size)]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    folder = tmp_path_factory.mktemp("lungs")
    run, lungs = small_run(folder / "run"), small_lung_run(folder / "lungs")
    return with_parts(read_source(run), {"lungs": lungs})


@pytest.fixture(scope="module")
def joined(source: Source, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonServer]:
    """The embedded target: one model, which paints inside the lungs."""
    repository = tmp_path_factory.mktemp("joined") / "model_repository"
    clipped = dataclasses.replace(source, paint=PAINT)
    publish(clipped, repository, EmbeddedOptions(threads=1), pictures=synthetic_pictures()[:1])
    with serving(repository, free_ports()) as server:
        yield server


@pytest.fixture(scope="module")
def steps(source: Source, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonServer]:
    """Triton's ensemble with each graph a step of it, answered by the runner (see test_backend_configs.py)."""
    repository = tmp_path_factory.mktemp("steps") / "model_repository"
    options = OpenvinoOptions(batches=(1, 4))
    publish(source, repository, options, pictures=synthetic_pictures()[:1])
    answered_by_the_runner(repository)
    with TritonServer(repository, runtime=find_runtime(), options=free_ports()) as server:
        yield server


@pytest.fixture(params=["joined", "steps"])
def server(request: pytest.FixtureRequest) -> TritonServer:
    found: TritonServer = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="module")
def radiograph() -> Radiograph:
    return synthetic_radiograph(4, height=400, width=320, infected=True).radiograph


def test_any_subset_of_the_nine_outputs(server: TritonServer, radiograph: Radiograph) -> None:
    """An independent client: tritonclient itself. All 511, each with the values of the whole answer."""
    image = network_input(radiograph.pixels)
    inputs = []
    for name, pixels in (("IMAGE", image), ("CANVAS", np.full((60, 50), 128, np.uint8))):
        tensor = grpc.InferInput(name, [2, *pixels.shape], "UINT8")
        tensor.set_data_from_numpy(np.stack([pixels] * 2))
        inputs.append(tensor)
    with grpc.InferenceServerClient(server.grpc_url) as client:
        answer = client.infer("infmap", inputs)
        values = {name: answer.as_numpy(name) for name in SHAPES}
        assert {name: value.shape for name, value in values.items()} == SHAPES
        for subset in SUBSETS:
            asked = [grpc.InferRequestedOutput(name) for name in subset]
            result = client.infer("infmap", inputs, outputs=asked, client_timeout=PATIENCE_S)
            assert {output.name for output in result.get_response().outputs} == set(subset)
            for name in subset:
                if name not in ("PROBABILITY", "INFECTION_MAP", "LUNGS"):
                    np.testing.assert_array_equal(result.as_numpy(name), values[name])


def test_served_lungs_are_the_same_doctor(server: TritonServer, source: Source) -> None:
    gate = compare_served(
        source, server.grpc_url, reference=reference_runner(source), pictures=synthetic_pictures()
    )
    gate.require()
    assert gate.summary()["lungs"]["dice"] > 0.999
    assert len(gate.part("lungs")) == len(synthetic_pictures())


def test_a_map_alone_does_not_run_the_network_of_the_lungs(steps: TritonServer) -> None:
    picture = np.zeros((224, 224), np.uint8)
    with InfmapClient(steps.grpc_url) as client:
        client.infer(picture, picture)
        before = requests_settled(client)
        client.infer(picture, picture, outputs=["INFECTION_MAP"])
        client.infer(picture, outputs=["LUNGS"])
        after = requests_settled(client)
    done = {graph.name: after[graph.name] - before[graph.name] for graph in CONTRACT.graphs}
    assert done == {"segmentation": 2, "lung_segmentation": 1, "detection": 1, "rendering": 1}


def test_nothing_is_painted_outside_the_lungs(
    joined: TritonServer, steps: TritonServer, radiograph: Radiograph
) -> None:
    size = (radiograph.width, radiograph.height)
    answers = []
    for server in (joined, steps):
        with InfmapClient(server.grpc_url) as client:
            answers.append(find_infection(radiograph, client))
    clipped, plain = answers
    assert (clipped.paint, plain.paint) == (PAINT, Paint())
    assert clipped.lungs is not None
    inside = cv2.resize(clipped.lungs.astype(np.float32), size) >= 0.5
    assert 0.02 < inside.mean() < 0.98
    for answer, where in ((clipped, inside), (plain, None)):
        assert answer.infection_map is not None
        fitted = cv2.resize(answer.probability, size)
        expected = painted_apart(radiograph.pixels, fitted, answer.paint, inside=where)
        off = np.abs(answer.infection_map - expected).max(axis=-1)
        # A pixel on the edge of a level, or of the lungs, may be on either side of it.
        assert (off > 2).mean() < 0.01
    gray = np.repeat(radiograph.pixels[..., np.newaxis], 3, axis=-1)
    outside = ~cv2.dilate(inside.astype(np.uint8), np.ones((3, 3))).astype(bool)
    assert (clipped.infection_map[outside] == gray[outside]).all()  # type: ignore[index]
    assert (plain.infection_map[outside] != gray[outside]).any()  # type: ignore[index]


def test_a_finding_says_what_the_lungs_say(joined: TritonServer, radiograph: Radiograph) -> None:
    with InfmapClient(joined.grpc_url) as client:
        finding = find_infection(radiograph, client, painted=False)
    if finding.lungs is None or finding.by_lung is None:
        raise AssertionError("lungs are served")
    lungs, infected = finding.lungs > 0, finding.probability >= 0.5
    assert finding.severity_of == "lungs"
    assert finding.severity_percent == pytest.approx(100 * infected[lungs].mean(), abs=1e-4)
    for threshold, value in finding.severity_at.items():
        reached = finding.probability[lungs] >= np.float32(threshold)
        assert value == pytest.approx(100 * reached.mean(), abs=1e-4)
    document = json.loads(json.dumps(finding.as_json()))
    assert document["grade"] in ("none", "mild", "moderate", "severe")
    assert list(document["severity_at_threshold"]) == ["0.3", "0.4", "0.5", "0.6", "0.7"]
    assert list(document["lungs"]) == ["right", "left"]
    assert list(document["lungs"]["left"]["zones"]) == ["upper", "middle", "lower"]
    assert document["model"]["grades"] == "0,25,50"
    assert document["model"]["lungs_name"] == "small lungs"


def test_a_picture_without_lungs_says_so(joined: TritonServer) -> None:
    white = np.full((300, 300), 255, np.uint8)
    with InfmapClient(joined.grpc_url) as client:
        finding = find_infection(
            Radiograph(pixels=white, name="white", media_type="image/png"), client, painted=False
        )
    document = finding.as_json()
    assert (document["severity_of"], document["severity_percent"]) == ("image", 100)
    assert document["grade"] is None
    assert document["lungs"]["right"] == {
        "severity_percent": None,
        "zones": {"upper": None, "middle": None, "lower": None},
    }


def test_infer_writes_lungs_into_json_table_and_dicom(
    joined: TritonServer, tmp_path: Path, chest_dicoms: list[Path]
) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "infmap_kit", "infer", str(chest_dicoms[0])),
            *("--output", str(tmp_path), "--format", "json,dicom", "--url", joined.grpc_url),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    (path,) = tmp_path.glob("*.json")
    document = json.loads(path.read_text())
    assert document["severity_of"] == "lungs"
    assert "grade" in done.stdout + done.stderr
    assert document["grade"] in done.stdout + done.stderr
    (segmented,) = tmp_path.glob("*.seg.dcm")
    segmentation = dcmread(segmented)
    assert [str(one.SegmentLabel) for one in segmentation.SegmentSequence] == [
        "COVID-19 infection",
        "Lungs",
    ]
    area = segmentation.pixel_array.reshape(2, -1).sum(axis=1)
    assert area[1] > 0


def test_a_client_follows_releases_with_and_without_lungs(source: Source, tmp_path: Path) -> None:
    """Through a change of the contract each answer is whole: with lungs by the one, without by the other."""
    repository = tmp_path / "model_repository"
    options, pictures = EmbeddedOptions(threads=1), synthetic_pictures()[:1]
    alone = read_source(small_run(tmp_path / "alone"))
    publish(alone, repository, options, pictures=pictures)
    picture: NDArray[np.uint8] = np.full((224, 224), 60, np.uint8)
    names = [tensor.name for tensor in LUNG_OUTPUTS]
    with supervised(repository, free_ports()) as server, InfmapClient(server.grpc_url) as client:
        seen = []
        for change in (
            lambda: None,
            lambda: publish(source, repository, options, pictures=pictures),
            lambda: roll_back(repository),
        ):
            change()
            server.look()
            answer = client.infer(picture, outputs=["DETECTED"], where_served=names)
            seen.append((client.release, "LUNGS" in answer, "grades" in client.model()))
    assert seen == [(1, False, False), (2, True, True), (1, False, False)]


@pytest.mark.slow
def test_bench_and_tune_know_the_network_of_the_lungs(source: Source, tmp_path: Path) -> None:
    from infmap_kit.bench.pictures import bench_pictures
    from infmap_kit.bench.scopes import LUNGS
    from infmap_kit.bench.subject import Subject
    from infmap_kit.bench.tune import Goal, tune
    from infmap_kit.targets.target import Setting

    repository = tmp_path / "model_repository"
    publish(source, repository, EmbeddedOptions(), pictures=synthetic_pictures()[:1])
    film = tmp_path / "film.png"
    cv2.imwrite(str(film), synthetic_radiograph(1, height=300, width=300).radiograph.pixels)
    with Subject.served(repository, bench_pictures([film])) as subject:
        took = {name: timed(0) for name, timed in subject.scopes().items()}
    assert took[LUNGS] > 0
    manifest, _ = tune(
        repository, goal=Goal.LATENCY, settings=[Setting(instances=1, threads=1)], seconds=0.2
    )
    assert manifest.release == 2
    assert manifest.gate["lungs"]["dice"] > 0.999
