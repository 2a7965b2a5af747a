"""The cores' highest throughput by OpenVINO's ``benchmark_app``, to compare served throughput with."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from infmap_kit.errors import SpecError
from infmap_kit.model.files import read_json

_PROGRAM = "import infmap_kit; from openvino.tools.benchmark.main import main; main()"
"""``benchmark_app`` of this environment, with telemetry off."""
_START_S = 120.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class CoresLimit:
    """The throughput of the network alone, in pictures per second, with nothing between its requests.

    Parameters
    ----------
    one_core_per_s
        On one thread, one request after the other.
    cores
        Cores of this machine.
    throughput_mode_per_s
        On all cores, as OpenVINO's performance hint for throughput chooses streams and requests.
    """

    one_core_per_s: float
    cores: int
    throughput_mode_per_s: float

    @property
    def limit_per_s(self) -> float:
        """The throughput of as many streams as cores, each as fast as one core alone."""
        return self.cores * self.one_core_per_s

    def as_json(self) -> dict[str, Any]:
        """The figures for a record."""
        figures = {**dataclasses.asdict(self), "limit_per_s": self.limit_per_s}
        return {name: round(value, 3) for name, value in figures.items()}


def measure_limit(network: Path, *, precision: str, image_size: int, seconds: float) -> CoresLimit:
    """Let ``benchmark_app`` compute a network on one core, and on all.

    Parameters
    ----------
    network
        ONNX, or OpenVINO's own XML, with pictures of one channel as its only input.
    precision
        ``f32`` or ``bf16``, as OpenVINO names them.
    image_size
        Height and width of a picture, in pixels.
    seconds
        Duration of each of the two.

    Raises
    ------
    SpecError
        When it cannot measure, with its last line.
    """
    common = [
        "-m", str(network), "-d", "CPU", "-t", str(max(1, round(seconds))),
        "-shape", f"[1,{image_size},{image_size}]", "-infer_precision", precision,
    ]  # fmt: skip
    return CoresLimit(
        one_core_per_s=_per_second(
            [*common, "-hint", "none", "-nstreams", "1", "-nthreads", "1", "-pin", "NO"], seconds
        ),
        cores=len(os.sched_getaffinity(0)),
        throughput_mode_per_s=_per_second([*common, "-hint", "throughput"], seconds),
    )


def _per_second(arguments: list[str], seconds: float) -> float:
    with tempfile.TemporaryDirectory(prefix="infmap-kit-") as scratch:
        report = ["-json_stats", "-report_type", "no_counters", "-report_folder", scratch]
        done = subprocess.run(  # noqa: S603  # our own environment's program
            [sys.executable, "-c", _PROGRAM, *arguments, *report],
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds + _START_S,
        )
        path = Path(scratch) / "benchmark_report.json"
        if done.returncode or not path.is_file():
            last = (done.stdout + done.stderr).strip().splitlines() or ["it gave no reason"]
            raise SpecError(f"OpenVINO's benchmark_app could not measure: {last[-1]:.200}")
        return float(read_json(path)["execution_results"]["throughput"])
