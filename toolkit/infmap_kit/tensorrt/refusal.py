"""Nodes that TensorRT's parser does not take, with a hint where there is a known fix."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import onnx

from infmap_kit.errors import ExportError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Refusal:
    """A node that TensorRT's parser does not take.

    Parameters
    ----------
    node, operator
        The node's name (or that of its output, when it has none) and its operator.
    reason
        The parser's own message, in one line.
    hint
        A way to get the graph taken, where there is a known one.
    """

    node: str
    operator: str
    reason: str
    hint: str = ""

    def __str__(self) -> str:
        hint = f": {self.hint}" if self.hint else ""
        return f"TensorRT refuses node {self.node!r} ({self.operator}), {self.reason}{hint}"


class GraphRefused(ExportError):
    """TensorRT's parser refuses a graph; the message names the first node.

    Parameters
    ----------
    refusals
        Every node that is refused.
    """

    def __init__(self, refusals: tuple[Refusal, ...]) -> None:
        more = f" (and {len(refusals) - 1} more)" if len(refusals) > 1 else ""
        super().__init__(f"{refusals[0]}{more}")
        self.refusals = refusals


def refusal_of(graph: onnx.ModelProto, error: Any) -> Refusal:
    """Translate an error of TensorRT's ONNX parser."""
    name, operator = error.node_name(), error.node_operator()
    index = error.node()
    nodes = graph.graph.node
    if not name and 0 <= index < len(nodes) and nodes[index].op_type == operator:
        name = f"-> {nodes[index].output[0]}"
    lines = error.desc().strip().splitlines()
    # Of several lines the second has the reason; its place in the library is no help.
    reason = _PLACE.sub("", (lines[1:2] or lines[:1] or [str(error.code())])[0])
    hints = (
        hint
        for refused, part, hint in _HINTS
        if refused in ("", operator) and part.lower() in error.desc().lower()
    )
    return Refusal(
        node=name or f"number {index}",
        operator=operator or "unknown",
        reason=reason.strip(' ".'),
        hint=next(hints, ""),
    )


_PLACE = re.compile(r"\s*In \w+ at /\S+")

_HINTS = (
    (
        "Resize",
        "tf_half_pixel_for_nn",
        "give the network to prepare_segmentation(), which writes it to the same bits with `asymmetric`",
    ),
    (
        "",
        "UInt8",
        "cast to float before this node, TensorRT has uint8 at a graph's inputs and outputs only",
    ),
    ("", "Double", "make the weights and constants float32"),
    (
        "",
        "No importer registered",
        "write it with ONNX operators that TensorRT knows, or serve it with --target onnxruntime",
    ),
)
"""Operator (empty for any), part of the parser's message, and the hint."""
