"""A classifier served beside the network by a real Triton server, asked by `infmap-kit infer`."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import pytest

from infmap_kit.gate.pictures import synthetic_pictures
from infmap_kit.imaging.colour import infection_map
from infmap_kit.imaging.network_input import network_input
from infmap_kit.imaging.synthetic.drawing import synthetic_radiograph
from infmap_kit.release.export import publish
from infmap_kit.release.publish import reference_runner
from infmap_kit.release.source import read_source, with_parts
from infmap_kit.release.verify import compare_served
from infmap_kit.serving.server import free_ports, serving
from infmap_kit.targets.embedded import EmbeddedOptions
from infmap_kit.targets.openvino import OpenvinoOptions
from infmap_kit.triton.client import InfmapClient
from infmap_kit.triton.server.process import TritonServer
from infmap_kit.triton.server.runtime import find_runtime
from pictures import read_picture
from published import answered_by_the_runner
from results import json_lines
from small_network import small_classifier, small_classifier_run, small_run

# Between the two pictures' brightness, so that they are decided differently.
CLASSIFIER = small_classifier(bias=-4.0)
OUTPUTS = (
    *("DETECTED", "SEVERITY", "PROBABILITY", "INFECTION_MAP"),
    *("CLASSIFIER_PROBABILITY", "ACTIVATION_MAP"),
)


@pytest.fixture(scope="module", params=["one model", "ensemble"])
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TritonServer]:
    """As the embedded target serves it, and as an ensemble, whose steps Triton prunes."""
    folder = tmp_path_factory.mktemp("classifier")
    source = with_parts(
        read_source(small_run(folder / "run")),
        {"classifier": small_classifier_run(folder / "classifier", CLASSIFIER)},
    )
    repository, pictures = folder / "repository", synthetic_pictures()[:2]
    if request.param == "one model":
        publish(source, repository, EmbeddedOptions(), pictures=pictures)
        with serving(repository, free_ports()) as running:
            yield running
        return
    options = OpenvinoOptions(batches=(1, 4))
    publish(source, repository, options, pictures=pictures)
    # Triton has the python backend alone here, so each graph is answered by the OpenVINO runner.
    answered_by_the_runner(repository)
    with TritonServer(repository, runtime=find_runtime(), options=free_ports()) as running:
        yield running


def test_any_of_its_outputs_may_be_asked_for(served: TritonServer) -> None:
    image = network_input(synthetic_radiograph(1).radiograph.pixels)
    expected = dict(
        zip(
            OUTPUTS[4:],
            onnxruntime.InferenceSession(CLASSIFIER.SerializeToString()).run(
                None, {"IMAGE": image[np.newaxis]}
            ),
            strict=True,
        )
    )
    with InfmapClient(served.grpc_url) as client:
        everything = client.infer(image, image, outputs=OUTPUTS)
        for name, value in expected.items():
            np.testing.assert_allclose(everything[name], value[0], atol=1e-5)
        for count in (1, 2, 3):
            for some in itertools.combinations(OUTPUTS, count):
                answer = client.infer(image, image, outputs=some)
                assert set(answer) == set(some)
                for name, value in answer.items():
                    np.testing.assert_array_equal(value, everything[name])


def test_both_opinions_are_written_and_a_difference_is_marked(
    served: TritonServer, tmp_path: Path
) -> None:
    bright = synthetic_radiograph(1, height=300, width=260).radiograph.pixels
    for name, picture in (("bright", bright), ("dark", bright // 3)):
        cv2.imwrite(str(tmp_path / f"{name}.png"), picture)
    command = [
        *(sys.executable, "-m", "infmap_kit", "infer", str(tmp_path / "bright.png")),
        *(str(tmp_path / "dark.png"), "--output", str(tmp_path / "out"), "--url", served.grpc_url),
    ]
    done = subprocess.run(
        [*command, "--format", "png,json,cam", "--json"], capture_output=True, text=True, check=True
    )
    documents = {Path(one["source"]).stem: one for one in json_lines(done.stdout)}
    for name, document in documents.items():
        written = json.loads((tmp_path / "out" / f"{name}.json").read_text())
        assert written["classifier"] == document["classifier"]
        assert written["model"]["classifier_version"] == "8"
        assert document["opinions_agree"] is (
            document["classifier"]["detected"] == document["detected"]
        )
        picture = read_picture(tmp_path / f"{name}.png", gray=True)
        looked_at = cv2.cvtColor(
            read_picture(tmp_path / "out" / written["activation_map"]), cv2.COLOR_BGR2RGB
        )
        expected = infection_map(picture, np.asarray(network_input(picture) / 255, np.float32))
        assert np.abs(looked_at.astype(int) - expected).max() <= 8
    assert (
        documents["bright"]["classifier"]["detected"] != documents["dark"]["classifier"]["detected"]
    )
    # Without `cam` no map is asked for, and the classifier answers all the same.
    done = subprocess.run(
        [*command, "--format", "json", "--json"], capture_output=True, text=True, check=True
    )
    plain = json_lines(done.stdout)[0]
    assert "activation_map" not in plain
    assert plain["classifier"]["probability"] == documents["bright"]["classifier"]["probability"]


def test_the_server_is_verified_with_its_classifier(served: TritonServer, tmp_path: Path) -> None:
    run, pictures = small_run(tmp_path / "run"), synthetic_pictures()[:2]
    source = with_parts(
        read_source(run), {"classifier": small_classifier_run(tmp_path / "classifier", CLASSIFIER)}
    )
    gate = compare_served(
        source, served.grpc_url, reference=reference_runner(source), pictures=pictures
    )
    assert len(gate.part("classifier")) == 2
    gate.require()
