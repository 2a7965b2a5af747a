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
    assert np.abs(ask_server(server.grpc_url, images) - wanted).max() < 1e-3


def test_no_server_is_one_clear_error() -> None:
    with pytest.raises(ServerError, match="no server answers"):
        ask_server("127.0.0.1:1", np.zeros((1, 224, 224), np.uint8))
