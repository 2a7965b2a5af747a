"""The embedded target: the server for CPUs, with OpenVINO in Triton's python backend."""

from __future__ import annotations

import dataclasses
import functools
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from infmap_kit.errors import GateFailed, HostMismatch, MissingDependency, SpecError
from infmap_kit.gate.bounds import thresholds_for
from infmap_kit.gate.comparison import GateReport, compare
from infmap_kit.gate.engines import OpenvinoEngine, require_cpu_precision
from infmap_kit.gate.pictures import Pictures
from infmap_kit.gate.runners import EngineRunner, Runner
from infmap_kit.graphs import quantisation
from infmap_kit.model.contract import (
    ENSEMBLE,
    LUNG_SEGMENTATION,
    SEGMENTATION,
    Contract,
)
from infmap_kit.progress import Progress
from infmap_kit.release.publish import Build, graphs_of, write_model
from infmap_kit.release.source import Source
from infmap_kit.targets.opened import OpenedModel
from infmap_kit.triton import python_model as runner
from infmap_kit.triton.config import (
    PRECISIONS,
    EmbeddedOptions,
    Precision,
    Target,
    embedded_configs,
    graph_file,
    network_file,
    openvino_precision,
    parse_config,
    served_graphs,
)
from infmap_kit.triton.releases import Draft
from infmap_kit.triton.repository import Manifest, version_folder

_WARM_UP, _TIMED = 10, 60


@dataclasses.dataclass(frozen=True, kw_only=True)
class Proof:
    """What a choice between engines is made with.

    Parameters
    ----------
    reference
        The trained network.
    pictures
        What an engine is proved on.
    calibration
        What INT8's ranges are taken from.
    """

    reference: Runner
    pictures: Pictures
    calibration: Pictures


