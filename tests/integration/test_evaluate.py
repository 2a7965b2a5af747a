"""An engine's accuracy is measured by the code that measured the network's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("tensorflow", reason="TensorFlow is not installed")

from infmap_kit.errors import ServerError
from infmap_kit.gate.engines import OnnxRuntimeEngine
from infmap_kit.imaging.network_input import network_input
from infmap_kit.model.spec import ModelSpec
from infmap_kit.release.source import read_source
from infmap_kit.triton.server.process import TritonServer
from infmap_train.evaluation.evaluate import ask_server

pytestmark = pytest.mark.train


def test_the_served_engine_answers_as_its_graph(
    server: TritonServer, demo_model: Path, radiographs: list[tuple[str, NDArray[np.uint8]]]
) -> None:
    images = np.stack([network_input(pixels) for _, pixels in radiographs])
    graph = read_source(demo_model).segmentation.SerializeToString()
    wanted = OnnxRuntimeEngine(graph).infer(images)
    spec = ModelSpec.read(demo_model / "spec.json")
    assert np.abs(ask_server(server.grpc_url, images, spec=spec) - wanted).max() < 1e-3


def test_figures_of_another_network_than_the_runs_are_refused(
    server: TritonServer, demo_model: Path
) -> None:
    lungs = ModelSpec.read(demo_model.parent / "demo_lungs" / "spec.json")
    # A server answers with infections, which are no lungs.
    with pytest.raises(ServerError, match="serves infmap U-Net .* and the run is infmap lungs"):
        ask_server(server.grpc_url, np.zeros((1, 224, 224), np.uint8), spec=lungs)


def test_no_server_is_one_clear_error() -> None:
    with pytest.raises(ServerError, match="no server answers"):
        ask_server("127.0.0.1:1", np.zeros((1, 224, 224), np.uint8))
