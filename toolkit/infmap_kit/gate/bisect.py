"""The layers where a graph in FP16 leaves its reference, and the fewest nodes that have to stay in FP32."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from infmap_kit.errors import ExportError
from infmap_kit.gate.comparison import GateReport, compare
from infmap_kit.gate.engines import OnnxRuntimeEngine
from infmap_kit.gate.pictures import Pictures
from infmap_kit.gate.runners import InfectionOnlyRunner, ReferenceRunner, Runner
from infmap_kit.graphs.precision.fp16 import Fp16Overflow, fp16_graph, named_nodes
from infmap_kit.graphs.precision.fp16_emulation import emulated_fp16
from infmap_kit.model.finding import COVID_19, FindingSpec
from infmap_kit.model.tensors import SEGMENTATION
from infmap_kit.progress import Progress, no_progress
from infmap_kit.report.table import Table

LEAVES_AT = 0.01
"""Relative error of a layer's output from which it counts as having left: FP16 itself rounds by 0.0005."""

_SHOWN = 10
_TRIED_PICTURES = 4
_FIRST_WINDOW = 4
# Outputs that are looked at together: all of a large network's would take gigabytes.
_CHUNK = 24
# These move values about or belong to constants; keeping them in FP32 changes nothing.
_IDLE = ("Constant", "Shape", "Identity", "Cast", "Reshape", "Squeeze", "Unsqueeze", "Transpose")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Leaving:
    """A layer whose output is no longer the reference's.

    Parameters
    ----------
    node, operator
        Name and operator of its node.
    relative_error
        Error of its output in the Euclidean norm; infinite when it overflows.
    """

    node: str
    operator: str
    relative_error: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Localised:
    """The layers at which a graph in FP16 deviates from its reference.

    Parameters
    ----------
    passes
        Whether the FP16 graph is equivalent as it is.
    reason
        Why it is not.
    leaving
        The first layers that leave the reference, in the order of computing.
    keep_fp32
        Nodes that make it equivalent again when they stay in FP32, and of which none can be left
        out; empty when it passes, ``None`` when no nodes make it equivalent.
    graphs_tried
        Number of graphs that were made and compared.
    """

    passes: bool
    reason: str
    leaving: tuple[Leaving, ...]
    keep_fp32: tuple[str, ...] | None
    graphs_tried: int


def localise(
    model: onnx.ModelProto,
    reference: Runner,
    pictures: Pictures,
    *,
    finding: FindingSpec = COVID_19,
    progress: Progress = no_progress,
) -> Localised:
    """Find the layers that FP16 breaks.

    The set of nodes is searched by delta debugging (Zeller and Hildebrandt, 2002) in growing windows around the
    first layer that leaves the reference.

    Parameters
    ----------
    model
        The prepared FP32 segmentation.
    reference
        The runner that it is compared with.
    pictures
        The pictures that both answer about.
    finding
        The finding whose threshold and colours both have.
    progress
        Called for each graph that is tried.

    Raises
    ------
    ExportError
        When the graph cannot be made in FP16 whatever is kept.
    """
    search = _Search(model, reference, pictures, finding, progress)
    first = search.predict(())
    if first.passed:
        return Localised(
            passes=True, reason="", leaving=(), keep_fp32=(), graphs_tried=search.tried
        )
    search.choose(first)
    leaving = search.leaving()
    keep = search.smallest(leaving)
    return Localised(
        passes=False,
        reason="; ".join(first.reasons()),
        leaving=leaving[:_SHOWN],
        keep_fp32=keep,
        graphs_tried=search.tried,
    )


