"""`infmap-kit verify`: the gate for what was published already, on disk or in a running server."""

from __future__ import annotations

from pathlib import Path

from infmap_kit.errors import GateFailed, HostMismatch
from infmap_kit.export.engine import (
    EmbeddedEngine,
    EmbeddedGraph,
    Engine,
    GraphEngine,
    OnnxRuntimeGraph,
    ReferenceEngine,
    ServedGraphs,
)
from infmap_kit.export.gate import GateReport, compare
from infmap_kit.export.gate_report import Evidence
from infmap_kit.export.judge import EngineJudge, Judge, ReferenceJudge, ServedJudge
from infmap_kit.export.pictures import Pictures
from infmap_kit.export.source import Source
from infmap_kit.export.thresholds import thresholds_for
from infmap_kit.graphs.contract import CLASSIFIER, LUNG_SEGMENTATION, RENDERING, SEGMENTATION, Graph
from infmap_kit.progress import Progress, no_progress
from infmap_kit.triton.backends import MODEL_FILE
from infmap_kit.triton.client import InfmapClient
from infmap_kit.triton.config import Target, parse_config
from infmap_kit.triton.repository import (
    Manifest,
    check_repository,
    served_contract,
    version_folder,
)


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
    lungs = manifest.model.get("lungs", {}).get("onnx_sha256")
    _require_same_networks(source, manifest.model.get("onnx_sha256"), lungs, str(repository))
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
        found = model.get("onnx_sha256"), model.get("lungs_onnx_sha256")
        _require_same_networks(source, *found, f"the server at {url}")
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
        return EngineJudge(
            graphs.segmentation,
            graphs.detection,
            graphs.rendering,
            lungs=graphs.lungs,
            classifier=graphs.classifier,
        )
    contract, file = served_contract(manifest), MODEL_FILE[Target(manifest.target)]
    paths = {
        graph.name: version_folder(repository, graph.name, manifest.release) / file
        for graph in contract.graphs
    }
    precision = "f32"
    if manifest.target == Target.OPENVINO:
        text = (repository / SEGMENTATION.name / "config.pbtxt").read_text(encoding="utf-8")
        parameters = parse_config(text).parameters
        precision = "bf16" if parameters["HINT_BF16"].string_value == "YES" else "f32"

    def engine(network: Graph) -> Engine:
        path = paths[network.name]
        if manifest.target == Target.ONNXRUNTIME:
            return ReferenceEngine(path.read_bytes(), network=network)
        return EmbeddedEngine(path, precision=precision, network=network)

    def small(graph: Graph) -> GraphEngine:
        path = paths[graph.name]
        if manifest.target == Target.ONNXRUNTIME:
            return OnnxRuntimeGraph(path.read_bytes())
        return EmbeddedGraph(path)

    return EngineJudge(
        engine(SEGMENTATION),
        small(contract.detection),
        small(RENDERING),
        lungs=engine(LUNG_SEGMENTATION) if contract.lungs else None,
        classifier=small(CLASSIFIER) if contract.classifier else None,
    )


def repository_reference(graphs: ServedGraphs) -> ReferenceJudge:
    """The networks that a repository for the embedded target keeps beside its engines, in FP32.

    They are calibrated already, where their run is.
    """
    engines = {
        network.name: ReferenceEngine(graphs.references[network.name].read_bytes(), network=network)
        for network in graphs.contract.networks
    }
    return ReferenceJudge(
        engines[SEGMENTATION.name],
        lungs=engines.get(LUNG_SEGMENTATION.name),
        classifier=OnnxRuntimeGraph(graphs.references[CLASSIFIER.name].read_bytes())
        if graphs.contract.classifier
        else None,
    )


def _require_same_networks(
    source: Source, found: str | None, found_lungs: str | None, where: str
) -> None:
    wanted = source.identity["onnx_sha256"]
    if found != wanted:
        raise GateFailed(
            f"{where} is of another network: expected the graph {wanted[:12]}, found "
            f"{(found or 'none')[:12]}; name the run that it was exported from"
        )
    wanted_lungs = source.identity.get("lungs", {}).get("onnx_sha256")
    if found_lungs != wanted_lungs:
        mend = "give its run as --lungs" if found_lungs else "leave --lungs out"
        raise GateFailed(
            f"{where} serves other lungs: expected the graph {(wanted_lungs or 'none')[:12]}, found "
            f"{(found_lungs or 'none')[:12]}; {mend}"
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
