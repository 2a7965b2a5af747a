"""A modality, a node, and a PACS to which it delivers in two ways: for those victims that are a part of it."""

from __future__ import annotations

import contextlib
import dataclasses
import random
import threading
import time
from pathlib import Path
from typing import Any

from pydicom import dcmread

from chaos.invariants import demand, demand_anonymous, demand_same
from chaos.relay import Relay
from chaos.troubles import Trouble
from chaos.victim import Victim
from infmap_kit.imaging.synthetic.drawing import synthetic_radiograph
from infmap_kit.serving.server import free_port
from launcher import Command, Launcher
from node_host import NodeHost, c_store_to, radiograph_file, send, stow_to, wait_until
from orthanc import Orthanc, running_orthanc

RESULTS = ("OT", "SEG", "SR")
_DRAIN_S = 120.0


class LaunchedNode(NodeHost):
    """A node that is forked and not started cold."""

    launcher: Launcher

    def launch(self) -> Command:
        return self.launcher.start(
            "infmap-kit", "node", "run", "-c", self.config, log=self.log_path,
            environment=self.environment,
        )  # fmt: skip


class Department(Victim):
    """What is sent is delivered once, whatever of the department is killed."""

    bears = tuple(Trouble)

    def prepare(self) -> None:
        self._stack = contextlib.ExitStack()
        self._ports = (free_port(), free_port())
        self._place = self.world.folder / f"{self.folder.name}-rest"
        self._place.mkdir()
        self._store = self._stack.enter_context(Relay(self._ports[0]))
        self._stow = self._stack.enter_context(Relay(self._ports[1]))
        self._pacs_stack = contextlib.ExitStack()
        self.start_pacs()
        # To the node, the PACS is where the relays are.
        seen = dataclasses.replace(
            self.pacs, dicom_port=self._store.port, http_url=f"http://127.0.0.1:{self._stow.port}"
        )
        self.node = LaunchedNode(
            self._place / "node", f"127.0.0.1:{self.world.server_relay.port}",
            c_store_to(seen, more="timeout_s = 3") + stow_to(seen, more="timeout_s = 3"),
            more="[limits]\nkeep_free_mb = 4\n[work]\nmax_crashes = 1000\nmax_attempts = 1000",
            spool=self.folder / "spool", environment=self.environment,
        )  # fmt: skip
        self.node.launcher = self.world.launcher
        self.node.start()
        self.pixels = [
            synthetic_radiograph(n, height=240, width=220).radiograph.pixels for n in range(4)
        ]
        self._sent = 0
        self._uids: list[str] = []
        self._modality: threading.Thread | None = None

    def send(self, number: int) -> None:
        """Let the modality send new radiographs, again and again until it is told that they were accepted."""
        files = []
        for _ in range(number):
            self._sent += 1
            files.append(radiograph_file(self._place, self.pixels[self._sent % 4], self._sent))
        self._files = files
        self._uids = [str(dcmread(file).StudyInstanceUID) for file in files]
        self._giving_up = threading.Event()
        self._modality = threading.Thread(target=self._send_until_taken, daemon=True)
        self._modality.start()

    def strike(self, chance: random.Random) -> bool:
        self.send(chance.randint(1, 3))
        time.sleep(chance.uniform(0, 1.5))
        was_killed = self.kill(chance)
        time.sleep(chance.uniform(0, 0.3))
        return was_killed

    def kill(self, chance: random.Random) -> bool:
        """Kill a part of it, and perhaps start it again."""
        raise NotImplementedError

    def recover(self) -> None:
        self.world.serving.ensure()
        assert self._modality is not None
        deadline = time.monotonic() + _DRAIN_S
        self._start_node()
        while self._modality.is_alive() and time.monotonic() < deadline:
            self._modality.join(0.5)
            # One that was started into the trouble may take until now to end for it.
            self._start_node()
        stuck = self._modality.is_alive()
        demand(not stuck, f"the modality cannot get rid of its radiographs: {self._explain()}")
        wait_until(self._drained, _DRAIN_S, self._explain)

    def check(self) -> None:
        status = self.node.images()
        demand(status["done"] == self._sent, f"lost: radiographs in the node: {status}")
        demand(sum(status.values()) == self._sent, f"twice: radiographs in the node: {status}")
        received = self.node.metrics("infmap_node_received_total")[""]
        demand(received == self._sent, f"counted {received} of {self._sent} radiographs")
        studies = [self.pacs.get(f"/studies/{one}") for one in self.pacs.get("/studies")]
        found = [one["MainDicomTags"]["StudyInstanceUID"] for one in studies]
        demand_same(found, self._uids, "studies in the PACS")
        for file in self._files:
            source = dcmread(file)
            results = self.pacs.instances(StudyInstanceUID=source.StudyInstanceUID)
            demand_same((one.Modality for one in results), RESULTS, "results in the PACS")
            for result in results:
                demand(result.PatientID == source.PatientID, "a result of another patient")
                _ = result.pixel_array if "PixelData" in result else result.ContentSequence
            file.unlink()
        spool = self.folder / "spool"
        demand(not list((spool / "arriving").iterdir()), "half: left in arriving")
        left = [path.name for path in (spool / "results").iterdir() if ".part" in path.name]
        demand(not left, f"half: left in results: {left}")
        log = self.node.log_path.read_text()
        demand_anonymous(log, self._uids)
        demand("Traceback" not in log, f"a traceback: {log[-1500:]}")
        self.pacs.clear()

    def start_pacs(self) -> None:
        """Start the PACS, on the folder of the one before."""
        self.pacs: Orthanc = self._pacs_stack.enter_context(
            running_orthanc(Path(self._place) / "pacs", ports=self._ports)
        )

    def kill_pacs(self) -> None:
        """Kill the PACS."""
        self.pacs.process.kill()
        self._pacs_stack.close()

    def relays(self) -> list[Relay]:
        return [*super().relays(), self._store, self._stow]

    def end(self) -> None:
        if self._modality is not None:
            self._giving_up.set()
        self.node.kill()
        self._pacs_stack.close()
        self._stack.close()

    def _start_node(self) -> None:
        if self.node.process_ended():
            self.node.start()

    def _send_until_taken(self) -> None:
        for file in self._files:
            while send(self.node.port, [file]) != 0 and not self._giving_up.is_set():
                time.sleep(0.1)

    def _drained(self) -> bool:
        demand(not self.node.process_ended(), f"the node ended: {self._explain()}")
        code, _ = self.node.http("/live")
        states: dict[str, Any] = self.node.images() if code == 200 else {}
        return bool(states) and not any(
            number
            for state, number in states.items()
            if state in ("waiting", "working", "delivering")
        )

    def _explain(self) -> str:
        return self.node.log_path.read_text()[-1500:]
