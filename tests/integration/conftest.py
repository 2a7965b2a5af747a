"""A real Triton server, started once, with the committed demo model, which paints as the paper does."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from infmap_kit.gate.pictures import synthetic_pictures
from infmap_kit.model.paint import PAPER
from infmap_kit.release.export import publish
from infmap_kit.release.source import read_source
from infmap_kit.serving.server import free_ports, serving
from infmap_kit.targets.embedded import EmbeddedOptions
from infmap_kit.triton.client import InfmapClient
from infmap_kit.triton.server.process import TritonServer
from made_once import MadeOnce


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.integration)


@pytest.fixture(scope="session")
def repository(made_once: MadeOnce, demo_model: Path) -> Path:
    """Read-only for the tests."""

    def make(folder: Path) -> None:
        folder.mkdir()
        source = dataclasses.replace(read_source(demo_model), paint=PAPER)
        publish(
            source, folder / "model_repository", EmbeddedOptions(), pictures=synthetic_pictures()
        )

    return made_once("served", make) / "model_repository"


# Of a module, so that test_server.py finds no server alive but its own.
@pytest.fixture(scope="module")
def server(repository: Path) -> Iterator[TritonServer]:
    # HTTP too: another independent client speaks it.
    with serving(repository, free_ports(http=True)) as running:
        yield running


@pytest.fixture
def client(server: TritonServer) -> Iterator[InfmapClient]:
    with InfmapClient(server.grpc_url) as connected:
        yield connected
