"""A repository that answers in this process, beside the real server with the same repository."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import openvino
import pytest
from numpy.typing import NDArray

from infmap_kit.errors import HostMismatch, SpecError
from infmap_kit.gate.pictures import synthetic_pictures
from infmap_kit.imaging.network_input import network_input
from infmap_kit.imaging.readers import read_radiograph
from infmap_kit.imaging.synthetic.drawing import synthetic_radiograph
from infmap_kit.model.precision import Precision
from infmap_kit.release.export import publish
from infmap_kit.release.source import Source, read_source, with_parts
from infmap_kit.serving.in_process import open_repository
from infmap_kit.serving.server import free_ports, serving
from infmap_kit.targets.embedded import EmbeddedOptions
from infmap_kit.targets.onnxruntime import OnnxruntimeOptions
from infmap_kit.targets.openvino import OpenvinoOptions
from infmap_kit.targets.target import TargetOptions
from infmap_kit.triton.client import InfmapClient
from infmap_kit.triton.inference import find_infection
from infmap_kit.triton.server.private_copy import temporary_folder
from infmap_kit.triton.server.process import TritonServer
from infmap_kit.triton.server.shared_memory import PREFIX
from published import seal_anew
from results import written_contents
from small_network import small_classifier_run, small_lung_run, small_run

PICTURES = int(os.environ.get("INFMAP_IN_PROCESS_PICTURES", "6"))
SIZES = ((500, 400), (224, 224), (1300, 1100))
HAS_BF16 = "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")

fp32_only = pytest.mark.parametrize("repository", [Precision.FP32], indirect=True)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    """A model with every part."""
    folder = tmp_path_factory.mktemp("source")
    parts = {
        "lungs": small_lung_run(folder / "lungs"),
        "classifier": small_classifier_run(folder / "classifier"),
    }
    return with_parts(read_source(small_run(folder / "run")), parts)


def _published(source: Source, folder: Path, options: TargetOptions) -> Path:
    publish(source, folder / "model_repository", options, pictures=synthetic_pictures()[:2])
    return folder / "model_repository"


@pytest.fixture(
    scope="module",
    params=[
        Precision.FP32,
        pytest.param(
            Precision.BF16,
            marks=pytest.mark.skipif(not HAS_BF16, reason="this CPU has no bf16 instructions"),
        ),
        Precision.INT8,
    ],
)
def repository(
    request: pytest.FixtureRequest, source: Source, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp(request.param)
    return _published(source, folder, EmbeddedOptions(precision=request.param))


@pytest.fixture(scope="module")
def server(repository: Path) -> Iterator[TritonServer]:
    with serving(repository, free_ports()) as running:
        yield running


@pytest.fixture(scope="module")
def pixels() -> list[NDArray[np.uint8]]:
    return [
        synthetic_radiograph(
            number, height=height, width=width, infected=number % 2 == 0
        ).radiograph.pixels
        for number in range(PICTURES)
        for height, width in [SIZES[number % len(SIZES)]]
    ]


def test_every_output_is_that_of_the_server_to_the_last_bit(
    repository: Path, server: TritonServer, pixels: list[NDArray[np.uint8]]
) -> None:
    with InfmapClient(server.grpc_url) as client, open_repository(repository) as here:
        assert here.model() == client.model()
        outputs = client.offered()
        assert here.offered() == outputs
        assert len(outputs) == 14
        for picture in pixels:
            image = network_input(picture, here.image_size())
            expected = client.infer(image, picture, outputs=outputs)
            actual = here.infer(image, picture, outputs=outputs)
            assert actual.keys() == expected.keys()
            for name, value in expected.items():
                assert actual[name].dtype == value.dtype
                np.testing.assert_array_equal(actual[name], value, err_msg=name)
        assert here.release == client.release


def test_bytes_of_probability_change_no_figure(
    repository: Path, server: TritonServer, chest_dicoms: list[Path]
) -> None:
    """The mask at 0.5 stays to the pixel, and what the JSON says to the last digit."""
    radiograph = read_radiograph(chest_dicoms[0])
    with InfmapClient(server.grpc_url) as client, open_repository(repository) as here:
        for model in (client, here):
            exact = find_infection(radiograph, model)
            short = find_infection(radiograph, model, exact=False)
            assert exact.summary is None
            assert short.summary is not None
            assert short.infection_map is not None
            assert exact.infection_map is not None
            assert np.array_equal(short.infection_map, exact.infection_map)
            assert short.probability.dtype == np.float32
            assert np.abs(short.probability - exact.probability).max() <= 0.5 / 255 + 1e-6
            np.testing.assert_array_equal(short.probability >= 0.5, exact.probability >= 0.5)
            figures = [one.as_json() | {"timings_ms": {}} for one in (short, exact)]
            assert figures[0] == figures[1]
            # Whether two masks agree hangs on all digits where the threshold is another than 0.5.
            assert find_infection(radiograph, model, exact=False, mirrored=True).summary is None


@fp32_only
def test_the_command_writes_what_it_writes_with_a_server(
    repository: Path,
    server: TritonServer,
    pixels: list[NDArray[np.uint8]],
    chest_dicoms: list[Path],
    tmp_path: Path,
) -> None:
    pictures = tmp_path / "in"
    pictures.mkdir()
    for number, picture in enumerate(pixels):
        cv2.imwrite(str(pictures / f"{number}.png"), picture)
    (pictures / "notes.png").write_text("no picture")
    for name, asked in (("url", server.grpc_url), ("repository", repository)):
        done = subprocess.run(
            [
                *(sys.executable, "-m", "infmap_kit", "infer", pictures, chest_dicoms[0]),
                *("--format", "png,json,dicom,cam", "--output", tmp_path / name),
                *(f"--{name}", asked),
            ],
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        assert done.returncode == 6, done.stderr
        (refused,) = (line for line in done.stderr.splitlines() if line.startswith("rejected  "))
        assert refused.endswith("expected PNG, JPEG, TIFF or DICOM, found text")
    served = written_contents(tmp_path / "url")
    assert len(served) == 3 * (PICTURES + 1) + 3
    assert written_contents(tmp_path / "repository") == served


@fp32_only
@pytest.mark.parametrize(
    "options",
    [OnnxruntimeOptions(gpu=False, batches=(1,)), OpenvinoOptions(batches=(1,))],
    ids=lambda options: options.target,
)
def test_targets_of_tritons_own_backends_answer_with_the_engines_that_were_proved(
    options: TargetOptions,
    source: Source,
    repository: Path,
    pixels: list[NDArray[np.uint8]],
    tmp_path: Path,
) -> None:
    """Their backends are not here; the embedded target's engines are an independent reference."""
    folder = _published(source, tmp_path, options)
    with open_repository(repository) as reference, open_repository(folder) as here:
        outputs = reference.offered()
        assert set(here.offered()) == set(outputs)
        for picture in pixels:
            image = network_input(picture, here.image_size())
            expected = reference.infer(image, picture, outputs=outputs)
            actual = here.infer(image, picture, outputs=outputs)
            assert actual["DETECTED"] == expected["DETECTED"]
            np.testing.assert_allclose(actual["PROBABILITY"], expected["PROBABILITY"], atol=1e-5)
            np.testing.assert_allclose(actual["SEVERITY"], expected["SEVERITY"], atol=0.1)
            difference = np.abs(actual["INFECTION_MAP"].astype(int) - expected["INFECTION_MAP"])
            # A probability on the edge of a level may take the colour beside it.
            assert (difference > 1).mean() < 1e-4
            assert difference.max() <= 8
            assert here.infer(image, outputs=["DETECTED"]) == {"DETECTED": actual["DETECTED"]}


