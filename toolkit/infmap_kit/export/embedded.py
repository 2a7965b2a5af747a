"""The embedded target: the server for CPUs, with OpenVINO in Triton's python backend."""

from __future__ import annotations

import dataclasses
import functools
import shutil
import time
from typing import Any

import numpy as np

from infmap_kit.errors import GateFailed, HostMismatch, MissingDependency
from infmap_kit.export import quantisation
from infmap_kit.export.engine import EmbeddedEngine, EmbeddedGraph, require_cpu_precision
from infmap_kit.export.gate import GateReport, compare, thresholds_for
from infmap_kit.export.judge import EngineJudge, Judge
from infmap_kit.export.pictures import Pictures
from infmap_kit.export.publish import Build, graphs_of, write_model
from infmap_kit.export.source import Source
from infmap_kit.graphs.contract import DETECTION, ENSEMBLE, RENDERING, SEGMENTATION
from infmap_kit.progress import Progress
from infmap_kit.triton import runner
from infmap_kit.triton.config import (
    PRECISIONS,
    EmbeddedOptions,
    Precision,
    Target,
    embedded_configs,
    graph_file,
    openvino_precision,
    segmentation_file,
)
from infmap_kit.triton.releases import Draft
from infmap_kit.triton.repository import version_folder

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

    reference: Judge
    pictures: Pictures
    calibration: Pictures


@dataclasses.dataclass(frozen=True, kw_only=True)
class Candidate:
    """An engine that could be published.

    Parameters
    ----------
    precision
        It computes in.
    engine
        The segmentation.
    details
        What there is to say of it, for the manifest.
    """

    precision: Precision
    engine: EmbeddedEngine
    details: dict[str, Any] = dataclasses.field(default_factory=dict)


def build_embedded(
    options: EmbeddedOptions, proof: Proof, source: Source, draft: Draft, progress: Progress
) -> Build:
    """Write the three graphs into one model, with the runner beside them.

    Parameters
    ----------
    options
        Precision, threads, instances; without a precision the fastest is taken that passes the gate here.
    proof
        What it passes the gate with.
    source
        The network.
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
    shutil.copyfile(runner.__file__, paths[SEGMENTATION.name].with_name("model.py"))
    small = [EmbeddedGraph(paths[one.name]) for one in (DETECTION, RENDERING)]
    build = functools.partial(_candidate, options, proof, source, draft, small, progress)
    tried: list[dict[str, Any]] = []
    if options.precision is not None:
        chosen = build(options.precision)
    else:
        chosen, tried = _fastest(build, proof, small, progress)
    if chosen.precision is not Precision.INT8:
        _remove_quantised(draft)
    return Build(
        target=Target.EMBEDDED,
        precision=chosen.precision,
        judge=EngineJudge(chosen.engine, *small),
        configs=functools.partial(
            embedded_configs,
            dataclasses.replace(options, precision=chosen.precision, rest=_rest(chosen.precision)),
        ),
        model={
            "convolutions_by_type": chosen.engine.precisions(),
            **chosen.details,
            **({"candidates": tried} if tried else {}),
        },
    )


def _fastest(
    build: Any, proof: Proof, small: list[EmbeddedGraph], progress: Progress
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
        gate = _gate(candidate, proof, small)
        entry: dict[str, Any] = {
            "precision": precision,
            "passed": gate.passed,
            "dice": gate.dice,
            "flips": len(gate.flips),
            **candidate.details,
        }
        if gate.passed:
            progress(f"timing {precision}", 0, 1)
            entry["p50_ms"] = round(_p50_ms(candidate.engine, proof.pictures), 3)
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
    small: list[EmbeddedGraph],
    progress: Progress,
    precision: Precision,
) -> Candidate:
    require_cpu_precision(precision)
    path = version_folder(draft.folder, ENSEMBLE.name, draft.release) / segmentation_file(precision)

    rest = _rest(precision)
    hint = openvino_precision(rest)

    def engine() -> EmbeddedEngine:
        return EmbeddedEngine(path, precision=hint, threads=options.threads)

    if precision is not Precision.INT8:
        return Candidate(precision=precision, engine=engine())
    # Less and less of it becomes integers, until it decides as its reference does.
    for done, choice in enumerate(quantisation.CHOICES):
        progress("quantising", done, len(quantisation.CHOICES))
        written = quantisation.quantise(source.segmentation, path, proof.calibration, choice=choice)
        candidate = Candidate(
            precision=precision,
            engine=engine(),
            details={
                "int8": {
                    "kept": list(written.kept),
                    "split": written.split,
                    "rest": rest,
                    "calibration_pictures": written.calibration_pictures,
                }
            },
        )
        if _gate(candidate, proof, small).passed:
            break
    return candidate


def _rest(precision: Precision) -> Precision:
    """What the layers compute in that are not 8-bit integers: for INT8, bf16 where this CPU has it."""
    if precision is not Precision.INT8:
        return precision
    try:
        require_cpu_precision(Precision.BF16)
    except HostMismatch:
        return Precision.FP32
    return Precision.BF16


def _gate(candidate: Candidate, proof: Proof, small: list[EmbeddedGraph]) -> GateReport:
    judge = EngineJudge(candidate.engine, *small)
    return compare(
        proof.reference, judge, proof.pictures, thresholds=thresholds_for(candidate.precision)
    )


def _p50_ms(engine: EmbeddedEngine, pictures: Pictures) -> float:
    samples = []
    for number in range(_WARM_UP + _TIMED):
        picture = pictures[number % len(pictures)][1][np.newaxis]
        begun = time.perf_counter()
        engine.infer(picture)
        samples.append(1e3 * (time.perf_counter() - begun))
    return float(np.median(samples[_WARM_UP:]))


def _remove_quantised(draft: Draft) -> None:
    folder = version_folder(draft.folder, ENSEMBLE.name, draft.release)
    xml = folder / segmentation_file(Precision.INT8)
    for path in (xml, xml.with_suffix(".bin")):
        path.unlink(missing_ok=True)
