"""Networks in INT8 by Q/DQ nodes: the gate chooses on a CPU how much of each becomes integers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from infmap_kit.errors import GateFailed
from infmap_kit.gate.bounds import thresholds_for
from infmap_kit.gate.comparison import compare
from infmap_kit.gate.engines import OnnxRuntimeEngine
from infmap_kit.gate.int8 import int8_key
from infmap_kit.gate.pictures import radiographs_in
from infmap_kit.gate.runners import ReferenceRunner
from infmap_kit.graphs.precision import qdq
from infmap_kit.model.precision import Precision
from infmap_kit.parts.contract import Contract
from infmap_kit.parts.registry import INFECTION, part_of
from infmap_kit.progress import Progress
from infmap_kit.targets.target import Graphs, Proof


def quantised_networks(
    graphs: Graphs, proof: Proof, images: Path | None, progress: Progress
) -> dict[str, qdq.QdqGraph]:
    """The networks with Q/DQ nodes, by their graphs' names.

    Fewer and fewer convolutions become integers (:data:`infmap_kit.graphs.precision.qdq.CHOICES`), until the
    network is equivalent in ONNX Runtime, which computes Q/DQ nodes as written. A GPU's own plan is proved
    afterwards.

    Parameters
    ----------
    graphs
        The graphs behind the ensemble, by name.
    proof
        Reference and pictures of the gate.
    images
        Folder of the radiographs that the ranges are taken from; ``None`` takes the gate's.
    progress
        Called with each graph that is tried.

    Raises
    ------
    GateFailed
        When a network is not equivalent whatever is kept.
    """
    contract = Contract.of(graphs)
    calibration = radiographs_in(images) if images is not None else proof.pictures
    finding = proof.reference.predict(*proof.pictures[0]).finding
    engines = {
        graph.name: OnnxRuntimeEngine(graphs[graph.name].SerializeToString())
        for graph in (*contract.networks, *contract.fp32_networks)
    }
    chosen: dict[str, qdq.QdqGraph] = {}
    # A network after the other, so that a failure of the second is known to come from the second.
    for network in contract.networks:
        reasons: list[str] = []
        for done, choice in enumerate(qdq.CHOICES):
            progress(f"quantising {network.name}", done, len(qdq.CHOICES))
            tried = qdq.qdq_graph(graphs[network.name], calibration, choice=choice)
            engines[network.name] = OnnxRuntimeEngine(tried.model.SerializeToString())
            runner = ReferenceRunner(
                engines[INFECTION.graph.name],
                parts={part.name: engines[part.graph.name] for part in contract.optional},
                finding=finding,
            )
            bounds = thresholds_for(Precision.INT8)
            reasons = compare(proof.reference, runner, proof.pictures, thresholds=bounds).reasons()
            if not reasons:
                chosen[network.name] = tried
                break
        else:
            raise GateFailed(
                f"{network.name} is not equivalent in INT8, even with {len(tried.kept)} convolutions in FP32 "
                f"({'; '.join(reasons)}): export with --precision fp16"
            )
    return chosen


def qdq_record(quantised: Mapping[str, qdq.QdqGraph]) -> dict[str, Any]:
    """The manifest's record of each network in INT8, by the name of the record."""
    return {
        int8_key(part_of(name).record_prefix): graph.record().as_json()
        for name, graph in quantised.items()
    }
