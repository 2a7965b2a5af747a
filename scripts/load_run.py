#!/usr/bin/env python
"""Many gRPC clients for many minutes: no error, no wrong answer, and memory that does not grow.

Serves a repository, with ``--gateway`` behind nginx, and measures the resident memory of the server, its
python stubs, nginx and these clients; or asks a server that is there already, also through a gateway with TLS.

Examples: ``.venv/bin/python scripts/load_run.py --repository demo-output/model_repository --gateway``
``.venv/bin/python scripts/load_run.py --url host:8443 --ca ca.pem --certificate me.pem --key me.key``
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from authority import Authority
from gateways import running_gateway
from infmap_kit import __version__
from infmap_kit.imaging.network_input import network_input
from infmap_kit.imaging.synthetic.drawing import synthetic_radiograph
from infmap_kit.parts.contract import ENSEMBLE
from infmap_kit.serving.server import free_ports, serving

ROOT = Path(__file__).resolve().parents[1]
OUTPUTS = ("DETECTED", "SEVERITY", "PROBABILITY", "INFECTION_MAP")
PICTURES = 8
EVERY_S = 5.0


class Load:
    """Clients that share a pace: so many requests in so many minutes, and a count of what came back."""

    def __init__(self, given: argparse.Namespace, url: str) -> None:
        self._given, self._url = given, url
        self._lock = threading.Lock()
        self._number = 0
        self._expected: dict[int, dict[str, bytes]] = {}
        self.done = 0
        self.errors: list[str] = []
        drawn = [
            synthetic_radiograph(n, height=512, width=480).radiograph.pixels
            for n in range(PICTURES)
        ]
        self._inputs = [(network_input(pixels), pixels) for pixels in drawn]

    def run(self) -> None:
        """Ask until all requests are done and the time is over."""
        self.started = time.monotonic()
        threads = [threading.Thread(target=self._ask_all) for _ in range(self._given.clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _next(self) -> int | None:
        """The number of the next request, when it is its turn."""
        with self._lock:
            number = self._number
            self._number += 1
        pace_s = 60 * self._given.minutes / self._given.requests
        if number >= self._given.requests:
            return None
        time.sleep(max(0.0, self.started + number * pace_s - time.monotonic()))
        return number

    def _ask_all(self) -> None:
        from tritonclient import grpc
        from tritonclient.utils import InferenceServerException

        given = self._given
        tls = {"ssl": True, "root_certificates": given.ca, "certificate_chain": given.certificate,
               "private_key": given.key} if given.ca else {}  # fmt: skip
        channel = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", -1)]
        with contextlib.closing(
            grpc.InferenceServerClient(self._url, channel_args=channel, **tls)
        ) as client:
            while (number := self._next()) is not None:
                try:
                    self._ask(grpc, client, number % PICTURES)
                except InferenceServerException as error:
                    with self._lock:
                        self.errors.append(str(error))

    def _ask(self, grpc: Any, client: Any, picture: int) -> None:
        image, canvas = self._inputs[picture]
        tensors = [
            grpc.InferInput(name, [1, *value.shape], "UINT8").set_data_from_numpy(value[np.newaxis])
            for name, value in (("IMAGE", image), ("CANVAS", canvas))
        ]
        requested = [grpc.InferRequestedOutput(name) for name in OUTPUTS]
        result = client.infer(ENSEMBLE.name, tensors, outputs=requested, client_timeout=60)
        answer = {name: result.as_numpy(name).tobytes() for name in OUTPUTS}
        with self._lock:
            self.done += 1
            if self._expected.setdefault(picture, answer) != answer:
                self.errors.append(f"another answer about picture {picture}")


def resident_mib(pid: int) -> float:
    """Resident memory of a process; 0 when it is gone."""
    with contextlib.suppress(OSError):
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
    return 0.0


def children(pid: int) -> Iterator[int]:
    """Processes that a process has started."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        yield from map(int, (task / "children").read_text().split())


