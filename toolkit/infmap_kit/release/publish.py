"""`infmap-kit export`: from a trained network to a published Triton repository."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnx

from infmap_kit.errors import GateFailed
from infmap_kit.gate.bounds import thresholds_for
from infmap_kit.gate.comparison import GateReport, compare
from infmap_kit.gate.engines import OnnxRuntimeEngine
from infmap_kit.gate.pictures import Pictures
from infmap_kit.gate.report import Evidence
from infmap_kit.gate.runners import ReferenceRunner, Runner
from infmap_kit.graphs.detection import detection_graph
from infmap_kit.graphs.rendering import rendering_graph
from infmap_kit.imaging.colour import colour_table
from infmap_kit.model.identity import ModelIdentity
from infmap_kit.model.tensors import RENDERING
from infmap_kit.progress import Progress, no_progress
from infmap_kit.release.source import Source
from infmap_kit.targets.target import Build
from infmap_kit.triton.config import config_text
from infmap_kit.triton.releases import Draft, publishing
from infmap_kit.triton.repository import Manifest, versions, write_manifest

Builder = Callable[[Source, Draft, Progress], Build]
"""Writes a target's models into a draft."""


def publish_build(
    source: Source,
    repository: Path,
    build: Builder,
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
    build
        The target.
    pictures
        What the engine is proved on.
    reference
        What it is compared with; the source's own graph in ONNX Runtime, when it is not given.
    evidence
        Where the report goes when the engine fails.
    progress
        Told each step.

    Raises
    ------
    GateFailed
        When it decides otherwise; the repository is as it was.
    """
    with publishing(repository) as draft:
        progress("writing graphs and configs", 0, 1)
        built = build(source, draft, progress)
        runner = reference or reference_runner(source)
        gate = compare(
            runner,
            built.runner,
            pictures,
            thresholds=thresholds_for(built.precision),
            progress=progress,
            on_pair=evidence.see if evidence is not None else lambda *_: None,
        )
        if not gate.passed:
            shown = f" (report in {evidence.write(gate)})" if evidence is not None else ""
            raise GateFailed(f"{'; '.join(gate.reasons())}: nothing was published{shown}")
        identity = serving_identity(source, target=built.target, precision=built.precision)
        for name, config in built.configs(identity).items():
            config.version_policy.specific.versions[:] = [draft.release]
            (draft.folder / name / "config.pbtxt").write_text(config_text(config), encoding="utf-8")
        manifest = write_manifest(
            draft.folder,
            target=built.target,
            precision=built.precision,
            model={**source.identity, **built.model},
            built_with={**versions("onnx", "onnxruntime", "numpy", "openvino"), **built.built_with},
            release=draft.release,
            gate=gate.summary(),
        )
    return manifest, gate


def reference_runner(source: Source) -> ReferenceRunner:
    """The trained networks themselves: their FP32 graphs in ONNX Runtime, and the paper's formulas."""
    trained = source.trained or source.segmentation
    return ReferenceRunner(
        OnnxRuntimeEngine(trained.SerializeToString()),
        parts={
            name: OnnxRuntimeEngine(graph.SerializeToString())
            for name, graph in source.parts.items()
        },
        temperature=source.temperature if source.trained is not None else 1.0,
        finding=source.finding,
    )


def serving_identity(source: Source, *, target: str, precision: str) -> ModelIdentity:
    """What a server says of its model: parameters of the ensemble's config, part of every result."""
    settings = [name for part in source.contract.optional for name in part.settings]
    return ModelIdentity.of(source.identity, target=target, precision=precision, settings=settings)


def graphs_of(source: Source) -> dict[str, onnx.ModelProto]:
    """The graphs behind the ensemble, by name."""
    contract, brought, finding = source.contract, source.postprocessing, source.finding
    detection = contract.detection.name
    return {
        **source.networks,
        detection: brought.get(detection)
        or detection_graph(finding.threshold, lungs="lungs" in contract.parts),
        RENDERING.name: brought.get(RENDERING.name)
        or rendering_graph(colour_table(finding.colour_table)),
        **source.fp32_networks,
    }
