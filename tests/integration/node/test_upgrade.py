"""An upgrade of server and node with 200 radiographs on the way, back, and forward again: all judged, once."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from infmap_kit import __version__
from infmap_kit.imaging.synthetic.drawing import synthetic_radiograph
from infmap_kit.serving.server import free_ports
from infmap_kit.triton.server.options import ServerOptions
from installed_versions import ROOT, Installation, earlier_source
from node_host import NodeHost, c_store_to, radiograph_file, send, wait_until
from orthanc import Orthanc
from previous import unpack_previous
from processes import end

pytest.importorskip("pynetdicom")
if shutil.which("storescu") is None:
    pytest.skip("needs dcmtk: apt-get install dcmtk", allow_module_level=True)

EARLIER = "3550f1d"
"""The state that wrote ``tests/data/previous``: its queue lacks five tables, its results have other UIDs."""

NUMBER = 80


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    folder = tmp_path_factory.mktemp("versions")
    made = Installation(folder / "infmap-kit")
    source = earlier_source(folder / "earlier", commit=EARLIER, version="0.0.9")
    made.add("earlier", source)
    made.add("present", ROOT)
    return made


@dataclasses.dataclass
class Host:
    """Server and node, started by one link and restarted as `systemctl restart` does."""

    installation: Installation
    repository: Path
    ports: ServerOptions
    node: NodeHost
    server: subprocess.Popen[bytes] | None = None

    def change_to(self, version: str) -> int:
        """What the installer does once a version's programs are there: the link, the server, the node.

        Gives how many radiographs were on the way when the node was ended.
        """
        self.installation.switch_to(version)
        self.end_server()
        ports = ["--grpc-port", self.ports.grpc_port, "--http-port", self.ports.http_port]
        ports += ["--metrics-port", self.ports.metrics_port]
        command = [*self.installation.program, "serve", "--repository", self.repository, *ports]
        log = self.node.folder / "serve.log"
        with log.open("wb") as opened:
            self.server = subprocess.Popen(list(map(str, command)), stdout=opened, stderr=opened)
        wait_until(lambda: "Ready after" in log.read_text(), 120, log.read_text)
        on_the_way = 0
        if self.node.process is not None:
            images = self.node.images()
            on_the_way = images["waiting"] + images["working"] + images["delivering"]
            assert self.node.end() == 0
        self.node.start()
        return on_the_way

    def end_server(self) -> None:
        if self.server is not None:
            end(self.server)


class Modality(threading.Thread):
    """An X-ray room: sends one radiograph after the other, and each until it is told that it was stored."""

    def __init__(self, port: int, files: list[Path]) -> None:
        super().__init__(daemon=True)
        self.stored, self.again = 0, 0
        self._port, self._files = port, files

    def run(self) -> None:
        for file in self._files:
            while send(self._port, [file]):
                self.again += 1
                time.sleep(0.2)
            self.stored += 1
            time.sleep(0.1)

    def wait_for(self, number: int) -> None:
        """Wait until so many are stored."""

        def reached() -> bool:
            assert self.is_alive() or self.stored >= number, f"it has ended after {self.stored}"
            return self.stored >= number

        wait_until(reached, 600, lambda: f"{self.stored} stored, {self.again} attempts in vain")


@pytest.fixture
def host(
    tmp_path: Path, installation: Installation, pacs: Orthanc, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Host]:
    # What is installed shall find nothing of this checkout.
    monkeypatch.delenv("PYTHONPATH", raising=False)
    ports = free_ports()
    node = NodeHost(
        tmp_path / "node", f"127.0.0.1:{ports.grpc_port}", c_store_to(pacs), program=installation.program
    )  # fmt: skip
    repository = unpack_previous(tmp_path / "previous") / "embedded"
    made = Host(installation, repository, ports, node)
    try:
        yield made
    finally:
        node.kill()
        made.end_server()


@pytest.mark.slow
def test_an_upgrade_with_radiographs_on_the_way_loses_nothing_and_does_nothing_twice(
    tmp_path: Path, host: Host, pacs: Orthanc
) -> None:
    drawn = [synthetic_radiograph(n, height=96, width=96).radiograph.pixels for n in range(10)]
    files = [radiograph_file(tmp_path, drawn[n % 10], n) for n in range(NUMBER)]
    host.change_to("earlier")
    modality = Modality(host.node.port, files)
    modality.start()
    for number, version in ((20, "present"), (40, "earlier"), (60, "present")):
        modality.wait_for(number)
        assert host.change_to(version) > 0, "some are on the way"
    modality.wait_for(NUMBER)
    assert modality.again > 0, "it called while the node was away"
    host.node.wait_for(600, done=NUMBER)

    found, judged_by = _results(pacs), Counter[str]()
    for source in map(dcmread, files):
        results = found.pop(source.StudyInstanceUID)
        assert Counter(kind for kind, _ in results) == {"OT": 1, "SEG": 1, "SR": 1}
        (program,) = {program for _, program in results}
        judged_by[program] += 1
    assert not found
    assert set(judged_by) == {"infmap-kit 0.0.9", f"infmap-kit {__version__}"}
    assert host.node.metrics("infmap_node_delivered_total", "answer")["success"] == 3 * NUMBER
    assert host.node.metrics("infmap_node_received_total") == {"": NUMBER}


def _results(pacs: Orthanc) -> dict[str, list[tuple[str, str]]]:
    """Modality and version of the program of each object, by study."""
    found: dict[str, list[tuple[str, str]]] = {}
    for instance in pacs.get("/instances"):
        tags: dict[str, Any] = pacs.get(f"/instances/{instance}/simplified-tags")
        program = tags["SoftwareVersions"].split("\\")[0]
        found.setdefault(tags["StudyInstanceUID"], []).append((tags["Modality"], program))
    return found
