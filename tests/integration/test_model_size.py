"""A network of others with pictures of 256x256, from its file to the map, on a real server.

What is expected is computed by NumPy and OpenCV alone from the picture's own pixels.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from infmap_kit.errors import ServerError
from infmap_kit.imaging.radiograph import Radiograph
from infmap_kit.imaging.synthetic.drawing import synthetic_radiograph
from infmap_kit.model.adapter import ModelAdapter
from infmap_kit.model.paint import Paint
from infmap_kit.release.export import publish
from infmap_kit.release.source import read_source
from infmap_kit.serving.server import free_ports, serving
from infmap_kit.targets.onnxruntime import OnnxruntimeOptions
from infmap_kit.triton.client import InfmapClient
from infmap_kit.triton.inference import find_infection
from infmap_kit.triton.repository import Manifest
from infmap_kit.triton.server.process import TritonServer
from infmap_kit.triton.server.runtime import find_runtime
from paints import painted_apart
from published import answered_by_the_runner

_SIZE = 256
_MEAN, _STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
_FILTER = np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]]) / 16
_OPTIONS = {
    "scale": "1/255",
    "mean": "0.485,0.456,0.406",
    "std": "0.229,0.224,0.225",
    "activation": "softmax:1",
}


def _network(path: Path) -> Path:
    """As PyTorch exports it: normalised colour, two classes of logits; where a blur is bright is the second."""
    kernel = np.zeros((2, 3, 3, 3), np.float32)
    kernel[0], kernel[1] = -_FILTER, 2 * _FILTER
    weights = [
        numpy_helper.from_array(kernel, "head.weight"),
        numpy_helper.from_array(np.array([1.5, -2.5], np.float32), "head.bias"),
    ]
    shape = ("batch", 3, _SIZE, _SIZE)
    graph = helper.make_graph(
        [
            helper.make_node(
                "Conv",
                ["input", "head.weight", "head.bias"],
                ["output"],
                name="/head",
                pads=[1] * 4,
            )
        ],
        "main_graph",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ("batch", 2, *shape[2:]))],
        weights,
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path
    )
    return path


def _expected(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    small = cv2.resize(pixels, (_SIZE, _SIZE), interpolation=cv2.INTER_AREA)
    colour = (small[..., np.newaxis] / 255 - _MEAN) / _STD
    # The sum over channels of equal filters; outside the picture there is nothing.
    blur = cv2.filter2D(colour.sum(axis=-1), -1, _FILTER, borderType=cv2.BORDER_CONSTANT)
    return np.asarray(1 / (1 + np.exp(-((2 * blur - 2.5) - (1.5 - blur)))))


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Exported as a user does."""
    folder = tmp_path_factory.mktemp("size")
    options = [word for name, value in _OPTIONS.items() for word in (f"--{name}", value)]
    command = [sys.executable, "-m", "infmap_kit", "export", str(_network(folder / "smp.onnx"))]
    done = subprocess.run(
        [
            *command, *options, "--size", str(_SIZE), "--repository", str(folder / "repository"),
            "--target", "embedded", "--report", str(folder / "report"),
        ],
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder / "repository"


@pytest.fixture(scope="module")
def server(repository: Path) -> Iterator[TritonServer]:
    with serving(repository, free_ports()) as running:
        yield running


@pytest.fixture(scope="module")
def radiograph() -> Radiograph:
    return synthetic_radiograph(4, height=600, width=500).radiograph


def _check(radiograph: Radiograph, url: str) -> None:
    with InfmapClient(url) as client:
        assert client.image_size() == _SIZE
        answer = find_infection(radiograph, client)
    assert answer.model["adapter"].startswith("256x256, layout nchw")
    probability = _expected(radiograph.pixels)
    assert answer.probability.shape == (_SIZE, _SIZE)
    assert np.abs(answer.probability - probability).max() < 1e-5
    assert 1 < 100 * (probability >= 0.5).mean() < 99
    assert answer.detected
    assert answer.severity_percent == pytest.approx(100 * (probability >= 0.5).mean(), abs=0.01)
    height, width = radiograph.pixels.shape
    fitted = cv2.resize(probability, (width, height), interpolation=cv2.INTER_LINEAR)
    painted = painted_apart(radiograph.pixels, fitted, Paint())
    assert answer.infection_map is not None
    off = np.abs(answer.infection_map - painted).max(axis=-1)
    assert (off > 8).mean() < 0.001


def test_the_served_answer_and_map_are_those_of_the_network(
    server: TritonServer, radiograph: Radiograph
) -> None:
    _check(radiograph, server.grpc_url)


def test_the_manifest_says_what_was_put_around_the_network(repository: Path) -> None:
    model = Manifest.read(repository).model
    assert model["image_size"] == _SIZE
    assert model["adapter"] == {"layout": "nchw", "channels": 3, **_OPTIONS, "classes": 2}
    command = [sys.executable, "-m", "infmap_kit"]
    shown = subprocess.run(
        [*command, "inspect", str(repository)], capture_output=True, text=True, check=True
    ).stdout
    assert "softmax:1" in shown
    assert "256" in shown
    listed = subprocess.run(
        [*command, "versions", "--repository", str(repository), "--json"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert json.loads(listed)[0]["model"]["adapter"]["scale"] == "1/255"


def test_infer_writes_a_map_of_the_radiographs_own_size(
    server: TritonServer, radiograph: Radiograph, tmp_path: Path
) -> None:
    cv2.imwrite(str(tmp_path / "chest.png"), radiograph.pixels)
    command = [sys.executable, "-m", "infmap_kit", "infer", str(tmp_path / "chest.png")]
    done = subprocess.run(
        [*command, "--url", server.grpc_url, "--output", str(tmp_path / "out")],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    share = 100 * (_expected(radiograph.pixels) >= 0.5).mean()
    (written,) = (tmp_path / "out").glob("*.json")
    assert json.loads(written.read_text())["severity_percent"] == pytest.approx(share, abs=0.01)
    (painted,) = (tmp_path / "out").glob("*.png")
    image = cv2.imread(str(painted))
    assert image is not None
    assert image.shape[:2] == radiograph.pixels.shape


def test_a_release_of_another_size_that_comes_on_the_way_is_asked_again(
    server: TritonServer, radiograph: Radiograph
) -> None:
    class Late(InfmapClient):
        """What it is told first is of the release before."""

        sizes: ClassVar[list[int]] = [224]

        def image_size(self) -> int:
            return self.sizes.pop() if self.sizes else super().image_size()

    with Late(server.grpc_url) as client:
        answer = find_infection(radiograph, client)
        assert answer.probability.shape == (_SIZE, _SIZE)
        with pytest.raises(ServerError, match="refused"):
            client.infer(np.zeros((224, 224), np.uint8))


@pytest.mark.train
def test_a_run_is_not_measured_by_a_network_of_another_size(
    server: TritonServer, demo_model: Path, tmp_path: Path
) -> None:
    pytest.importorskip("sklearn", reason="the extra train is not installed")
    command = [sys.executable, "-m"]
    drawn = tmp_path / "drawn"
    made = [*command, "infmap_kit", "synthesize", "--output", str(drawn), "--count", "4"]
    subprocess.run([*made, "--size", "256"], check=True, capture_output=True)
    asked = [*command, "infmap_train.cli", "evaluate", str(demo_model), "--all", "--data"]
    done = subprocess.run(
        [*asked, str(drawn), "--url", server.grpc_url],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    *_, line = done.stderr.splitlines()
    assert "(256x256 pixels), and the run is infmap U-Net EfficientNet-Lite0" in line


def test_tritons_own_backends_have_the_size_in_every_config(
    radiograph: Radiograph, tmp_path: Path
) -> None:
    """Batching, warm-ups and ensemble as published, on the server that is here."""
    source = read_source(_network(tmp_path / "smp.onnx"), adapter=ModelAdapter(**_OPTIONS))  # type: ignore[arg-type]
    options: Any = OnnxruntimeOptions(gpu=False, batches=(1, 2))
    picture = cv2.resize(radiograph.pixels, (_SIZE, _SIZE), interpolation=cv2.INTER_AREA)
    publish(source, tmp_path / "repository", options, pictures=[("one", picture.astype(np.uint8))])
    answered_by_the_runner(tmp_path / "repository")
    with TritonServer(
        tmp_path / "repository", runtime=find_runtime(), options=free_ports()
    ) as running:
        _check(radiograph, running.grpc_url)
