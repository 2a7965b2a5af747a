"""A record of a measurement that never was, with everything in it."""

from __future__ import annotations

import numpy as np

from infmap_kit.bench.records.record import BenchRecord
from infmap_kit.bench.scopes import (
    APART,
    BASELINES,
    DECODE,
    DETECTION,
    ENGINE_ALONE,
    ENGINE_WITH_TRANSFERS,
    FILE_TO_MAP,
    KERAS_PREDICT,
    RENDERING,
    RESIZE,
    SCOPES,
    SERVED_ENSEMBLE,
    SERVED_SEGMENTATION,
    STAGES,
)
from infmap_kit.bench.statistics import Latencies

_MEDIAN_MS = {
    ENGINE_ALONE: 8.0,
    SERVED_SEGMENTATION: 9.0,
    SERVED_ENSEMBLE: 9.6,
    FILE_TO_MAP: 10.0,
    DECODE: 1.8,
    RESIZE: 0.3,
    DETECTION: 0.1,
    RENDERING: 0.4,
    KERAS_PREDICT: 60.0,
}


def bench_record(*, samples: int = 101, seed: int = 0) -> BenchRecord:
    """A record of U-Net with DenseNet-121 in INT8."""
    random = np.random.default_rng(seed)
    names = [
        name for name in (*SCOPES, *APART, *BASELINES, *STAGES) if name != ENGINE_WITH_TRANSFERS
    ]
    scopes = {
        name: Latencies(tuple(_MEDIAN_MS.get(name, 40.0) * (1 + random.gamma(2, 0.01, samples))))
        for name in names
    }
    load = {"p50_ms": 20.0, "p90_ms": 25.0, "p95_ms": 28.0, "p99_ms": 40.0, "max_ms": 60.0}
    return BenchRecord(
        scopes=scopes,
        not_measured={ENGINE_WITH_TRANSFERS: "there is nothing to transfer"},
        server={
            step: {"requests": 101.0, "total": 9.0, "queue": 0.05, "compute_input": 0.05,
                   "compute_infer": 8.7, "compute_output": 0.1}
            for step in ("infmap", "pipeline")
        },
        cold_start={"ready_ms": 2000.0, "first_request_ms": 30.0, "engine_ms": 900.0},
        throughput=[
            {"batch": batch, "concurrency": clients, "images_per_s": 50.0 * clients + batch, **load}
            for batch, clients in ((1, 1), (1, 2), (8, 1))
        ],
        open_loop=[
            {"offered_per_s": 30.0, "offered_share": 0.3, "answered_per_s": 29.0, "requests": 9, **load}
        ],
        independent={"p50_ms": 9.9, "difference_percent": 3.1, "agrees": True},
        model={
            "name": "infmap U-Net", "version": "1", "onnx_sha256": "ab" * 32,
            "network": {"architecture": "U-Net", "encoder": "DenseNet-121", "encoder_frozen": False},
        },
        target="embedded",
        precision="int8",
        inspected={"u8": 131},
        accuracy={
            "gate": {"dice": 0.9951, "pictures": 20, "flips": 0},
            "held_back": {"pixels F1": 0.754},
        },
        pictures=["chest.jpg 1024x1024 image/jpeg"],
        machine={"processor": "a processor", "cores": 2, "gpu": "none"},
        versions={"triton": "2.51.0"},
        started="2026-11-21T23:00:00+00:00",
        duration_s=100.0,
        rule="A scope is stable when it is.",
        options={"samples": samples, "warm_up": 5},
    )  # fmt: skip
