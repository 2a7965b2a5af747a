"""What all victims share, made once: a served model, radiographs of patients, and a launcher."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from pathlib import Path
from typing import Self

import cv2
import numpy as np

from chaos.clock import jumping_clock
from chaos.invariants import Violation, demand
from chaos.relay import Relay
from infmap_kit.errors import ServerError
from infmap_kit.imaging.network_input import network_input
from infmap_kit.imaging.synthetic.drawing import synthetic_radiograph
from infmap_kit.serving.server import free_ports
from infmap_kit.triton.client import InfmapClient
from launcher import Command, Launcher
from node_host import radiograph_file, wait_until
from patience import PATIENCE_S
from small_network import small_run

PICTURES, DICOMS = 2, 1
SERVER, STUB = "tritonserver", "triton_python_backend_stub"
_LOSSES = 2


class World:
    """Use it as a context manager.

    Parameters
    ----------
    folder
        For everything; outside any checkout, since processes of less privilege work in it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            clock = jumping_clock(self.folder)
            self.has_clock = clock is not None
            self.launcher = stack.enter_context(
                Launcher(
                    self.folder / "launcher",
                    {
                        "HOME": str(self.folder / "launcher"),
                        "COLUMNS": "300",
                        "OPENBLAS_NUM_THREADS": "1",
                        "INFMAP_UID_KEY": "chaos",
                        **(clock or {}),
                    },
                )
            )
            self.run = small_run(self.folder / "run")
            self.radiographs = self.folder / "radiographs"
            self.radiographs.mkdir()
            for number in range(PICTURES):
                pixels = synthetic_radiograph(number, height=300, width=260).radiograph.pixels
                cv2.imwrite(str(self.radiographs / f"picture-{number}.png"), pixels)
            for number in range(PICTURES, PICTURES + DICOMS):
                pixels = synthetic_radiograph(number, height=300, width=260).radiograph.pixels
                radiograph_file(self.radiographs, pixels, number)
            repository = self.folder / "served"
            self.command("export", self.run, "--repository", repository, "--target", "embedded")
            self.serving = Serving(self.launcher, repository, self.folder / "serve.log")
            stack.callback(self.serving.stop)
            self.serving.ensure()
            self.server_relay = stack.enter_context(Relay(self.serving.ports.grpc_port))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def command(self, *arguments: object) -> None:
        """Run one of `infmap-kit`'s commands that must succeed."""
        done = self.launcher.run("infmap-kit", *arguments, log=self.folder / "preparation.log")
        demand(done.exit_code == 0, f"{arguments}: {done.output()[-2000:]}")


class Serving:
    """`infmap-kit serve`, started again when it is gone.

    Parameters
    ----------
    launcher, repository, log
        What starts it, what it serves, and where it writes.
    """

    def __init__(self, launcher: Launcher, repository: Path, log: Path) -> None:
        self._launcher, self._repository, self.log = launcher, repository, log
        self.ports = free_ports()
        self.command: Command | None = None
        self.picture = network_input(
            synthetic_radiograph(0, height=300, width=260).radiograph.pixels
        )
        self._expected: dict[str, object] | None = None

    @property
    def url(self) -> str:
        """Its gRPC endpoint."""
        return self.ports.grpc_url

    def ensure(self) -> None:
        """Wait until it answers rightly, and start it when it has ended."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            if self.command is None or self.command.ended.is_set():
                self._start()
            with contextlib.suppress(ServerError):
                self.ask()
                # Its own warm-up is over when it names its endpoints.
                if self.log.read_text()[self._log_began :].count("}") >= 2:
                    return
            if time.monotonic() > deadline:
                # Nobody else is to suffer from it.
                self.stop()
                shown = self.log.read_text()[-1500:]
                raise Violation(f"the server does not come back within {PATIENCE_S} s: {shown}")
            time.sleep(0.05)

    def ask(self, timeout_s: float = 20) -> None:
        """Ask about a radiograph; an answer other than the first one ever given is a violation."""
        with InfmapClient(self.url, timeout_s=timeout_s) as client:
            outputs = client.infer(self.picture)
        answer: dict[str, object] = {
            name: np.asarray(value).tobytes() for name, value in sorted(outputs.items())
        }
        self._expected = self._expected or answer
        demand(answer == self._expected, "a wrong answer of the server")

    def processes(self, name: str) -> list[int]:
        """Ids of the server's processes whose program has this name."""
        if self.command is None or self.command.ended.is_set():
            return []
        return [pid for pid in _descendants(self.command.pid) if _program(pid) == name]

    def renew_when_tired(self) -> None:
        """End a `serve` that has lost its server twice in order; its next pauses are too long to wait for."""
        if self.command is None or self.command.ended.is_set():
            return
        if self.log.read_text()[self._log_began :].count("it is started again in ") < _LOSSES:
            return
        processes = self.processes(SERVER) + self.processes(STUB)
        self.command.send_signal(signal.SIGTERM)
        code = self.command.wait()
        demand(code == 0, f"asked to end, serve ends with {code}: {self.log.read_text()[-1500:]}")
        demand(not any(map(is_alive, processes)), "it outlived serve")

    def stop(self) -> None:
        """End it in whatever way."""
        if self.command is not None and not self.command.ended.is_set():
            servers = self.processes(SERVER)
            self.command.kill()
            wait_until(lambda: not any(map(is_alive, servers)), 60)

    def _start(self) -> None:
        self._log_began = len(self.log.read_text()) if self.log.exists() else 0
        ports = self.ports
        self.command = self._launcher.start(
            "infmap-kit",
            "serve",
            "--json",
            "--repository",
            self._repository,
            "--http-port",
            ports.http_port,
            "--grpc-port",
            ports.grpc_port,
            "--metrics-port",
            ports.metrics_port,
            log=self.log,
        )


class Asking(threading.Thread):
    """Asks the server without a pause until it is told to end; errors are remembered, wrong answers too."""

    def __init__(self, serving: Serving) -> None:
        super().__init__(daemon=True)
        self._serving = serving
        self._ending = threading.Event()
        self.answers = 0
        self.errors: list[str] = []
        self.violation: AssertionError | None = None

    def run(self) -> None:
        while not self._ending.is_set():
            try:
                self._serving.ask()
                self.answers += 1
            except ServerError as error:
                self.errors.append(str(error))
                time.sleep(0.02)
            except AssertionError as violation:
                self.violation = violation
                return

    def end(self) -> None:
        """Stop, and demand that nothing but answers and errors of one line was seen."""
        self._ending.set()
        self.join(90)
        demand(not self.is_alive(), "a client waits for an answer for ever")
        if self.violation is not None:
            raise self.violation
        demand(not any("\n" in error for error in self.errors), f"lines: {self.errors}")


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and was not waited for does not."""
    return _state(pid) not in ("", "Z", "X")


def _descendants(pid: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):  # noqa: PTH208  # thousands of them, many times
        if entry.isdecimal():
            children.setdefault(_parent(int(entry)), []).append(int(entry))
    found, ahead = [], [pid]
    while ahead:
        below = children.get(ahead.pop(), [])
        found += below
        ahead += below
    return found


def _stat(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _parent(pid: int) -> int:
    fields = _stat(pid)
    return int(fields[1]) if fields else 0


def _state(pid: int) -> str:
    fields = _stat(pid)
    return fields[0] if fields else ""


def _program(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/exe").readlink().name
    except OSError:
        return ""
