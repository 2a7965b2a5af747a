#!/usr/bin/env python
"""What the gateway adds to a request: nginx with TLS and client certificates before Triton, on this machine.

Each picture is asked about twice, once straight and once through the gateway, in an order that is drawn, so
that a machine that grows slower is slower for both. The machine should have nothing else to do.

Example: ``.venv/bin/python scripts/gateway_latency.py --repository demo-output/model_repository``
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from authority import Authority
from gateways import running_gateway
from infmap_kit.bench.statistics import bootstrap_p50, interval
from infmap_kit.imaging.network_input import network_input
from infmap_kit.imaging.synthetic.drawing import synthetic_radiograph
from infmap_kit.triton.server.serving import free_ports, serving

WARM_UP = 50


def main() -> None:
    """Measure, and print milliseconds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repository", type=Path, required=True)
    parser.add_argument("--samples", type=int, default=1000)
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as scratch,
        serving(options.repository, free_ports()) as server,
    ):
        authority = Authority(Path(scratch))
        certificate = authority.sign("caller")
        with running_gateway(
            Path(scratch) / "gateway", authority, server.grpc_url, requests_per_second=10_000
        ) as gateway:
            from tritonclient import grpc

            straight = grpc.InferenceServerClient(server.grpc_url)
            through = gateway.grpc(certificate)
            for asks, map_size in (("SEVERITY", 1), ("INFECTION_MAP", 1024)):
                _measure(straight, through, asks, map_size, options.samples)


def _measure(straight: Any, through: Any, output: str, map_size: int, samples: int) -> None:
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

    def ask_ms(client: Any) -> float:
        began = time.perf_counter()
        client.infer("infmap", inputs, outputs=wanted)
        return (time.perf_counter() - began) * 1000

    for client in (straight, through) * WARM_UP:
        ask_ms(client)
    drawn = random.Random(0)  # noqa: S311  # an order, no secret
    direct, added = [], []
    for _ in range(samples):
        first, second = drawn.sample((straight, through), 2)
        took = {id(first): ask_ms(first), id(second): ask_ms(second)}
        direct.append(took[id(straight)])
        added.append(took[id(through)] - took[id(straight)])
    low, high = interval(bootstrap_p50(added))
    print(
        f"{output}: straight {statistics.median(direct):.2f} ms; the gateway adds "
        f"{statistics.median(added):.2f} ms (95 %: {low:.2f} to {high:.2f}; p50 of {samples} pairs)"
    )


if __name__ == "__main__":
    main()