@fp32_only
def test_what_was_altered_or_needs_a_gpu_is_refused_and_nothing_is_left(
    repository: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(repository, tmp_path / "copy"))
    before = _private_copies()
    seal_anew(copy, target="tensorrt")
    with pytest.raises(HostMismatch, match="TensorRT plans, which only their own GPU host runs"):
        open_repository(copy)
    seal_anew(copy, target="onnxruntime", model={**_model(copy), "backend": {"gpu": True}})
    with pytest.raises(HostMismatch, match="serve it on its host and name the server with --url"):
        open_repository(copy)
    seal_anew(copy, target="embedded")
    with open_repository(copy):
        assert len(_private_copies() - before) == 1
    graph = next(copy.rglob("segmentation.onnx"))
    graph.write_bytes(graph.read_bytes() + b"\0")
    with pytest.raises(SpecError, match="is not what was exported"):
        open_repository(copy)
    assert _private_copies() == before


@fp32_only
def test_what_is_opened_is_what_was_hashed(repository: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(repository, tmp_path / "copy"))
    image = np.full((224, 224), 90, np.uint8)
    with open_repository(copy) as here:
        before = here.infer(image, image)
        for path in copy.rglob("*.onnx"):
            path.write_bytes(b"another one")
        not_contiguous = np.dstack([image] * 2)[..., 0]
        after = here.infer(not_contiguous, image)
        for name, value in before.items():
            np.testing.assert_array_equal(after[name], value)


@fp32_only
def test_one_model_is_asked_for(repository: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "infmap_kit", "infer", "x.png", "--output", tmp_path / "out"),
            *("--url", "127.0.0.1:9", "--repository", repository),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    assert "either --url or --repository" in done.stderr


def _private_copies() -> set[Path]:
    return set(temporary_folder().glob(f"{PREFIX}{os.getpid()}-*"))


def _model(repository: Path) -> dict[str, Any]:
    model: dict[str, Any] = json.loads((repository / "manifest.json").read_text())["model"]
    return model
