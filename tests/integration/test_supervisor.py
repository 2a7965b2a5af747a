"""A server that follows its repository: no request is lost, and no answer is a mixture."""

from __future__ import annotations

import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from tritonclient import grpc
from tritonclient.utils import InferenceServerException

from infmap_kit.errors import InfmapError
from infmap_kit.gate.pictures import synthetic_pictures
from infmap_kit.release.export import publish
from infmap_kit.release.source import read_source
from infmap_kit.serving.server import free_ports
from infmap_kit.serving.supervisor import Supervisor, supervised
from infmap_kit.targets.embedded import EmbeddedOptions
from infmap_kit.triton.client import InfmapClient
from infmap_kit.triton.releases import roll_back
from infmap_kit.triton.repository import check_repository
from patience import PATIENCE_S
from small_network import small_network

BIASES = {1: -9.0, 2: -6.0}
"""Release to the threshold of its network: each answers otherwise."""


def _release(repository: Path, number: int) -> None:
    path = repository.parent / f"small-{number}.onnx"
    onnx.save(small_network(bias=BIASES[number]), path)
    publish(
        read_source(path), repository, EmbeddedOptions(threads=1), pictures=synthetic_pictures()[:1]
    )


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "model_repository"
    _release(folder, 1)
    return folder


@pytest.fixture
def events() -> list[str]:
    return []


@pytest.fixture
def server(repository: Path, events: list[str]) -> Iterator[Supervisor]:
    with supervised(repository, free_ports(), on_event=events.append) as running:
        yield running


PICTURE = np.full((224, 224), 110, np.uint8)


def _expected(release: int) -> float:
    """What the network of a release says far from the edge: sigmoid of brightness and bias."""
    return float(1 / (1 + np.exp(-(110 * 18 / 255 + BIASES[release]))))


class _Hammer(threading.Thread):
    """Asks without a pause, and collects the answers."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self._url = url
        self.answers: list[tuple[int, str, float, int, tuple[int, ...]]] = []
        self.failures: list[InfmapError] = []
        self.enough = threading.Event()

    def run(self) -> None:
        try:
            with InfmapClient(self._url) as client:
                while not self.enough.is_set():
                    answer = client.infer(PICTURE, PICTURE)
                    self.answers.append(
                        (
                            client.release or 0,
                            client.model()["model_name"],
                            float(answer["PROBABILITY"][112, 112]),
                            int(answer["DETECTED"]),
                            tuple(answer["INFECTION_MAP"][112, 112]),
                        )
                    )
        except InfmapError as error:
            self.failures.append(error)


def test_a_hammering_client_sees_no_failure_and_no_mixture(
    server: Supervisor, repository: Path, events: list[str]
) -> None:
    hammers = [_Hammer(server.grpc_url) for _ in range(3)]
    for hammer in hammers:
        hammer.start()
    time.sleep(1)
    _release(repository, 2)
    server.look()
    time.sleep(1)
    roll_back(repository)
    server.look()
    time.sleep(1)
    for hammer in hammers:
        hammer.enough.set()
        hammer.join(timeout=PATIENCE_S)
        assert hammer.failures == []
        seen = [release for release, *_ in hammer.answers]
        assert set(seen) == {1, 2}
        # Back and forth while two servers listen, but first the old one, then the new one, then the old.
        assert (seen[0], seen[-1]) == (1, 1)
        for release, name, probability, detected, _ in hammer.answers:
            assert name == f"small-{release}"
            assert probability == pytest.approx(_expected(release), abs=1e-5)
            assert detected == (_expected(release) >= 0.5)
        colours = {release: colour for release, *_, colour in hammer.answers}
        assert colours[1] != colours[2]
        assert all(colour == colours[release] for release, *_, colour in hammer.answers)
    assert [event.split(" has taken over")[0][:9] for event in events] == ["release 2", "release 1"]


def test_metrics_stay_on_their_port(repository: Path, events: list[str]) -> None:
    ports = free_ports()
    with supervised(repository, ports, on_event=events.append) as server:
        _release(repository, 2)
        server.look()
        with InfmapClient(server.grpc_url) as client:
            client.infer(PICTURE, PICTURE)
        url = f"http://127.0.0.1:{ports.metrics_port}/metrics"
        with urllib.request.urlopen(url, timeout=PATIENCE_S) as reply:
            text = reply.read().decode()
    assert 'nv_inference_request_success{model="infmap",version="2"}' in text
    assert 'model="infmap",version="1"' not in text


def test_a_release_that_cannot_be_served_leaves_the_old_one(
    server: Supervisor, repository: Path, events: list[str]
) -> None:
    _release(repository, 2)
    with (repository / "infmap" / "2" / "segmentation.onnx").open("ab") as file:
        file.write(b"more")
    server.look()
    server.look()
    (event,) = events
    assert event.startswith("release 2 is not served, and release 1 (unversioned, fp32) goes on")
    assert "is not what was exported" in event
    with InfmapClient(server.grpc_url) as client:
        client.infer(PICTURE, PICTURE)
        assert client.release == 1
    roll_back(repository)
    server.look()
    assert check_repository(repository).release == 1
    assert len(events) == 1, "what is served already is no news"


def test_other_clients_need_a_retry_policy_and_no_more(
    server: Supervisor, repository: Path
) -> None:
    """The advice of docs/releases.md for clients with tritonclient alone."""
    policy = (
        '{"methodConfig": [{"name": [{}], "retryPolicy": {"maxAttempts": 5, "initialBackoff": "0.3s", '
        '"maxBackoff": "2s", "backoffMultiplier": 2, '
        '"retryableStatusCodes": ["UNAVAILABLE", "NOT_FOUND", "CANCELLED"]}}]}'
    )
    channel = [("grpc.service_config", policy)]
    failures: list[str] = []
    enough = threading.Event()
    answered = 0

    def ask() -> None:
        nonlocal answered
        tensors = [grpc.InferInput(name, [1, 224, 224], "UINT8") for name in ("IMAGE", "CANVAS")]
        for tensor in tensors:
            tensor.set_data_from_numpy(PICTURE[np.newaxis])
        try:
            with grpc.InferenceServerClient(server.grpc_url, channel_args=channel) as client:
                while not enough.is_set():
                    client.infer("infmap", tensors)
                    answered += 1
        except InferenceServerException as error:
            failures.append(str(error))

    asking = threading.Thread(target=ask)
    asking.start()
    time.sleep(0.5)
    _release(repository, 2)
    server.look()
    time.sleep(1)
    enough.set()
    asking.join(timeout=PATIENCE_S)
    assert failures == []
    assert answered > 20
