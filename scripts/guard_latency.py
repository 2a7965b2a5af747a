#!/usr/bin/env python
"""What guarding a server costs a request: `serve` beside a bare Triton, and nginx before it beside none.

Each picture is asked about of all three, in an order that is drawn, so that a machine that grows slower is
slower for each. What counts is the ratio within such a round. The machine should have nothing else to do.

Example: ``.venv/bin/python scripts/guard_latency.py --repository demo-output/model_repository``
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from authority import Authority
from gateways import running_gateway
from infmap_kit.bench.statistics import bootstrap_p50, interval
from infmap_kit.imaging.network_input import network_input
from infmap_kit.imaging.synthetic.drawing import synthetic_radiograph
from infmap_kit.serving.server import free_ports
from infmap_kit.serving.supervisor import POLL_S, RECHECK_S, Supervisor, supervised
from infmap_kit.triton.server.process import is_ready
from infmap_kit.triton.server.runtime import find_runtime

WARM_UP = 50
BARE, SERVE, GATEWAY = "bare Triton", "serve", "gateway"


def main() -> None:
    """Measure, and print milliseconds and ratios as JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repository", type=Path, required=True)
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument(
        "--recheck-s", type=float, default=RECHECK_S, help="seconds between two looks at all hashes"
    )
    options = parser.parse_args()
    from tritonclient import grpc

    with contextlib.ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        # Its bytecode would lie in the repository.
        copy = shutil.copytree(options.repository, scratch / "bare")
        bare_url = stack.enter_context(bare_triton(copy))
        server = stack.enter_context(supervised(options.repository, free_ports()))
        stack.enter_context(_looked_after(server, options.recheck_s))
        authority = Authority(scratch)
        gateway = stack.enter_context(
            running_gateway(
                scratch / "gateway", authority, server.grpc_url, requests_per_second=10_000
            )
        )
        clients = {
            BARE: grpc.InferenceServerClient(bare_url),
            SERVE: grpc.InferenceServerClient(server.grpc_url),
            GATEWAY: gateway.grpc(authority.sign("caller")),
        }
        figures = {
            output: _measured(clients, output, map_size, options.samples)
            for output, map_size in (("SEVERITY", 1), ("INFECTION_MAP", 1024))
        }
    load = os.getloadavg()[0]
    print(json.dumps({"samples": options.samples, "load_average": load, **figures}, indent=2))


@contextlib.contextmanager
def bare_triton(repository: Path) -> Iterator[str]:
    """Triton as it comes: no file checked, nothing closed, and nobody looking."""
    runtime, ports = find_runtime(), free_ports()
    command = [
        str(runtime.executable), f"--model-repository={repository}",
        f"--http-port={ports.http_port}", f"--grpc-port={ports.grpc_port}",
        f"--metrics-port={ports.metrics_port}", "--disable-auto-complete-config",
        f"--backend-config=python,shm-region-prefix-name=bare-{os.getpid()}-",
    ]  # fmt: skip
    if runtime.backends is not None:
        command.append(f"--backend-directory={runtime.backends}")
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, env=runtime.environment(), stdout=quiet, stderr=quiet)  # noqa: S603
    try:
        while not is_ready(ports.grpc_url):
            if process.poll() is not None:
                sys.exit(f"error: a bare Triton ended with {process.returncode}")
            time.sleep(0.1)
        yield ports.grpc_url
    finally:
        process.terminate()
        process.wait(60)


@contextlib.contextmanager
def _looked_after(server: Supervisor, recheck_s: float) -> Iterator[None]:
    """Look at a server as `serve` does."""
    ending = threading.Event()

    def look() -> None:
        checked_at = time.monotonic()
        while not ending.wait(POLL_S):
            server.look()
            if time.monotonic() - checked_at > recheck_s:
                server.check_files()
                checked_at = time.monotonic()

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join()


def _measured(
    clients: Mapping[str, Any], output: str, map_size: int, samples: int
) -> dict[str, object]:
    from tritonclient import grpc

    pixels = synthetic_radiograph(0, height=1024, width=1024).radiograph.pixels
    arrays = {
        "IMAGE": network_input(pixels)[np.newaxis],
        "CANVAS": np.ascontiguousarray(pixels[np.newaxis, :map_size, :map_size]),
    }
    inputs = [
        grpc.InferInput(name, list(array.shape), "UINT8").set_data_from_numpy(array)
        for name, array in arrays.items()
    ]
    wanted = [grpc.InferRequestedOutput(output)]

    def ask_ms(name: str) -> float:
        began = time.perf_counter()
        clients[name].infer("infmap", inputs, outputs=wanted)
        return (time.perf_counter() - began) * 1000

    for name in [*clients] * WARM_UP:
        ask_ms(name)
    drawn = random.Random(0)  # noqa: S311  # an order, no secret
    took: dict[str, list[float]] = {name: [] for name in clients}
    for _ in range(samples):
        for name in drawn.sample([*clients], len(clients)):
            took[name].append(ask_ms(name))
    return {
        "p50_ms": {name: round(statistics.median(values), 3) for name, values in took.items()},
        "serve_over_bare": paired(took[SERVE], took[BARE], lambda a, b: a / b),
        "gateway_over_serve": paired(took[GATEWAY], took[SERVE], lambda a, b: a / b),
        "gateway_adds_ms": paired(took[GATEWAY], took[SERVE], lambda a, b: a - b),
    }


def paired(
    first: Sequence[float], second: Sequence[float], compared: Callable[[float, float], float]
) -> dict[str, object]:
    """Median over the rounds, with its 95 % interval."""
    values = [compared(one, other) for one, other in zip(first, second, strict=True)]
    low, high = interval(bootstrap_p50(values))
    return {"p50": round(statistics.median(values), 4), "ci95": [round(low, 4), round(high, 4)]}


if __name__ == "__main__":
    main()
