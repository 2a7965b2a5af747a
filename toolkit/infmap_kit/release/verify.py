"""`infmap-kit verify`: the gate for what was published already, on disk or in a running server."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from infmap_kit.errors import GateFailed, HostMismatch
from infmap_kit.gate.bounds import thresholds_for
from infmap_kit.gate.comparison import GateReport, compare
from infmap_kit.gate.engines import OnnxRuntimeEngine
from infmap_kit.gate.pictures import Pictures
from infmap_kit.gate.report import Evidence
from infmap_kit.gate.runners import ReferenceRunner, Runner, ServedRunner
from infmap_kit.model.contract import CLASSIFIER, LUNG_SEGMENTATION, SEGMENTATION
from infmap_kit.progress import Progress, no_progress
from infmap_kit.release.source import Source
from infmap_kit.targets.backends import open_backend
from infmap_kit.targets.embedded import open_embedded
from infmap_kit.targets.opened import OpenedModel
from infmap_kit.triton.client import InfmapClient
from infmap_kit.triton.config import Target
from infmap_kit.triton.repository import Manifest, check_repository

# What is served by the part's name in an identity; the infection's network has none.
_PARTS = {
    "": "is of another network",
    "lungs": "serves other lungs",
    "classifier": "serves another classifier",
}


def verify_repository(
    source: Source,
    repository: Path,
    *,
    reference: Runner,
    pictures: Pictures,
    evidence: Evidence | None = None,
    progress: Progress = no_progress,
) -> GateReport:
    """Let the files of a published repository judge, against the network that they were made from.

    Raises
    ------
    SpecError
        When a file is not what was exported.
    GateFailed
        When the repository was made from another network, or decides otherwise.
    HostMismatch
        When its engines do not run here.
    """
    manifest = check_repository(repository)
    _require_same_networks(source, _hashes(manifest.model), str(repository))
    runner = open_repository(repository, manifest).runner
    return _compare(reference, runner, pictures, manifest.precision, evidence, progress)


def verify_served(
    source: Source,
    url: str,
    *,
    reference: Runner,
    pictures: Pictures,
    evidence: Evidence | None = None,
    progress: Progress = no_progress,
) -> GateReport:
    """Let a running server judge, against the network that it says to serve.

    Raises
    ------
    ServerError
        When it does not answer.
    GateFailed
        When it serves another network, or decides otherwise.
    """
    with InfmapClient(url) as client:
        model = client.model()
        found = {part: model.get(f"{part}_onnx_sha256".lstrip("_")) for part in _PARTS}
        _require_same_networks(source, found, f"the server at {url}")
        precision = model.get("precision", "")
        return _compare(reference, ServedRunner(client), pictures, precision, evidence, progress)


def open_repository(repository: Path, manifest: Manifest) -> OpenedModel:
    """The engines of a repository's own files.

    Raises
    ------
    HostMismatch
        For plans: only the box's own server runs them.
    """
    if manifest.target == Target.TENSORRT:
        raise HostMismatch(
            f"{repository} holds TensorRT plans, which only the server runs: serve it, and verify with --url"
        )
    if manifest.target == Target.EMBEDDED:
        return open_embedded(repository, manifest)
    return open_backend(repository, manifest)


def repository_reference(opened: OpenedModel) -> ReferenceRunner:
    """The networks that a repository keeps beside its engines, in FP32.

    They are calibrated already, where their run is.
    """
    engines = {
        name: OnnxRuntimeEngine(path.read_bytes()) for name, path in opened.references.items()
    }
    return ReferenceRunner(
        engines[SEGMENTATION.name],
        lungs=engines.get(LUNG_SEGMENTATION.name),
        classifier=engines.get(CLASSIFIER.name),
    )


def _hashes(identity: Mapping[str, Any]) -> dict[str, str | None]:
    """The graph of each part, as a run or a manifest names it."""
    parts = {part: identity.get(part, {}) if part else identity for part in _PARTS}
    return {part: named.get("onnx_sha256") for part, named in parts.items()}


def _require_same_networks(source: Source, found: Mapping[str, str | None], where: str) -> None:
    for part, wanted in _hashes(source.identity).items():
        if found[part] == wanted:
            continue
        mend = "name the run that it was exported from"
        if part:
            mend = f"give its run as --{part}" if found[part] else f"leave --{part} out"
        raise GateFailed(
            f"{where} {_PARTS[part]}: expected the graph {(wanted or 'none')[:12]}, found "
            f"{(found[part] or 'none')[:12]}; {mend}"
        )


def _compare(
    reference: Runner,
    runner: Runner,
    pictures: Pictures,
    precision: str,
    evidence: Evidence | None,
    progress: Progress,
) -> GateReport:
    report = compare(
        reference,
        runner,
        pictures,
        thresholds=thresholds_for(precision),
        progress=progress,
        on_pair=evidence.see if evidence is not None else lambda *_: None,
    )
    if evidence is not None:
        evidence.write(report)
    return report
