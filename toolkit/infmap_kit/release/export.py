"""The export of a network, by the options of a target, as a proved release."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from infmap_kit import sandbox
from infmap_kit.errors import GateFailed
from infmap_kit.gate.bounds import thresholds_for
from infmap_kit.gate.comparison import GateReport, compare
from infmap_kit.gate.int8 import int8_records
from infmap_kit.gate.pictures import Pictures, pictures_of
from infmap_kit.gate.report import Evidence
from infmap_kit.gate.runners import BatchedRunner, CachingRunner, Runner
from infmap_kit.model.adapter import AS_IT_IS, ModelAdapter
from infmap_kit.model.paint import DEFAULT_PAINT, Paint
from infmap_kit.progress import Progress, no_progress
from infmap_kit.release.publish import graphs_of, reference_runner, serving_identity
from infmap_kit.release.source import DEFAULT_LIMITS, Source, read_source, with_parts
from infmap_kit.sandbox import SandboxLimits
from infmap_kit.targets.registry import AUTO, DEFAULT, choose, find, options_of
from infmap_kit.targets.target import Build, Proof, TargetOptions
from infmap_kit.triton.config import config_text
from infmap_kit.triton.releases import publishing
from infmap_kit.triton.repository import Manifest, versions, write_manifest


def export_model(
    source: Path,
    repository: Path,
    target: str | TargetOptions = AUTO,
    *,
    precision: str = DEFAULT,
    parts: Mapping[str, Path | None] | None = None,
    settings: Mapping[str, str | None] | None = None,
    paint: Paint = DEFAULT_PAINT,
    encoder: str | None = None,
    adapter: ModelAdapter = AS_IT_IS,
    limits: SandboxLimits = DEFAULT_LIMITS,
    gate_images: Path | None = None,
    report: Path | None = None,
    progress: Progress = no_progress,
) -> tuple[Manifest, GateReport]:
    """Publish a trained network as a Triton repository, as `infmap-kit export` does.

    That command confines what it computes of a model to a process of its own. Here it is computed in this
    process, with all that this process may do: take networks that you trust.

    Parameters
    ----------
    source
        A run folder, an ONNX file or a Keras model.
    repository
        Repository to publish to. Its present release is replaced in one step and kept.
    target
        Name of a target (``"auto"`` is what this host has), or a target's options.
    precision
        Precision of the networks; ``"default"`` is the target's first, ``"auto"`` its choice by measurement.
        Options of a target state their own, and this is not looked at.
    parts, settings
        As for :func:`~infmap_kit.release.source.with_parts`: ``{"lungs": Path("runs/lungs")}``.
    paint
        Way to paint maps.
    encoder, adapter, limits
        As for :func:`~infmap_kit.release.source.read_source`.
    gate_images
        A folder of radiographs that the engine is proved on, besides synthetic ones.
    report
        Folder for the gate's report; without one, a failure leaves its message alone.
    progress
        Called for each step.

    Returns
    -------
    tuple
        The manifest of what was published, and the gate's measurements.

    Raises
    ------
    GateFailed
        When the engine decides otherwise than the trained network; the repository is as it was.
    HostMismatch
        When this host cannot build what was asked for.
    ExportError, SpecError, InputRejected, MissingDependency
        As by reading the source and the pictures.
    """
    options = target if isinstance(target, TargetOptions) else options_of(target, precision)
    choose(options.target).require_host()
    progress("reading", 0, 1)
    network = with_parts(
        read_source(source, encoder=encoder, adapter=adapter, limits=limits), parts, settings
    )
    network = dataclasses.replace(network, paint=paint)
    return publish(
        network,
        repository,
        options,
        pictures=pictures_of(source, gate_images, network.contract.image_size),
        evidence=None if report is None else Evidence(report),
        progress=progress,
    )


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
        Repository to publish to. Its present release is replaced in one step and kept.
    options
        The options of a target, which also say which target it is.
    pictures
        The pictures that the engine is proved on.
    reference
        The runner that it is compared with; without one, the source's own graphs in ONNX Runtime.
    evidence
        Destination of the report if the engine fails.
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
