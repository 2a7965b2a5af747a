"""`infmap-kit verify`: the gate for what was published already, on disk or in a running server."""

from __future__ import annotations

from pathlib import Path

from infmap_kit.errors import GateFailed, HostMismatch
from infmap_kit.export.engine import (
    EmbeddedEngine,
    EmbeddedGraph,
    OnnxRuntimeGraph,
    ReferenceEngine,
    ServedGraphs,
)
from infmap_kit.export.gate import GateReport, compare, thresholds_for
from infmap_kit.export.gate_report import Evidence
from infmap_kit.export.judge import EngineJudge, Judge, ServedJudge
from infmap_kit.export.pictures import Pictures
from infmap_kit.export.source import Source
from infmap_kit.graphs.contract import DETECTION, RENDERING, SEGMENTATION
from infmap_kit.progress import Progress, no_progress
from infmap_kit.triton.backends import MODEL_FILE
from infmap_kit.triton.client import InfmapClient
from infmap_kit.triton.config import Target, parse_config
from infmap_kit.triton.repository import Manifest, check_repository, version_folder


def verify_repository(
    source: Source,
    repository: Path,
    *,
    reference: Judge,
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
    _require_same_network(source, manifest.model.get("onnx_sha256"), str(repository))
    judge = repository_judge(repository, manifest)
    return _compare(reference, judge, pictures, manifest.precision, evidence, progress)


def verify_served(
    source: Source,
    url: str,
    *,
    reference: Judge,
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
        _require_same_network(source, model.get("onnx_sha256"), f"the server at {url}")
        precision = model.get("precision", "")
        return _compare(reference, ServedJudge(client), pictures, precision, evidence, progress)


def repository_judge(repository: Path, manifest: Manifest) -> EngineJudge:
    """An engine out of a repository's own files.

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
        graphs = ServedGraphs(repository)
        return EngineJudge(graphs.segmentation, graphs.detection, graphs.rendering)
    file = MODEL_FILE[Target(manifest.target)]
    paths = {
        graph.name: version_folder(repository, graph.name, manifest.release) / file
        for graph in (SEGMENTATION, DETECTION, RENDERING)
    }
    if manifest.target == Target.ONNXRUNTIME:
        return EngineJudge(
            ReferenceEngine(paths[SEGMENTATION.name].read_bytes()),
            OnnxRuntimeGraph(paths[DETECTION.name].read_bytes()),
            OnnxRuntimeGraph(paths[RENDERING.name].read_bytes()),
        )
    text = (repository / SEGMENTATION.name / "config.pbtxt").read_text(encoding="utf-8")
    parameters = parse_config(text).parameters
    precision = "bf16" if parameters["HINT_BF16"].string_value == "YES" else "f32"
    return EngineJudge(
        EmbeddedEngine(paths[SEGMENTATION.name], precision=precision),
        EmbeddedGraph(paths[DETECTION.name]),
        EmbeddedGraph(paths[RENDERING.name]),
    )


def _require_same_network(source: Source, found: str | None, where: str) -> None:
    wanted = source.identity["onnx_sha256"]
    if found != wanted:
        raise GateFailed(
            f"{where} is of another network: expected the graph {wanted[:12]}, found "
            f"{(found or 'none')[:12]}; name the run that it was exported from"
        )


def _compare(
    reference: Judge,
    judge: Judge,
    pictures: Pictures,
    precision: str,
    evidence: Evidence | None,
    progress: Progress,
) -> GateReport:
    report = compare(
        reference,
        judge,
        pictures,
        thresholds=thresholds_for(precision),
        progress=progress,
        on_pair=evidence.see if evidence is not None else lambda *_: None,
    )
    if evidence is not None:
        evidence.write(report)
    return report