def smallest_subset(
    candidates: Sequence[str], suffices: Callable[[Sequence[str]], bool]
) -> list[str]:
    """A subset that suffices and of which none can be left out, of names that suffice together (ddmin)."""
    chosen, parts = list(candidates), 2
    while len(chosen) > 1:
        size = -(-len(chosen) // parts)
        blocks = [chosen[start : start + size] for start in range(0, len(chosen), size)]
        for block in blocks:
            if len(blocks) > 1 and suffices(block):
                chosen, parts = block, 2
                break
            rest = [name for name in chosen if name not in block]
            if rest and len(blocks) > 2 and suffices(rest):
                chosen, parts = rest, max(parts - 1, 2)
                break
        else:
            if parts >= len(chosen):
                break
            parts = min(2 * parts, len(chosen))
    return chosen


class _Search:
    def __init__(
        self,
        model: onnx.ModelProto,
        reference: Runner,
        pictures: Pictures,
        finding: FindingSpec,
        progress: Progress,
    ) -> None:
        self._finding = finding
        self._model = named_nodes(model)
        self._reference = InfectionOnlyRunner(reference)
        self._pictures = self._all = pictures
        self._progress = progress
        self._order = [n.name for n in self._model.graph.node if n.op_type not in _IDLE]
        # What FP16 cannot even hold stays in FP32 whatever is tried.
        self._unholdable: list[str] = []
        self._known: dict[frozenset[str], bool] = {}
        self.tried = 0

    def predict(self, keep: Sequence[str]) -> GateReport:
        """Make a graph that keeps some nodes in FP32, and compare it."""
        self.tried += 1
        self._progress("graphs tried", self.tried, self.tried)
        engine = OnnxRuntimeEngine(self._lowered(keep).SerializeToString())
        lowered = ReferenceRunner(engine, finding=self._finding)
        return compare(self._reference, lowered, self._pictures)

    def choose(self, first: GateReport) -> None:
        """Look only at the pictures that differ most from now on."""
        worst = sorted(first.pictures, key=lambda picture: picture.badness, reverse=True)
        names = {picture.name for picture in worst[:_TRIED_PICTURES]}
        self._pictures = [pair for pair in self._all if pair[0] in names]

    def leaving(self) -> tuple[Leaving, ...]:
        """Layers whose output leaves the reference's on the worst picture, in the order of computing."""
        picture = self._pictures[0][1][np.newaxis]
        lowered = self._lowered(())
        nodes = [node for node in self._model.graph.node if node.name in self._order]
        leaving = []
        for start in range(0, len(nodes), _CHUNK):
            chunk = nodes[start : start + _CHUNK]
            names = [node.output[0] for node in chunk]
            expected = _outputs(self._model, names, picture)
            actual = _outputs(lowered, names, picture)
            for node, name in zip(chunk, names, strict=True):
                error = _relative_error(expected[name], actual[name])
                if error > LEAVES_AT:
                    layer = Leaving(node=node.name, operator=node.op_type, relative_error=error)
                    leaving.append(layer)
            self._progress("looking at layers", start + len(chunk), len(nodes))
        return tuple(leaving)

    def smallest(self, leaving: Sequence[Leaving]) -> tuple[str, ...] | None:
        """Grow a window around the first layer that leaves until it suffices, then shrink it."""
        at = self._order.index(leaving[0].node) if leaving else 0
        window = _FIRST_WINDOW
        while True:
            around = self._order[max(0, at - window) : at + window + 1]
            if self._suffices(around):
                break
            if len(around) == len(self._order):
                return None
            window *= 2
        chosen = smallest_subset(around, self._suffices)
        self._pictures = self._all
        if not self.predict(chosen).passed:
            # What suffices for the worst pictures does not for all: search among all nodes.
            chosen = smallest_subset(self._order, lambda keep: self.predict(keep).passed)
        return tuple(dict.fromkeys([*self._unholdable, *chosen]))

    def _suffices(self, keep: Sequence[str]) -> bool:
        key = frozenset(keep)
        if key not in self._known:
            self._known[key] = self.predict(keep).passed
        return self._known[key]

    def _lowered(self, keep: Sequence[str]) -> onnx.ModelProto:
        """The graph as a GPU would compute it in FP16, with some nodes kept in FP32."""
        for _ in self._order:
            try:
                halved = fp16_graph(self._model, keep_fp32=[*self._unholdable, *keep])
            except Fp16Overflow as error:
                self._unholdable.append(error.node)
            else:
                return emulated_fp16(self._model, halved)
        raise ExportError("the graph cannot be made in FP16: export with --precision fp32")


def _outputs(
    model: onnx.ModelProto, names: Sequence[str], picture: NDArray[np.uint8]
) -> dict[str, NDArray[np.float32]]:
    """Compute the FP32 outputs of some nodes inside a graph."""
    shown = copy.deepcopy(model)
    del shown.graph.output[:]
    shown.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names
    )
    engine = OnnxRuntimeEngine(shown.SerializeToString())
    return engine.run({SEGMENTATION.inputs[0].name: picture}, names)


def _relative_error(expected: NDArray[np.float32], actual: NDArray[np.float32]) -> float:
    if not np.isfinite(actual).all():
        return float("inf")
    exact = expected.astype(np.float64)
    size = float(np.linalg.norm(exact))
    return float(np.linalg.norm(exact - actual)) / size if size else 0.0


def leaving_table(located: Localised) -> Table:
    """The first layers that leave the reference, in the order of computing."""
    rows = [
        (
            layer.node,
            layer.operator,
            "overflows" if layer.relative_error == float("inf") else f"{layer.relative_error:.1%}",
        )
        for layer in located.leaving
    ]
    return Table("", ("layer", "operator", "relative error"), rows)
