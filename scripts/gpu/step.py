"""What the steps share: the payload, the card, what was found, and the file that says so."""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infmap_kit.bench.machine import describe_machine
from infmap_kit.bench.statistics import Latencies
from infmap_kit.errors import HostMismatch, InfmapError, MissingDependency
from infmap_kit.gate.comparison import GateReport, compare
from infmap_kit.gate.cuda_engine import has_cuda_provider
from infmap_kit.gate.pictures import Pictures, radiographs_in, synthetic_pictures
from infmap_kit.gate.runners import CachingRunner, Runner
from infmap_kit.model.files import write_json
from infmap_kit.release.verify import repository_reference
from infmap_kit.targets.registry import find
from infmap_kit.targets.target import OpenedModel
from infmap_kit.tensorrt.present_gpu import has_gpu, present_gpu
from infmap_kit.triton.repository import Manifest, check_repository, versions

BATCHES = (1, 8, 32)
PACKAGES = ("onnxruntime-gpu", "onnxruntime", "onnx", "numpy", "torch", "tensorflow", "openvino")


class NotRun(Exception):
    """A step, or a part of it, that this machine cannot do; the message says why."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Finding:
    """One line of the table.

    Parameters
    ----------
    what
        What was tried.
    expected, found
        In words. Without anything expected it is a figure to look at.
    passed
        Whether both agree; ``None`` where nothing is expected, or it was not run.
    figures
        Whatever was measured, for the record.
    """

    what: str
    found: str
    expected: str = ""
    passed: bool | None = None
    figures: dict[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Payload:
    """What was packed: repositories, a graph in Q/DQ, radiographs.

    Parameters
    ----------
    folder
        Where it was unpacked.
    samples
        Requests of each measurement.
    """

    folder: Path
    samples: int

    def repositories(self) -> dict[str, Path]:
        """Name to folder of each repository, such as ``onnxruntime-fp16``."""
        # Their archives of earlier releases lie beside them, hidden.
        return {path.name: path for path in sorted((self.folder / "repositories").glob("[!.]*"))}

    def opened(self, name: str) -> tuple[Manifest, OpenedModel]:
        """A repository's engines, which lie on the GPU where there is one."""
        if name not in self.repositories():
            raise NotRun(f"no repository {name} was packed")
        manifest = check_repository(self.repositories()[name])
        return manifest, find(manifest.target).open(self.repositories()[name], manifest)

    def network(self, name: str) -> bytes:
        """The infection's network of a repository, as its file has it."""
        manifest, opened = self.opened(name)
        network = opened.contract.networks[0].name
        files = find(manifest.target).files(self.repositories()[name], manifest.release, [network])
        return files[network].read_bytes()

    def reference(self) -> Runner:
        """The network in FP32 on ONNX Runtime's CPU provider, and the paper's formulas in NumPy."""
        manifest, opened = self.opened("onnxruntime-fp32")
        return CachingRunner(repository_reference(opened, manifest))

    def pictures(self) -> Pictures:
        """The packed radiographs, and drawn ones."""
        real = self.folder / "pictures"
        return [*(radiographs_in(real) if real.is_dir() else []), *synthetic_pictures()]

    def int8_graph(self) -> bytes:
        """The network in Q/DQ INT8."""
        path = self.folder / "int8.onnx"
        if not path.is_file():
            raise NotRun("no graph in Q/DQ was packed")
        return path.read_bytes()


def device() -> str:
    """Where ONNX Runtime computes here: ``cuda``, or ``cpu`` where there is no GPU.

    Raises
    ------
    HostMismatch
        When a GPU is here that ONNX Runtime cannot use: nothing may be taken for its answer.
    """
    if has_gpu() and not has_cuda_provider():
        raise HostMismatch(
            "a GPU is here, and this ONNX Runtime has no CUDA provider: pack the wheel of onnxruntime-gpu"
        )
    return "cuda" if has_gpu() else "cpu"


def compared(
    what: str, reference: Runner, runner: Runner, pictures: Pictures, bounds: Any
) -> Finding:
    """Hold a runner to the reference, by the gate's own bounds."""
    report: GateReport = compare(reference, runner, pictures, thresholds=bounds)
    summary = report.summary()
    return Finding(
        what=what,
        expected=f"Dice of {bounds.min_dice} or more, {bounds.max_flips} detections changed",
        found=f"Dice {report.dice:.5f}, {len(report.flips)} of {len(pictures)} detections changed, largest "
        f"error {report.largest_error:.1e}" + "".join(f"; {reason}" for reason in report.reasons()),
        passed=report.passed,
        figures={key: value for key, value in summary.items() if key != "thresholds"},
    )


def timed(what: str, compute: Callable[[], object], *, batch: int, samples: int) -> Finding:
    """The median of so many calls, after a tenth of them as warm-up."""
    taken_ms = []
    for number in range(-max(3, samples // 10), samples):
        begun = time.perf_counter()
        compute()
        if number >= 0:
            taken_ms.append(1e3 * (time.perf_counter() - begun))
    figures = dataclasses.asdict(Latencies(tuple(taken_ms)).summary())
    p50_ms = figures["p50_ms"]
    return Finding(
        what=what,
        found=f"p50 {p50_ms:.3f} ms, {1e3 * batch / p50_ms:.0f} pictures a second",
        figures={key: round(value, 4) for key, value in figures.items()},
    )


def request(pictures: Pictures, batch: int) -> NDArray[np.uint8]:
    """(batch, 224, 224) uint8 of the first pictures, again and again where they are too few."""
    return np.stack([pictures[number % len(pictures)][1] for number in range(batch)])


def main(run: Callable[[Payload], Iterable[Finding]]) -> None:
    """Run a step as a process of its own: ``STEP.py PAYLOAD OUTPUT.json [SAMPLES]``."""
    parser = argparse.ArgumentParser()
    parser.add_argument("payload", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("samples", type=int, nargs="?", default=100)
    given = parser.parse_args()
    name = Path(sys.argv[0]).stem
    findings = []
    try:
        for finding in run(Payload(folder=given.payload, samples=given.samples)):
            findings.append(finding)  # noqa: PERF402  # what was found before an error is kept
    except (NotRun, MissingDependency) as reason:
        findings.append(Finding(what=name, found=f"not run: {reason}"))
    except InfmapError as error:
        findings.append(_broken(name, str(error)))
    except Exception:  # noqa: BLE001  # whatever a machine that nobody has seen does is its finding
        findings.append(_broken(name, traceback.format_exc()))
    write_json(given.output, {"findings": [dataclasses.asdict(finding) for finding in findings]})


def _broken(what: str, reason: str) -> Finding:
    return Finding(what=what, expected="an answer", found=reason, passed=False)


def card() -> dict[str, Any]:
    """Card, driver and versions, for the record; nothing that names the machine."""
    described: dict[str, Any] = {**describe_machine(), "versions": versions(*PACKAGES)}
    if has_gpu():
        gpu = present_gpu()
        described |= {"compute_capability": gpu.capability, "gpu_memory_mib": gpu.memory_mib}
    return described
