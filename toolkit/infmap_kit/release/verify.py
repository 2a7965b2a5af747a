"""The gate for what was published already, on disk or in a running server."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from infmap_kit.errors import GateFailed
from infmap_kit.gate.bounds import thresholds_for
from infmap_kit.gate.comparison import GateReport, compare
from infmap_kit.gate.engines import OnnxRuntimeEngine
from infmap_kit.gate.int8 import int8_records
from infmap_kit.gate.pictures import Pictures
from infmap_kit.gate.report import Evidence
from infmap_kit.gate.runners import ReferenceRunner, Runner, ServedRunner
from infmap_kit.graphs.precision.int8_record import Int8Record
from infmap_kit.model.finding import FindingSpec
from infmap_kit.model.identity import ModelIdentity
from infmap_kit.parts.registry import INFECTION, all_parts
from infmap_kit.progress import Progress, no_progress
from infmap_kit.release.origin import read_origin
from infmap_kit.release.source import Source
from infmap_kit.targets.registry import find
from infmap_kit.targets.target import OpenedModel
from infmap_kit.triton.client import InfmapClient
from infmap_kit.triton.repository import Manifest, check_repository


def verify_repository(
    origin: Path,
    repository: Path,
    *,
    parts: Mapping[str, Path | None] | None = None,
    gate_images: Path | None = None,
    progress: Progress = no_progress,
) -> GateReport:
    """Prove that a published repository decides as the trained network that it was made from.

    Parameters
    ----------
    origin
        The trained network: a run folder, a bundle or an ONNX file.
    repository
        The repository.
    parts, gate_images
        As for :func:`~infmap_kit.release.origin.read_origin`.
    progress
        Called for each step.

    Returns
    -------
    GateReport
        The measurements, all within their bounds.

    Raises
    ------
    SpecError
        When a file is not what was exported.
    GateFailed
        When the repository was made from another network, or decides otherwise.
    HostMismatch
        When its engines do not run here.
    """
    trained = read_origin(origin, gate_images, parts=parts)
    report = compare_repository(
        trained.source,
        repository,
        reference=trained.reference,
        pictures=trained.pictures,
        progress=progress,
    )
    report.require()
    return report


def compare_repository(
    source: Source,
    repository: Path,
    *,
    reference: Runner,
    pictures: Pictures,
    evidence: Evidence | None = None,
    progress: Progress = no_progress,
) -> GateReport:
    """Compare the engines of a published repository with the network that they were made from.

    Parameters
    ----------
    source
        The network that is expected to be published.
    repository
        The repository.
    reference, pictures, progress
        As :func:`~infmap_kit.gate.comparison.compare` takes them.
    evidence
        Destination of the report.

    Raises
    ------
    SpecError
        When a file is not what was exported.
    GateFailed
        When the repository was made from another network. Whether it decides otherwise, the report says
        (:meth:`~infmap_kit.gate.comparison.GateReport.require`).
    HostMismatch
        When its engines do not run here.
    """
    manifest = check_repository(repository)
    stated = ModelIdentity.of(manifest.model, target=manifest.target, precision=manifest.precision)
    require_same_model(source, stated, str(repository))
    runner = find(manifest.target).open(repository, manifest).runner
    kept = int8_records(manifest.model)
    return _compare(reference, runner, pictures, manifest.precision, evidence, progress, int8=kept)


def compare_served(
    source: Source,
    url: str,
    *,
    reference: Runner,
    pictures: Pictures,
    evidence: Evidence | None = None,
    progress: Progress = no_progress,
) -> GateReport:
    """Compare a running server, at a gRPC address ``host:port``, as :func:`compare_repository` does.

    Raises
    ------
    ServerError
        When it does not answer.
    GateFailed
        When it serves another network.
    """
    with InfmapClient(url) as client:
        model = client.model()
        require_same_model(source, model, f"the server at {url}")
        return _compare(
            reference, ServedRunner(client), pictures, model.precision, evidence, progress
        )


def repository_reference(opened: OpenedModel, manifest: Manifest) -> Runner:
    """The networks in FP32 that a repository keeps, or its own proved engines where it keeps none.

    They are calibrated already, where their run is.
    """
    if not opened.references:
        return opened.runner
    engines = {
        name: OnnxRuntimeEngine(path.read_bytes()) for name, path in opened.references.items()
    }
    return ReferenceRunner(
        engines[INFECTION.graph.name],
        parts={part.name: engines[part.graph.name] for part in opened.contract.optional},
        finding=FindingSpec.from_parameters(manifest.model.get("finding", {})),
    )


def require_same_model(source: Source, actual: ModelIdentity, where: str) -> None:
    """Refuse a model that was made from another network than the source.

    Raises
    ------
    GateFailed
        Saying what differs, ``where`` it is served or published.
    """
    for part in all_parts():
        named = source.identity if part is INFECTION else source.identity.get(part.name, {})
        expected = named.get("onnx_sha256")
        served = actual.onnx_sha256("" if part is INFECTION else part.name)
        if served == expected:
            continue
        if part is INFECTION:
            difference, fix = "is of another network", "name the run that it was exported from"
        else:
            difference = f"serves {part.another or f'another {part.name}'}"
            fix = f"give its run as {part.option}" if served else f"leave {part.option} out"
            if not part.has_own_run:
                fix = "name the run as it was when it was exported"
        raise GateFailed(
            f"{where} {difference}: expected the graph {(expected or 'none')[:12]}, found "
            f"{(served or 'none')[:12]}; {fix}"
        )
    _require_same_finding(source.finding, actual.finding, where)


def _require_same_finding(expected: FindingSpec, actual: FindingSpec, where: str) -> None:
    differing = [key for key, value in vars(expected).items() if getattr(actual, key) != value]
    if differing:
        raise GateFailed(
            f"{where} speaks of another finding: expected {expected.name}, found {actual.name} (other are: "
            f"{', '.join(differing)}); name the run that it was exported from"
        )


def _compare(
    reference: Runner,
    runner: Runner,
    pictures: Pictures,
    precision: str,
    evidence: Evidence | None,
    progress: Progress,
    *,
    int8: Mapping[str, Int8Record] | None = None,
) -> GateReport:
    compared = compare(
        reference,
        runner,
        pictures,
        thresholds=thresholds_for(precision),
        progress=progress,
        on_pair=evidence.see if evidence is not None else lambda *_: None,
    )
    # A server says nothing of what it keeps.
    report = dataclasses.replace(compared, int8=int8 or {})
    if evidence is not None:
        evidence.write(report)
    return report
