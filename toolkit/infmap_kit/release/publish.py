"""`infmap-kit export`: from a trained network to a published Triton repository."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import onnx
from tritonclient.grpc import model_config_pb2 as pb

from infmap_kit.errors import GateFailed
from infmap_kit.gate.bounds import thresholds_for
from infmap_kit.gate.comparison import GateReport, compare
from infmap_kit.gate.engines import OnnxRuntimeEngine
from infmap_kit.gate.pictures import Pictures
from infmap_kit.gate.report import Evidence
from infmap_kit.gate.runners import ReferenceRunner, Runner
from infmap_kit.graphs.detection import detection_graph
from infmap_kit.graphs.rendering import rendering_graph
from infmap_kit.imaging.colour import jet_table
from infmap_kit.model.contract import CLASSIFIER, ENSEMBLE, RENDERING
from infmap_kit.progress import Progress, no_progress
from infmap_kit.release.source import Source
from infmap_kit.triton.config import config_text
from infmap_kit.triton.releases import Draft, publishing
from infmap_kit.triton.repository import Manifest, version_folder, versions, write_manifest


@dataclasses.dataclass(frozen=True, kw_only=True)
class Build:
    """What a target made of a network, before it is proved.

    Parameters
    ----------
    target, precision
        What it is for, and what it computes in.
    runner
        Judges pictures with the very files that were written.
    configs
        Makes the configs from what the ensemble says of its model.
    model
        What there is to say of the engine, for the manifest.
    built_with
        Versions and box.
    """

    target: str
    precision: str
    runner: Runner
    configs: Callable[[Mapping[str, str]], dict[str, pb.ModelConfig]]
    model: dict[str, Any] = dataclasses.field(default_factory=dict)
    built_with: dict[str, str] = dataclasses.field(default_factory=dict)


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
    lungs = None
    if source.lungs is not None:
        lungs = OnnxRuntimeEngine(source.lungs.SerializeToString())
    return ReferenceRunner(
        OnnxRuntimeEngine(trained.SerializeToString()),
        lungs=lungs,
        classifier=OnnxRuntimeEngine(source.classifier.SerializeToString())
        if source.classifier is not None
        else None,
        temperature=source.temperature if source.trained is not None else 1.0,
    )


def serving_identity(source: Source, *, target: str, precision: str) -> dict[str, str]:
    """What a server says of its model: parameters of the ensemble's config, part of every result."""
    told = {
        "model_name": source.identity["name"],
        "model_version": source.identity["version"],
        "network": _network_name(source.identity),
        "onnx_sha256": source.identity["onnx_sha256"],
        "target": target,
        "precision": precision,
    }
    if "temperature" in source.identity:
        told["temperature"] = f"{source.identity['temperature']:g}"
    if lungs := source.identity.get("lungs"):
        told |= {
            "lungs_name": lungs["name"],
            "lungs_version": lungs["version"],
            "lungs_network": _network_name(lungs),
            "lungs_onnx_sha256": lungs["onnx_sha256"],
            "grades": lungs["grades"],
        }
    if classifier := source.identity.get("classifier"):
        told |= {
            "classifier_name": classifier["name"],
            "classifier_version": classifier["version"],
            "classifier_onnx_sha256": classifier["onnx_sha256"],
        }
    return told


def _network_name(identity: Mapping[str, Any]) -> str:
    network: dict[str, Any] = identity.get("network", {})
    return f"{network['architecture']} {network['encoder']}" if network else "unknown"


def graphs_of(source: Source) -> dict[str, onnx.ModelProto]:
    """The graphs behind the ensemble, by name."""
    contract, small = source.contract, source.small_graphs
    detection = contract.detection.name
    return {
        **source.networks,
        detection: small.get(detection) or detection_graph(contract=contract),
        RENDERING.name: small.get(RENDERING.name) or rendering_graph(jet_table()),
        **({CLASSIFIER.name: source.classifier} if source.classifier is not None else {}),
    }


def write_model(draft: Draft, name: str, file: str, content: bytes) -> Path:
    """Write what a model's version folder holds; returns where."""
    version = version_folder(draft.folder, name, draft.release)
    version.mkdir(parents=True, exist_ok=True)
    (version / file).write_bytes(content)
    return version / file


def write_graphs(draft: Draft, source: Source, file: str) -> dict[str, Path]:
    """Write the graphs into their version folders, and the ensemble's empty one."""
    written = {
        name: write_model(draft, name, file, graph.SerializeToString(deterministic=True))
        for name, graph in graphs_of(source).items()
    }
    write_ensemble(draft)
    return written


def write_ensemble(draft: Draft) -> None:
    """Make the ensemble's version folder."""
    # Object stores know no empty folders, and Triton wants one for each version.
    write_model(draft, ENSEMBLE.name, "README.txt", b"An ensemble has no file of its own.\n")