def main() -> int:
    """Serve if nobody does, load, and write the record."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repository", type=Path, help="serve this one")
    parser.add_argument("--gateway", action="store_true", help="and ask it through nginx")
    parser.add_argument("--url", help="or ask here: host:port")
    parser.add_argument(
        "--pids", default="", help="with --url: the server's processes, if they are on this machine"
    )
    parser.add_argument("--ca", help="PEM file; with it TLS is spoken")
    parser.add_argument("--certificate", help="the client's own, PEM file")
    parser.add_argument("--key", help="of the client's certificate, PEM file")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument(
        "--record", type=Path, help="folder for the record (benchmarks/results/chaos)"
    )
    given = parser.parse_args()
    if (given.repository is None) == (given.url is None):
        parser.error("expected --repository or --url")
    if given.gateway and given.url:
        parser.error("--gateway goes before a server of --repository")
    began = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    with contextlib.ExitStack() as stack:
        processes = {"clients": os.getpid()}
        if given.repository:
            server = stack.enter_context(serving(given.repository, free_ports()))
            url = server.grpc_url
            processes["server"] = server.pid
            processes |= {f"stub {n}": pid for n, pid in enumerate(children(server.pid), start=1)}
            if given.gateway:
                url, workers = stack.enter_context(_gateway(given, server.grpc_url))
                processes |= {f"nginx {n}": pid for n, pid in enumerate(workers, start=1)}
        else:
            url = given.url
            processes |= {f"process {pid}": int(pid) for pid in given.pids.split(",") if pid}
        load = Load(given, url)
        loading = threading.Thread(target=load.run)
        loading.start()
        started, times, memory = time.monotonic(), [], {name: [] for name in processes}
        done: list[int] = []
        while loading.is_alive():
            loading.join(EVERY_S)
            times.append((time.monotonic() - started) / 60)
            done.append(load.done)
            for name, pid in processes.items():
                memory[name].append(resident_mib(pid))
    seconds = time.monotonic() - started
    record = {
        "began": began, "version": __version__, "clients": given.clients, "requests": load.done,
        "errors": len(load.errors), "first_errors": load.errors[:5], "seconds": round(seconds, 1),
        "tls": bool(given.ca), "cpus": os.cpu_count(), **_figures(times, done, memory),
    }  # fmt: skip
    text = json.dumps(record, indent=2)
    print(text)
    if given.record:
        given.record.mkdir(parents=True, exist_ok=True)
        stamp = began.replace("-", "").replace(":", "")[:15]
        kind = "gateway" if given.ca else "load"
        (given.record / f"{kind}-{stamp}.json").write_text(text + "\n")
    return 1 if load.errors or load.done != given.requests else 0


@contextlib.contextmanager
def _gateway(given: argparse.Namespace, grpc_url: str) -> Iterator[tuple[str, list[int]]]:
    """A gateway whose caller these clients are: its address, and the processes of its workers."""
    with tempfile.TemporaryDirectory() as scratch:
        authority = Authority(Path(scratch))
        caller = authority.sign("caller")
        given.ca, given.certificate, given.key = (
            str(path) for path in (authority.path, caller.path, caller.key)
        )
        with running_gateway(
            Path(scratch) / "gateway", authority, grpc_url,
            requests_per_second=10_000, connections=2 * given.clients,
        ) as gateway:  # fmt: skip
            main_process = int((gateway.folder / "nginx.pid").read_text())
            yield gateway.address, list(children(main_process))


def _figures(times: list[float], done: list[int], memory: dict[str, list[float]]) -> dict[str, Any]:
    """Memory at the beginning, in the middle and at the end, and its slope after the first minute or tenth."""
    last = max(round(times[-1]), 1)
    minutes = sorted({min(1, last), (last + 1) // 2, last})
    settled = [number for number, minute in enumerate(times) if minute >= min(1.0, times[-1] / 10)]
    figures: dict[str, Any] = {"minutes": [str(minute) for minute in minutes], "memory": {}}
    for name, values in memory.items():
        at = {
            str(minute): round(values[int(np.argmin(np.abs(np.subtract(times, minute))))], 1)
            for minute in minutes
        }
        x, y = np.take(done, settled) / 1000, np.take(values, settled)
        slope = float(np.polyfit(x, y, 1)[0]) if len(settled) > 2 else 0.0
        figures["memory"][name] = {"mib": at, "slope_mib_per_1000_requests": round(slope, 3)}
    return figures


if __name__ == "__main__":
    sys.exit(main())