@dataclasses.dataclass(frozen=True, kw_only=True)
class Candidate:
    """Engines that could be published.

    Parameters
    ----------
    precision
        They compute in.
    engines
        By the graph's name.
    contract
        What is served.
    details
        What there is to say of them, for the manifest.
    """

    precision: Precision
    engines: dict[str, OpenvinoEngine]
    contract: Contract
    details: dict[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def runner(self) -> EngineRunner:
        """Judges pictures with them."""
        return EngineRunner(self.engines, self.contract)

    @property
    def networks(self) -> dict[str, OpenvinoEngine]:
        """Those of the networks, in the order that they are computed in."""
        return {network.name: self.engines[network.name] for network in self.contract.networks}


def build_embedded(
    options: EmbeddedOptions, proof: Proof, source: Source, draft: Draft, progress: Progress
) -> Build:
    """Write the graphs into one model, with the runner beside them.

    Parameters
    ----------
    options
        Precision, threads, instances; without a precision the fastest is taken that passes the gate here.
    proof
        What it passes the gate with.
    source
        The networks.
    draft
        Where to write.
    progress
        Told each candidate.

    Raises
    ------
    HostMismatch
        When this CPU cannot compute in that precision.
    MissingDependency
        When INT8 is asked for and NNCF is not installed.
    """
    paths = {
        name: write_model(
            draft, ENSEMBLE.name, graph_file(name), graph.SerializeToString(deterministic=True)
        )
        for name, graph in graphs_of(source).items()
    }
    contract = source.contract
    shutil.copyfile(runner.__file__, paths[SEGMENTATION.name].with_name("model.py"))
    fp32 = {
        graph.name: OpenvinoEngine(paths[graph.name])
        for graph in contract.graphs
        if graph not in contract.networks
    }
    build = functools.partial(_candidate, options, proof, source, draft, fp32, progress)
    tried: list[dict[str, Any]] = []
    if options.precision is not None:
        chosen = build(options.precision)
    else:
        chosen, tried = _fastest(build, proof, progress)
    if chosen.precision is not Precision.INT8:
        _remove_quantised(source, draft)
    types = {name: engine.precisions() for name, engine in chosen.networks.items()}
    return Build(
        target=Target.EMBEDDED,
        precision=chosen.precision,
        runner=chosen.runner,
        configs=functools.partial(
            embedded_configs,
            dataclasses.replace(options, precision=chosen.precision, rest=_rest(chosen.precision)),
            contract=contract,
        ),
        model={
            "convolutions_by_type": types[SEGMENTATION.name],
            **(
                {"lung_convolutions_by_type": types[LUNG_SEGMENTATION.name]}
                if contract.lungs
                else {}
            ),
            **chosen.details,
            **({"candidates": tried} if tried else {}),
        },
    )


def open_embedded(repository: Path, manifest: Manifest) -> OpenedModel:
    """The graphs of a published repository, compiled in this process as its server compiles them.

    Raises
    ------
    SpecError
        When its config lacks a graph.
    """
    folder = version_folder(repository, ENSEMBLE.name, manifest.release)
    config = parse_config((repository / ENSEMBLE.name / "config.pbtxt").read_text("utf-8"))
    listed = {graph.file.partition(".")[0]: graph for graph in served_graphs(config)}
    contract = Contract.of(listed)
    lacking = [graph.name for graph in contract.graphs if graph.name not in listed]
    if lacking:
        raise SpecError(f"{repository} has no graph for {lacking[0]!r}: export again")
    engines = {
        name: OpenvinoEngine(folder / one.file, precision=one.precision, threads=one.threads)
        for name, one in listed.items()
    }
    trained = (*contract.networks, *contract.opinions)
    return OpenedModel(
        contract=contract,
        engines=engines,
        references={network.name: folder / graph_file(network.name) for network in trained},
        inspected=engines[SEGMENTATION.name].precisions(),
    )


def _fastest(
    build: Any, proof: Proof, progress: Progress
) -> tuple[Candidate, list[dict[str, Any]]]:
    """The quickest candidate that passes the gate on this machine, and what became of each."""
    passed: list[tuple[float, Candidate]] = []
    tried: list[dict[str, Any]] = []
    for precision in PRECISIONS[Target.EMBEDDED]:
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
            passed.append((entry["p50_ms"], candidate))
        else:
            entry["reasons"] = gate.reasons()
        tried.append(entry)
    if not passed:
        reasons = "; ".join(
            f"{one['precision']}: {one.get('reasons') or one.get('not_built')}" for one in tried
        )
        raise GateFailed(f"no precision passes the gate: {reasons}")
    return min(passed, key=lambda pair: pair[0])[1], tried


def _candidate(
    options: EmbeddedOptions,
    proof: Proof,
    source: Source,
    draft: Draft,
    fp32: dict[str, OpenvinoEngine],
    progress: Progress,
    precision: Precision,
) -> Candidate:
    require_cpu_precision(precision)
    folder = version_folder(draft.folder, ENSEMBLE.name, draft.release)
    rest = _rest(precision)

    def engine(file: str) -> OpenvinoEngine:
        return OpenvinoEngine(
            folder / file,
            precision=openvino_precision(rest),
            threads=options.threads,
        )

    networks = source.contract.networks
    candidate = Candidate(
        precision=precision,
        engines={**{one.name: engine(graph_file(one.name)) for one in networks}, **fp32},
        contract=source.contract,
    )
    if precision is not Precision.INT8:
        return candidate
    # One network after the other: what makes the second fail is the second.
    for network in networks:
        path = folder / network_file(network.name, precision)
        # Less and less of it becomes integers, until it decides as its reference does.
        for done, choice in enumerate(quantisation.CHOICES):
            progress(f"quantising {network.name}", done, len(quantisation.CHOICES))
            written = quantisation.quantise(
                source.networks[network.name], path, proof.calibration, choice=choice
            )
            told = {
                "kept": list(written.kept),
                "split": written.split,
                "rest": rest,
                "calibration_pictures": written.calibration_pictures,
            }
            candidate = dataclasses.replace(
                candidate,
                engines={**candidate.engines, network.name: engine(path.name)},
                details={**candidate.details, _INT8[network.name]: told},
            )
            if _gate(candidate, proof).passed:
                break
    return candidate


_INT8 = {SEGMENTATION.name: "int8", LUNG_SEGMENTATION.name: "lung_int8"}
"""Where the manifest says what INT8 did to a network."""


def _rest(precision: Precision) -> Precision:
    """What the layers compute in that are not 8-bit integers: for INT8, bf16 where this CPU has it."""
    if precision is not Precision.INT8:
        return precision
    try:
        require_cpu_precision(Precision.BF16)
    except HostMismatch:
        return Precision.FP32
    return Precision.BF16


def _gate(candidate: Candidate, proof: Proof) -> GateReport:
    return compare(
        proof.reference,
        candidate.runner,
        proof.pictures,
        thresholds=thresholds_for(candidate.precision),
    )


def _p50_ms(engines: Sequence[OpenvinoEngine], pictures: Pictures) -> float:
    """Of all networks together, one after the other, as the served model runs them."""
    samples = []
    for number in range(_WARM_UP + _TIMED):
        picture = pictures[number % len(pictures)][1][np.newaxis]
        begun = time.perf_counter()
        for engine in engines:
            engine.infer(picture)
        samples.append(1e3 * (time.perf_counter() - begun))
    return float(np.median(samples[_WARM_UP:]))


def _remove_quantised(source: Source, draft: Draft) -> None:
    folder = version_folder(draft.folder, ENSEMBLE.name, draft.release)
    for name in source.networks:
        xml = folder / network_file(name, Precision.INT8)
        for path in (xml, xml.with_suffix(".bin")):
            path.unlink(missing_ok=True)
