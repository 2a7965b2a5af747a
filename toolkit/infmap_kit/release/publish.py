"""The graphs and the identity to publish of a source, and the reference for its engines."""

from __future__ import annotations

import onnx

from infmap_kit.gate.engines import OnnxRuntimeEngine
from infmap_kit.gate.runners import ReferenceRunner
from infmap_kit.graphs.detection import detection_graph
from infmap_kit.graphs.rendering import rendering_graph
from infmap_kit.graphs.summary import summary_graph
from infmap_kit.model.identity import ModelIdentity
from infmap_kit.model.tensors import RENDERING, SEGMENTATION, SUMMARY
from infmap_kit.release.source import Source


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
    """The identity of a served model: parameters of the ensemble's config, part of every result."""
    settings = [name for part in source.contract.optional for name in part.settings]
    return ModelIdentity.of(source.record, target=target, precision=precision, settings=settings)


def graphs_of(source: Source) -> dict[str, onnx.ModelProto]:
    """The graphs behind the ensemble, by name."""
    contract, brought, finding = source.contract, source.postprocessing, source.finding
    detection = contract.detection.name
    graphs = {
        SEGMENTATION.name: source.segmentation,
        **{part.graph.name: source.parts[part.name] for part in contract.optional},
        detection: brought.get(detection)
        or detection_graph(
            finding.threshold, lungs="lungs" in contract.parts, image_size=contract.image_size
        ),
        RENDERING.name: brought.get(RENDERING.name)
        or rendering_graph(source.paint, finding.colour_table, contract.image_size),
        SUMMARY.name: brought.get(SUMMARY.name) or summary_graph(contract.image_size),
    }
    return {graph.name: graphs[graph.name] for graph in contract.graphs}
