"""A quick network behind a real Triton, a real PACS, and radiographs to send."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import onnx
import pytest

from infmap_kit.gate.pictures import synthetic_pictures
from infmap_kit.imaging.synthetic.drawing import synthetic_radiograph
from infmap_kit.release.export import publish
from infmap_kit.release.source import read_source
from infmap_kit.serving.server import free_ports, serving
from infmap_kit.targets.embedded import EmbeddedOptions
from infmap_kit.triton.server.process import TritonServer
from made_once import MadeOnce
from node_host import radiograph_file
from orthanc import Orthanc
from small_network import small_network


@pytest.fixture(scope="session")
def small_repository(made_once: MadeOnce) -> Path:
    """Served by Triton like any, but quick: here the network does not matter."""

    def make(folder: Path) -> None:
        folder.mkdir()
        onnx.save(small_network(), folder / "small.onnx")
        source = read_source(folder / "small.onnx")
        publish(source, folder / "repository", EmbeddedOptions(), pictures=synthetic_pictures())

    return made_once("node", make) / "repository"


@pytest.fixture(scope="module")
def triton(small_repository: Path) -> Iterator[TritonServer]:
    with serving(small_repository, free_ports()) as running_server:
        yield running_server


@pytest.fixture
def pacs(orthanc: Orthanc) -> Orthanc:
    orthanc.clear()
    return orthanc


@pytest.fixture(scope="module")
def chests(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Ten drawn radiographs as DICOM, each of its own patient."""
    folder = tmp_path_factory.mktemp("chests")
    return [
        radiograph_file(folder, synthetic_radiograph(n, height=300, width=260).radiograph.pixels, n)
        for n in range(10)
    ]
