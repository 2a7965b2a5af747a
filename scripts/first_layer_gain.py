#!/usr/bin/env python
"""What a first convolution over one gray channel saves, network by network, on this machine's OpenVINO in FP32.

Each network is built twice with the same random weights, with three equal channels and with one, and the two
engines are asked in turn, a block at a time: what counts is the ratio of neighbouring blocks, and its interval.
A network whose first convolution stays as it is says so. The machine should have nothing else to do.

Example: ``.venv/bin/python scripts/first_layer_gain.py --results benchmarks/results/first_layer.json``
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import filecmp
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import onnx

from infmap_kit.bench.machine import describe_machine
from infmap_kit.bench.statistics import BLOCK, Latencies, paired_ratio
from infmap_kit.gate.engines import OpenvinoEngine
from infmap_kit.graphs import preparation
from infmap_kit.model.spec import EDGE, Architecture, Encoder, NetworkSpec
from infmap_kit.triton.repository import versions

WARM_UP = 2
ENCODERS = (Encoder.DENSENET_121, Encoder.INCEPTION_V3, Encoder.RESNET_50)
"""The paper's encoders of a graph of their own; CheXNet's is DenseNet-121's, and freezing changes none."""


def main() -> None:
    """Build, measure in turn, and print ratios as JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--blocks", type=int, default=20, help="pairs of blocks of each network")
    parser.add_argument("--results", type=Path, help="file to write as well")
    options = parser.parse_args()
    networks = [
        *(NetworkSpec(architecture=a, encoder=e) for a in Architecture for e in ENCODERS),
        EDGE,
    ]
    found: dict[str, Any] = {
        "machine": describe_machine(),
        "versions": versions("openvino", "onnx", "numpy"),
        "blocks": options.blocks,
        "requests_in_a_block": BLOCK,
        "networks": {},
    }
    for network in networks:
        print(f"{network.label} ...", file=sys.stderr)
        with tempfile.TemporaryDirectory() as scratch:
            found["networks"][network.label] = _measured(network, Path(scratch), options.blocks)
    found["load_after"] = round(os.getloadavg()[0], 2)
    text = json.dumps(found, indent=2)
    if options.results:
        options.results.write_text(f"{text}\n")
    print(text)


def _measured(network: NetworkSpec, folder: Path, blocks: int) -> dict[str, Any]:
    built = folder / "built.onnx"
    arguments = json.dumps(dataclasses.asdict(network)), str(built)
    subprocess.run(  # noqa: S603  # our own module in our own interpreter
        [sys.executable, "-m", "infmap_train.networks.untrained", *arguments],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True,
    )  # fmt: skip
    paths = [folder / "one.onnx", folder / "three.onnx"]
    for path, kept in zip(paths, (contextlib.nullcontext(), _three_channels_kept()), strict=True):
        with kept:
            onnx.save(preparation.prepare_segmentation(preparation.read_graph(built)), path)
    if filecmp.cmp(*paths, shallow=False):
        return {"first_convolution": "as it was"}
    engines = [OpenvinoEngine(path) for path in paths]
    picture = np.random.default_rng(0).integers(0, 256, (1, 224, 224), np.uint8)
    answers = [engine.infer(picture) for engine in engines]
    took: list[list[float]] = [[], []]
    for block in range(WARM_UP + blocks):
        for engine, samples in zip(engines, took, strict=True):
            for _ in range(BLOCK):
                began = time.perf_counter()
                engine.graph.infer({"IMAGE": picture})
                if block >= WARM_UP:
                    samples.append(1e3 * (time.perf_counter() - began))
    one, three = (Latencies(tuple(samples)) for samples in took)
    return {
        "first_convolution": "of one channel",
        "one_over_three": dataclasses.asdict(paired_ratio(one, three)),
        "p50_ms": {"one": round(one.p50_ms, 3), "three": round(three.p50_ms, 3)},
        "largest_difference": float(np.abs(answers[0] - answers[1]).max()),
    }


def _three_channels_kept() -> contextlib.AbstractContextManager[object]:
    return mock.patch.object(preparation, "fold_gray_channels", return_value=False)


if __name__ == "__main__":
    main()
