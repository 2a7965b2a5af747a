"""`infmap-kit export`: from a network and the options of a target to a proved release."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from infmap_kit import sandbox
from infmap_kit.errors import GateFailed
from infmap_kit.gate.bounds import thresholds_for
from infmap_kit.gate.comparison import GateReport, compare
from infmap_kit.gate.int8 import int8_records
from infmap_kit.gate.pictures import Pictures
from infmap_kit.gate.report import Evidence
from infmap_kit.gate.runners import BatchedRunner, CachingRunner, Runner
from infmap_kit.progress import Progress, no_progress
from infmap_kit.release.publish import graphs_of, reference_runner, serving_identity
from infmap_kit.release.source import Source
from infmap_kit.targets.registry import find
from infmap_kit.targets.target import Build, Proof, TargetOptions
from infmap_kit.triton.config import config_text
from infmap_kit.triton.releases import publishing
from infmap_kit.triton.repository import Manifest, versions, write_manifest


def publish(
    source: Source,
    repository: Path,
    options: TargetOptions,
    *,
    pictures: Pictures,
    reference: Runner | None = None,
    evidence: Evidence | None = None,
    progress: Progress = no_progress,
) -> tuple[Manifest, GateReport]:
    """Publish what a target makes of a network, once it is proved to decide as its reference.

    Parameters
    ----------
    source
        The network.
    repository
        Where to publish; what was there is replaced in one step and kept, or stays.
    options
        The options of a target, which also say which target it is.
    pictures
        The pictures that the engine is proved on.
    reference
        The runner that it is compared with; without one, the source's own graphs in ONNX Runtime.
    evidence
        Where the report goes when the engine fails.
    progress
        Called for each step.

    Raises
    ------
    GateFailed
        When it decides otherwise; the repository is as it was.
    """
    # A target that chooses between engines compares each of them.
    runner = CachingRunner(reference or reference_runner(source))
    proof = Proof(reference=runner, pictures=pictures)
    with publishing(repository) as draft:
        progress("writing graphs and configs", 0, 1)
        built = find(options.target).build(
            options, graphs_of(source), draft=draft, proof=proof, progress=progress
        )
        compared = compare(
            runner,
            built.runner,
            pictures,
            thresholds=thresholds_for(built.precision),
            progress=progress,
            on_pair=evidence.see if evidence is not None else lambda *_: None,
        )
        gate = dataclasses.replace(compared, int8=int8_records(built.model))
        if not gate.passed:
            shown = f" (report in {evidence.write(gate)})" if evidence is not None else ""
            raise GateFailed(f"{'; '.join(gate.reasons())}: nothing was published{shown}")
        in_batches = {
            str(batch): _prove_batch(runner, built, pictures, batch, progress)
            for batch in built.batches
        }
        identity = serving_identity(source, target=built.target, precision=built.precision)
        for name, config in built.configs(identity).items():
            config.version_policy.specific.versions[:] = [draft.release]
            (draft.folder / name / "config.pbtxt").write_text(config_text(config), encoding="utf-8")
        manifest = write_manifest(
            draft.folder,
            target=built.target,
            precision=built.precision,
            model={**source.record, **built.model},
            built_with={
                **versions("onnx", "onnxruntime", "numpy", "openvino"),
                **built.built_with,
                "confinement": sandbox.in_force(),
            },
            release=draft.release,
            gate={**gate.summary(), "batches": in_batches},
        )
    return manifest, gate


def _prove_batch(
    reference: Runner, built: Build, pictures: Pictures, batch: int, progress: Progress
) -> dict[str, Any]:
    """Hold the engines to the reference once more, in requests of several pictures; gives the worst figures.

    A plan computes each batch size by other kernels, and a graph may mix pictures or take only one.
    """
    report = compare(
        reference,
        BatchedRunner(built.runner, pictures, batch),
        pictures,
        thresholds=thresholds_for(built.precision),
        progress=lambda _, done, total: progress(
            f"comparing with the reference, {batch} pictures a request", done, total
        ),
    )
    if not report.passed:
        raise GateFailed(
            f"in requests of {batch} pictures {'; '.join(report.reasons())}: nothing was published"
        )
    summary = report.summary()
    return {key: summary[key] for key in ("dice", "flips", "largest_error")}
