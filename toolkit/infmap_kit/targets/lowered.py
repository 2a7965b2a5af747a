"""Networks in FP16 and INT8: the gate chooses on a CPU how much of each stays in FP32."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infmap_kit.errors import GateFailed
from infmap_kit.gate.bounds import thresholds_for
from infmap_kit.gate.comparison import compare
from infmap_kit.gate.engines import OnnxRuntimeEngine
from infmap_kit.gate.int8 import int8_key
from infmap_kit.gate.pictures import radiographs_in
from infmap_kit.gate.runners import ReferenceRunner
from infmap_kit.graphs.precision import fp16, qdq
from infmap_kit.graphs.precision.fp16_emulation import emulated_fp16
from infmap_kit.model.precision import Precision
from infmap_kit.parts.contract import Contract
from infmap_kit.parts.registry import INFECTION, part_of
from infmap_kit.progress import Progress
from infmap_kit.targets.target import Graphs, Proof

if TYPE_CHECKING:
    import onnx


class _Trial:
    """Compares a model with its reference while its networks are exchanged, one after the other.

    A failure of the second is so known to come from the second.
    """

    def __init__(self, graphs: Graphs, proof: Proof, precision: Precision) -> None:
        contract = Contract.of(graphs)
        self._proof = proof
        self._bounds = thresholds_for(precision)
        self._finding = proof.reference.predict(*proof.pictures[0]).finding
        self._optional = contract.optional
        self._engines = {
            graph.name: OnnxRuntimeEngine(graphs[graph.name].SerializeToString())
            for graph in (*contract.networks, *contract.fp32_networks)
        }

    def reasons(self, network: str, graph: onnx.ModelProto) -> list[str]:
        """The reasons why the model is not equivalent with this graph as a network; without any, it stays."""
        before = self._engines[network]
        self._engines[network] = OnnxRuntimeEngine(graph.SerializeToString())
        runner = ReferenceRunner(
            self._engines[INFECTION.graph.name],
            parts={part.name: self._engines[part.graph.name] for part in self._optional},
            finding=self._finding,
        )
        compared = compare(
            self._proof.reference, runner, self._proof.pictures, thresholds=self._bounds
        )
        if reasons := compared.reasons():
            self._engines[network] = before
            return reasons
        return []


def halved_networks(
    graphs: Graphs, keep_fp32: tuple[str, ...], proof: Proof, progress: Progress
) -> dict[str, fp16.Fp16Graph]:
    """The networks in FP16, by their graphs' names.

    More and more of the first convolutions stay in FP32 (:data:`infmap_kit.graphs.precision.fp16.FIRST`), until
    the network is equivalent with the rounding of a GPU. Where none of that helps, nothing stays, and what the
    gate says of the engine are the network's own figures.

    Parameters
    ----------
    graphs
        The graphs behind the ensemble, by name.
    keep_fp32
        Nodes of the infection's network to compute in FP32; with any, nothing is chosen for it.
    proof
        Reference and pictures of the gate.
    progress
        Called with each graph that is tried.

    Raises
    ------
    ExportError
        When a network cannot be made in FP16.
    """
    trial = _Trial(graphs, proof, Precision.FP16)
    halves: dict[str, fp16.Fp16Graph] = {}
    for network in Contract.of(graphs).networks:
        graph = graphs[network.name]
        if keep_fp32 and network.name == INFECTION.graph.name:
            halves[network.name] = fp16.fp16_graph(graph, keep_fp32=keep_fp32)
            continue
        for done, first in enumerate(fp16.FIRST):
            kept = fp16.first_convolutions(graph, first)
            if first and not kept:
                break
            progress(f"{network.name} in FP16", done, len(fp16.FIRST))
            tried = fp16.fp16_graph(graph, keep_fp32=kept)
            halves.setdefault(network.name, tried)
            if not trial.reasons(network.name, emulated_fp16(graph, tried)):
                halves[network.name] = tried
                break
    return halves


def fp16_record(halves: Mapping[str, fp16.Fp16Graph]) -> dict[str, Any]:
    """The manifest's record of networks in FP16: of the infection's, and of each other part's by its name."""
    first, *others = halves
    return halves[first].record() | {part_of(n).name: halves[n].record() for n in others}


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
    calibration = radiographs_in(images) if images is not None else proof.pictures
    trial = _Trial(graphs, proof, Precision.INT8)
    chosen: dict[str, qdq.QdqGraph] = {}
    for network in Contract.of(graphs).networks:
        reasons: list[str] = []
        for done, choice in enumerate(qdq.CHOICES):
            progress(f"quantising {network.name}", done, len(qdq.CHOICES))
            tried = qdq.qdq_graph(graphs[network.name], calibration, choice=choice)
            reasons = trial.reasons(network.name, tried.model)
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
    """The manifest's record of each network in INT8, by the name of its record."""
    return {
        int8_key(part_of(name).record_prefix): graph.record().as_json()
        for name, graph in quantised.items()
    }
