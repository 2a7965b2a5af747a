"""Triton's own load generator against the same server, for a second measurement.

``perf_analyzer`` is optional. It is looked for on the PATH and in the environment variable
``PERF_ANALYZER``; Debian's older systems take the one from the wheel tritonclient 2.41 (see
benchmarks/README.md).
"""

from __future__ import annotations

import contextlib
import csv
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from infmap_kit.bench.statistics import Latencies
from infmap_kit.bench.subject import Subject
from infmap_kit.errors import HostMismatch
from infmap_kit.model.tensors import CANVAS
from infmap_kit.parts.contract import ENSEMBLE

AGREEMENT_PERCENT = 10.0
"""Largest difference of the p50 of two load generators that agree."""

_REQUESTS = 100
_TIMEOUT_S = 240.0
_LIBRARY = "libcudart.so.12"


def measure_independently(subject: Subject, ours: Latencies) -> dict[str, Any]:
    """Let ``perf_analyzer`` measure the served ensemble, batch 1, one request at a time.

    Parameters
    ----------
    ours
        Our own samples of the same scope.

    Returns
    -------
    dict
        ``p50_ms``, ``p90_ms``, ``p95_ms``, ``p99_ms``, ``difference_percent`` of its p50 from ours and
        ``agrees``; or ``missing`` with the reason why there is none.
    """
    program = shutil.which(os.environ.get("PERF_ANALYZER", "perf_analyzer"))
    if program is None:
        return {"missing": "perf_analyzer is not here (neither on the PATH nor in PERF_ANALYZER)"}
    side = subject.model.contract.image_size
    with tempfile.TemporaryDirectory(prefix="infmap-kit-") as scratch, _libraries(scratch) as path:
        table = Path(scratch) / "latency.csv"
        command = [
            program, "-m", ENSEMBLE.name, "-u", subject.server.grpc_url, "-i", "grpc",
            "--shape", f"{CANVAS.name}:1,{side},{side}",
            "--shape", f"IMAGE:1,{side},{side}",
            "--concurrency-range", "1", "--percentile", "50",
            "--measurement-mode", "count_windows", "--measurement-request-count", str(_REQUESTS),
            # Its own rule of stability: three windows within so many percent, five at most.
            "--stability-percentage", "10", "--max-trials", "5", "-f", str(table),
        ]  # fmt: skip
        try:
            done = subprocess.run(  # noqa: S603  # our own command line
                command,
                capture_output=True,
                text=True,
                check=False,
                timeout=_TIMEOUT_S,
                env={**os.environ, "LD_LIBRARY_PATH": path},
            )
        except subprocess.TimeoutExpired:
            return {"missing": f"perf_analyzer was not stable within {_TIMEOUT_S:.0f} s"}
        except OSError as error:
            return {"missing": f"perf_analyzer cannot be started: {error.strerror}"}
        if not table.is_file():
            lines = (done.stderr or done.stdout).strip().splitlines() or ["it gave no reason"]
            return {"missing": f"perf_analyzer failed: {lines[-1].rstrip('.')}"}
        return _figures(table.read_text(encoding="utf-8"), ours.p50_ms)


def _figures(table: str, ours_p50_ms: float) -> dict[str, Any]:
    (row,) = csv.DictReader(table.splitlines())
    figures = {
        f"p{share}_ms": round(float(row[f"p{share} latency"]) / 1e3, 3)
        for share in (50, 90, 95, 99)
    }
    difference = 100 * (figures["p50_ms"] / ours_p50_ms - 1)
    return {
        "program": "perf_analyzer",
        **figures,
        "difference_percent": round(difference, 2),
        "agrees": abs(difference) <= AGREEMENT_PERCENT,
    }


@contextlib.contextmanager
def _libraries(scratch: str) -> Iterator[str]:
    """The library path with CUDA's runtime on it, which the program is linked with and never calls here.

    The server for CPUs brings it under another name.
    """
    from infmap_kit.triton.server.runtime import find_runtime

    folders: list[str] = []
    # Where the server is in a container, none of this machine brings libraries.
    with contextlib.suppress(HostMismatch):
        folders += map(str, find_runtime().libraries)
    libraries = [path for folder in folders for path in Path(folder).glob("libcudart-*.so.12*")]
    for library in libraries[:1]:
        (Path(scratch) / _LIBRARY).symlink_to(library)
    before = os.environ.get("LD_LIBRARY_PATH", "")
    yield os.pathsep.join(part for part in (scratch, *folders, before) if part)
