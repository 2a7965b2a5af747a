"""Engines that the embedded target could publish, and the choice between them."""

from __future__ import annotations

import dataclasses
import functools
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx

from infmap_kit.errors import GateFailed, HostMismatch, MissingDependency
from infmap_kit.gate.bounds import thresholds_for
from infmap_kit.gate.comparison import GateReport, compare
from infmap_kit.gate.engines import OpenvinoEngine, openvino_precision, require_cpu_precision
from infmap_kit.gate.int8 import int8_key
from infmap_kit.gate.pictures import Pictures, are_synthetic, radiographs_in
from infmap_kit.gate.runners import EngineRunner
from infmap_kit.graphs.precision import quantisation
from infmap_kit.graphs.precision.int8_record import Int8Record
from infmap_kit.model.precision import Precision
from infmap_kit.parts.contract import Contract
from infmap_kit.parts.registry import part_of
from infmap_kit.progress import Progress
from infmap_kit.report.table import Table
from infmap_kit.targets.embedded_configs import graph_file, network_file
from infmap_kit.targets.target import Proof

if TYPE_CHECKING:
    from infmap_kit.targets.embedded import EmbeddedOptions

_WARM_UP, _TIMED = 10, 60
_EIGHT_BITS = ("u8", "i8")
# Of the demo model such an engine passes on the synthetic ones and has a Dice of 0.96 on 60 real ones.
_NO_RADIOGRAPHS = (
    "INT8 needs radiographs to calibrate by, and synthetic ones do not stand for them: "
    "give --calibration-images"
)
_KEPT_BECAUSE = "the network is not equivalent to its reference when they compute in INT8"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Candidate:
    """Engines that could be published.

    Parameters
    ----------
    precision
        Precision of the networks.
    rest
        Precision of their layers that are not 8-bit integers.
    engines
        Graph name to engine.
    contract
        The contract of the model.
    details
        Details of the engines, for the manifest.
    """

    precision: Precision
    rest: Precision
    engines: dict[str, OpenvinoEngine]
    contract: Contract
    details: dict[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def runner(self) -> EngineRunner:
        """A runner of the engines."""
        return EngineRunner(self.engines, self.contract)

    @property
    def networks(self) -> dict[str, OpenvinoEngine]:
        """The engines of the networks, in the order that they are computed in."""
        return {network.name: self.engines[network.name] for network in self.contract.networks}


def chosen_candidate(
    options: EmbeddedOptions,
    graphs: Mapping[str, onnx.ModelProto],
    folder: Path,
    proof: Proof,
    progress: Progress,
) -> tuple[Candidate, list[dict[str, Any]]]:
    """The engines to publish, and a record of each precision that was tried where the choice was free.

    Parameters
    ----------
    options
        Precision and threads; without a precision the fastest is taken that passes the gate here.
    graphs
        Graph name to graph.
    folder
        The folder of the graphs, and of quantised networks; networks that are not chosen are taken away.
    proof
        Reference and pictures of the gate.
    progress
        Called with each candidate.

    Raises
    ------
    GateFailed
        When no precision passes.
    HostMismatch
        When this CPU cannot compute in the precision.
    MissingDependency
        When INT8 is asked for and NNCF is not installed.
    """
    contract = Contract.of_graphs(graphs)
    fp32 = {
        graph.name: OpenvinoEngine(folder / graph_file(graph.name))
        for graph in contract.graphs
        if graph not in contract.networks
    }
    build = functools.partial(_candidate, options, graphs, folder, fp32, proof, progress)
    tried: list[dict[str, Any]] = []
    if options.precision is not None:
        chosen = build(options.precision)
    else:
        chosen, tried = _fastest(options, build, proof, progress)
    if chosen.precision is not Precision.INT8:
        for name in chosen.networks:
            quantised = folder / network_file(name, Precision.INT8)
            for path in (quantised, quantised.with_suffix(".bin")):
                path.unlink(missing_ok=True)
    return chosen, tried


def _fastest(
    options: EmbeddedOptions,
    build: Callable[[Precision], Candidate],
    proof: Proof,
    progress: Progress,
) -> tuple[Candidate, list[dict[str, Any]]]:
    """The quickest candidate that passes the gate on this machine, and a record of each precision."""
    passed: dict[float, Candidate] = {}
    tried: list[dict[str, Any]] = []
    for precision in options.precisions:
        if precision is Precision.INT8 and _lacks_radiographs(options, proof):
            tried.append({"precision": precision, "not_built": _NO_RADIOGRAPHS})
            continue
        try:
            candidate = build(precision)
        except (HostMismatch, MissingDependency) as error:
            tried.append({"precision": precision, "not_built": str(error)})
            continue
        gate = _gate(candidate, proof)
        entry: dict[str, Any] = {
            "precision": precision,
            "passed": gate.passed,
            "dice": gate.dice,
            "flips": len(gate.flips),
            **candidate.details,
        }
        if gate.passed:
            progress(f"timing {precision}", 0, 1)
            entry["p50_ms"] = round(_p50_ms([*candidate.networks.values()], proof.pictures), 3)
            passed.setdefault(entry["p50_ms"], candidate)
        else:
            entry["reasons"] = gate.reasons()
        tried.append(entry)
    if not passed:
        reasons = "; ".join(
            f"{entry['precision']}: {entry.get('reasons') or entry.get('not_built')}"
            for entry in tried
        )
        raise GateFailed(f"no precision passes the gate: {reasons}")
    return passed[min(passed)], tried


def _lacks_radiographs(options: EmbeddedOptions, proof: Proof) -> bool:
    """Whether INT8 would be calibrated and proved on synthetic radiographs alone."""
    return options.calibration_images is None and are_synthetic(name for name, _ in proof.pictures)


def _candidate(
    options: EmbeddedOptions,
    graphs: Mapping[str, onnx.ModelProto],
    folder: Path,
    fp32: dict[str, OpenvinoEngine],
    proof: Proof,
    progress: Progress,
    precision: Precision,
) -> Candidate:
    require_cpu_precision(precision)
    contract = Contract.of_graphs(graphs)
    # Beside integers FP32: bf16 there saves nothing of U-Net with DenseNet-121 and a twentieth of the edge
    # network's time, and costs it 0.005 of Dice.
    rest = Precision.FP32 if precision is Precision.INT8 else precision

    def engine(file: str) -> OpenvinoEngine:
        return OpenvinoEngine(
            folder / file, precision=openvino_precision(rest), threads=options.threads
        )

    candidate = Candidate(
        precision=precision,
        rest=rest,
        engines={
            **{network.name: engine(graph_file(network.name)) for network in contract.networks},
            **fp32,
        },
        contract=contract,
    )
    if precision is not Precision.INT8:
        return candidate
    images = options.calibration_images
    calibration = (
        radiographs_in(images, contract.image_size) if images is not None else proof.pictures
    )
    # A network after the other, so that a failure of the second is known to come from the second.
    for name in candidate.networks:
        path = folder / network_file(name, precision)
        # Fewer and fewer layers become integers, until it is equivalent to its reference.
        choices = quantisation.choices_for(graphs[name])
        for done, choice in enumerate(choices):
            progress(f"quantising {name}", done, len(choices))
            written = quantisation.quantise(graphs[name], path, calibration, choice=choice)
            tried = engine(path.name)
            record = _int8_record(written, tried, rest).as_json()
            candidate = dataclasses.replace(
                candidate,
                engines={**candidate.engines, name: tried},
                details={**candidate.details, int8_key(part_of(name).record_prefix): record},
            )
            if _gate(candidate, proof).passed:
                break
    return candidate


def _int8_record(
    written: quantisation.Quantised, engine: OpenvinoEngine, rest: Precision
) -> Int8Record:
    """The convolutions that were kept, and those for which OpenVINO has no 8-bit kernel here."""
    types = engine.convolutions()
    wider = [name for name, kind in types.items() if kind not in _EIGHT_BITS]
    return Int8Record(
        kept=written.kept,
        kept_because=_KEPT_BECAUSE,
        left=tuple(name for name in wider if name not in written.kept),
        quantised=len(types) - len(wider),
        rest=str(rest),
        calibration_pictures=written.calibration_pictures,
        split=written.split,
    )


def _gate(candidate: Candidate, proof: Proof) -> GateReport:
    thresholds = thresholds_for(candidate.precision)
    return compare(proof.reference, candidate.runner, proof.pictures, thresholds=thresholds)


def _p50_ms(engines: Sequence[OpenvinoEngine], pictures: Pictures) -> float:
    """Median latency of all networks, one after the other, as the served model runs them."""
    samples = []
    for number in range(_WARM_UP + _TIMED):
        picture = pictures[number % len(pictures)][1][np.newaxis]
        begun = time.perf_counter()
        for engine in engines:
            engine.infer(picture)
        samples.append(1e3 * (time.perf_counter() - begun))
    return statistics.median(samples[_WARM_UP:])


def candidates_table(candidates: Sequence[dict[str, Any]]) -> Table:
    """A table with a row for each precision that was tried: its latency, and whether it passed the gate."""

    def row(entry: dict[str, Any]) -> tuple[str, ...]:
        if "not_built" in entry:
            return (entry["precision"], "-", "-", "-", entry["not_built"])
        p50 = f"{entry['p50_ms']:.2f}" if "p50_ms" in entry else "-"
        verdict = "passed" if entry["passed"] else "; ".join(entry["reasons"])
        return (entry["precision"], p50, f"{entry['dice']:.5f}", str(entry["flips"]), verdict)

    return Table(
        "", ("precision", "engine p50 ms", "Dice", "flips", "gate"), [*map(row, candidates)]
    )
