"""Several requests at the same time: every answer is that of one client alone, and none is mixed up or lost."""

from __future__ import annotations

import concurrent.futures
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import pytest
from numpy.typing import NDArray
from tritonclient import grpc
from tritonclient.utils import InferenceServerException

from infmap_kit.errors import ServerError
from infmap_kit.gate.pictures import synthetic_pictures
from infmap_kit.imaging.network_input import network_input
from infmap_kit.imaging.synthetic.drawing import synthetic_radiograph
from infmap_kit.model.precision import Precision
from infmap_kit.release.export import publish
from infmap_kit.release.source import read_source
from infmap_kit.serving.in_process import open_repository
from infmap_kit.serving.server import free_ports, serving
from infmap_kit.targets.embedded import EmbeddedOptions
from infmap_kit.triton.client import InfmapClient
from patience import PATIENCE_S
from small_network import small_run

CLIENTS = 16
STREAMS = 3
HAS_BF16 = "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


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
def repository(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(request.param)
    options = EmbeddedOptions(precision=request.param, threads=1, streams=STREAMS)
    source = read_source(small_run(folder / "run"))
    publish(source, folder / "model_repository", options, pictures=synthetic_pictures()[:2])
    return folder / "model_repository"


@pytest.fixture(scope="module")
def pictures() -> list[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """A network's input and a canvas for each client, no two alike; one so large that it is computed alone."""
    sizes = [(400 + 7 * number, 300 + 11 * number) for number in range(CLIENTS - 1)]
    drawn = [
        synthetic_radiograph(number, height=height, width=width).radiograph.pixels
        for number, (height, width) in enumerate([*sizes, (4200, 4100)])
    ]
    return [(network_input(pixels, 224), pixels) for pixels in drawn]


def test_every_answer_of_sixteen_clients_is_that_of_one_alone(
    repository: Path, pictures: list[tuple[NDArray[np.uint8], NDArray[np.uint8]]]
) -> None:
    with serving(repository, free_ports()) as server:
        with InfmapClient(server.grpc_url) as alone:
            expected = [alone.infer(image, canvas) for image, canvas in pictures]
        together = threading.Barrier(CLIENTS)

        def ask(first: int) -> None:
            with InfmapClient(server.grpc_url) as client:
                together.wait()
                for number in range(first, first + 3):
                    _assert_equal(
                        client.infer(*pictures[number % CLIENTS]), expected[number % CLIENTS]
                    )

        with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
            for future in [pool.submit(ask, number) for number in range(CLIENTS)]:
                future.result()
        with InfmapClient(server.grpc_url) as client:
            assert client.statistics()["infmap"]["requests"] >= 4 * CLIENTS
            two, one = np.zeros((2, 224, 224), np.uint8), np.zeros((1, 4, 4), np.uint8)
            with pytest.raises(ServerError, match="as many pictures"):
                client.ask("infmap", {"IMAGE": two, "CANVAS": one}, ["INFECTION_MAP"])
            _assert_equal(client.infer(*pictures[0]), expected[0])
    with open_repository(repository) as opened:
        for (image, canvas), answer in zip(pictures, expected, strict=True):
            _assert_equal(opened.infer(image, canvas), answer)


def _assert_equal(answer: dict[str, NDArray[Any]], expected: dict[str, NDArray[Any]]) -> None:
    assert answer.keys() == expected.keys()
    for name, array in expected.items():
        assert np.array_equal(answer[name], array), name


@pytest.mark.parametrize("repository", [Precision.FP32], indirect=True)
def test_a_server_that_is_stopped_answers_what_it_took(repository: Path) -> None:
    pixels = synthetic_radiograph(0, height=1800, width=1500).radiograph.pixels
    image, options = network_input(pixels, 224), free_ports()
    together = threading.Barrier(CLIENTS)

    def ask(url: str) -> NDArray[Any] | str:
        """The map, or the words of an error; not by our own client, which would ask again."""
        inputs = [
            grpc.InferInput(name, [1, *one.shape], "UINT8").set_data_from_numpy(one[np.newaxis])
            for name, one in (("IMAGE", image), ("CANVAS", pixels))
        ]
        with grpc.InferenceServerClient(url) as client:
            client.is_server_live()
            together.wait()
            try:
                answer: NDArray[Any] = client.infer("infmap", inputs).as_numpy("INFECTION_MAP")
            except InferenceServerException as error:
                return str(error.message())
            return answer

    with (
        serving(repository, options) as server,
        concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool,
    ):
        with InfmapClient(server.grpc_url) as client:
            expected = client.infer(image, pixels)["INFECTION_MAP"]
        before = _counted(options.metrics_port)
        asked = [pool.submit(ask, server.grpc_url) for _ in range(CLIENTS)]
        # Besides these, one a stream is computed, and one waits for a stream.
        deadline = time.monotonic() + PATIENCE_S
        while _counted(options.metrics_port) - before < CLIENTS - STREAMS - 1:
            assert time.monotonic() < deadline
        assert not all(one.done() for one in asked)
        server.stop()
        answers = [one.result() for one in asked]
    # What comes too late is told so, and neither dropped nor left waiting.
    late = [answer for answer in answers if isinstance(answer, str)]
    assert len(late) <= STREAMS + 1
    assert all("no available versions" in words or "refused" in words for words in late)
    assert all(np.array_equal(one[0], expected) for one in answers if not isinstance(one, str))


def _counted(metrics_port: int) -> float:
    """Requests that wait or were answered."""
    with urllib.request.urlopen(f"http://127.0.0.1:{metrics_port}/metrics") as reply:
        lines = reply.read().decode().splitlines()
    names = ("nv_inference_pending_request_count{", "nv_inference_request_success{")
    return sum(float(line.split()[-1]) for line in lines if line.startswith(names))
