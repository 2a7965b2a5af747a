"""Familiarity served by a real Triton server, as one model and as an ensemble, and what `infer` makes of it."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pydicom
import pytest

from familiar_network import chests, familiar_run, noise
from infmap_kit.gate.pictures import synthetic_pictures
from infmap_kit.release.export import publish
from infmap_kit.release.publish import reference_runner
from infmap_kit.release.source import read_source
from infmap_kit.release.verify import compare_served
from infmap_kit.serving.server import free_ports, serving
from infmap_kit.targets.embedded import EmbeddedOptions
from infmap_kit.targets.onnxruntime import OnnxruntimeOptions
from infmap_kit.triton.client import InfmapClient
from infmap_kit.triton.server.process import TritonServer
from infmap_kit.triton.server.runtime import find_runtime
from published import answered_by_the_runner
from results import json_lines
from settled import requests_settled

OUTPUTS = ("DETECTED", "SEVERITY", "PROBABILITY", "INFECTION_MAP", "FAMILIARITY")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return familiar_run(tmp_path_factory.mktemp("familiar") / "run")


@pytest.fixture(scope="module", params=["one model", "ensemble"])
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, run: Path
) -> Iterator[TritonServer]:
    """As the embedded target serves it, and as an ensemble, whose steps Triton prunes."""
    repository, pictures = tmp_path_factory.mktemp("served") / "r", synthetic_pictures()[:2]
    if request.param == "one model":
        publish(read_source(run), repository, EmbeddedOptions(), pictures=pictures)
        with serving(repository, free_ports()) as running:
            yield running
        return
    options = OnnxruntimeOptions(gpu=False, batches=(1, 4))
    publish(read_source(run), repository, options, pictures=pictures)
    answered_by_the_runner(repository)
    with TritonServer(repository, runtime=find_runtime(), options=free_ports()) as running:
        yield running


def test_any_of_the_outputs_may_be_asked_for(served: TritonServer) -> None:
    picture = chests(1, first=7)[0]
    with InfmapClient(served.grpc_url) as client:
        everything = client.infer(picture, picture, outputs=OUTPUTS)
        for count in range(1, 5):
            for some in itertools.combinations(OUTPUTS, count):
                answer = client.infer(picture, picture, outputs=some)
                assert set(answer) == set(some)
                for name, value in answer.items():
                    np.testing.assert_array_equal(value, everything[name])


def test_several_pictures_have_a_value_each(served: TritonServer, run: Path) -> None:
    pictures = np.stack([*chests(2, first=7), noise()])
    reference = reference_runner(read_source(run))
    with InfmapClient(served.grpc_url) as client:
        inputs = {"IMAGE": pictures, "CANVAS": pictures}
        values = client.ask("infmap", inputs, ["FAMILIARITY"])["FAMILIARITY"]
    expected = [reference.predict("", picture).familiarity for picture in pictures]
    np.testing.assert_allclose(values, np.array(expected), rtol=1e-3, atol=1e-3)
    assert ((values > 0) == [True, True, False]).all()


def test_what_is_not_asked_for_is_not_computed(served: TritonServer) -> None:
    picture = chests(1, first=7)[0]
    with InfmapClient(served.grpc_url) as client:
        if "familiarity" not in client.statistics():
            pytest.skip("one model does it all")
        before = requests_settled(client)
        client.infer(picture, picture)
        client.infer(picture, outputs=["FAMILIARITY"])
        after = requests_settled(client)
    asked = {name: after[name] - before[name] for name in after}
    graphs = ("segmentation", "detection", "rendering", "familiarity")
    assert [asked[name] for name in graphs] == [2, 1, 1, 1]


def test_an_unfamiliar_picture_is_warned_of(
    served: TritonServer, tmp_path: Path, chest_dicoms: list[Path]
) -> None:
    """In the JSON, on the terminal, and in the Structured Report of a DICOM file."""
    cv2.imwrite(str(tmp_path / "chest.png"), chests(1, first=7)[0])
    cv2.imwrite(str(tmp_path / "noise.png"), noise())
    command = [
        *(sys.executable, "-m", "infmap_kit", "infer", str(tmp_path / "chest.png")),
        *(str(tmp_path / "noise.png"), str(chest_dicoms[0]), "--output", str(tmp_path / "out")),
        *("--url", served.grpc_url, "--format", "json,sr"),
    ]
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, check=True)
    chest, odd, other = json_lines(done.stdout)
    assert chest["familiarity"] > 0 > odd["familiarity"]
    assert "unfamiliar" not in [warning["code"] for warning in chest["warnings"]]
    assert "unfamiliar" in [warning["code"] for warning in odd["warnings"]]
    assert [line.split("  ")[0] for line in done.stderr.splitlines()].count("unfamiliar") == sum(
        one["familiarity"] < 0 for one in (chest, odd, other)
    )
    shown = subprocess.run(command, capture_output=True, text=True, check=True)
    assert f"unlike, {odd['familiarity']:.2f}" in shown.stderr
    (report,) = (tmp_path / "out").glob("*.sr.dcm")
    texts = [str(element.value) for element in pydicom.dcmread(report).iterall()]
    assert "Familiarity of the picture to the network; below 0: unlike" in texts
    numbers = [
        float(element.value)
        for element in pydicom.dcmread(report).iterall()
        if element.keyword == "NumericValue"
    ]
    assert any(number == pytest.approx(other["familiarity"], abs=0.01) for number in numbers)
    warned = any(text.startswith("unfamiliar: the picture is unlike") for text in texts)
    assert warned is (other["familiarity"] < 0)


def test_the_server_is_verified_with_it(served: TritonServer, run: Path) -> None:
    source, pictures = read_source(run), synthetic_pictures()[:2]
    gate = compare_served(
        source, served.grpc_url, reference=reference_runner(source), pictures=pictures
    )
    assert len(gate.part("familiarity")) == 2
    gate.require()
