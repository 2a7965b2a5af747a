"""The types that the layers of an engine compute in, as inspected and not as asked for."""

from __future__ import annotations

import collections
import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from infmap_kit.errors import ExportError

COMPUTING = ("CONVOLUTION", "DECONVOLUTION", "MATRIX_MULTIPLY")
"""Layers that take the time: their types are what a precision means."""

_KINDS = {
    "DECONVOLUTION": ("deconv",),
    "CONVOLUTION": ("conv",),
    "MATRIX_MULTIPLY": ("matrix", "gemm", "matmul"),
}
_TYPES = {"HALF": ("half", "fp16", "f16"), "FLOAT": ("fp32", "float", "f32"), "INT8": ("int8",)}
"""Kinds and types, each to parts of their names in the inspector's JSON; the first that fits counts."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class LayerTypes:
    """The types that layers compute in.

    Parameters
    ----------
    counts
        Kind of layer to type to number of layers, such as ``{"CONVOLUTION": {"HALF": 131}}``.
    inspected
        Whether they are those of the built engine, or else of the strongly typed network, which the builder
        must follow.
    """

    counts: dict[str, dict[str, int]]
    inspected: bool

    @property
    def fp16_share(self) -> float | None:
        """Share of the computing layers that are FP16; ``None`` when there are none at all."""
        computing = collections.Counter[str]()
        for kind in COMPUTING:
            computing.update(self.counts.get(kind, {}))
        total = sum(computing.values())
        return computing["HALF"] / total if total else None

    def require_fp16(self, graph: str) -> None:
        """Refuse an engine that was asked for in FP16 and computes in FP32.

        Raises
        ------
        ExportError
            With the share that is FP16.
        """
        share = self.fp16_share
        if share is not None and share < 1:
            raise ExportError(
                f"{graph} was asked for in FP16, and only {share:.0%} of its convolutions and matrix products "
                "are: make its graph with fp16_graph() first, TensorRT builds the types that it is given"
            )


def layers_of(network: Any) -> LayerTypes:
    """Read a strongly typed TensorRT network, before it is built."""
    layers = map(network.get_layer, range(network.num_layers))
    pairs = [(layer.type.name, layer.get_output(0).dtype.name) for layer in layers]
    return LayerTypes(counts=_counts(pairs), inspected=False)


def layers_from_inspector(document: str) -> LayerTypes:
    """Read the engine inspector's answer (JSON, with detailed profiling verbosity).

    A fused layer counts for the kind that its ``LayerType`` names. It computes in FP16 when it reads or gives
    FP16: the last convolution may be fused with the cast to FP32 before the sigmoid.
    """
    pairs = []
    for layer in json.loads(document).get("Layers", []):
        # With little verbosity a layer is its name alone.
        if not isinstance(layer, dict) or not layer.get("Outputs"):
            continue
        described = f"{layer.get('LayerType', '')} {layer.get('ParameterType', '')}".split()
        kind = _first_match(" ".join(described), _KINDS, (*described, "UNKNOWN")[0])
        ends = [*layer["Outputs"][:1], *(layer.get("Inputs") or [])[:1]]
        formats = [str(end.get("Format/Datatype", "")) for end in ends]
        types = [_first_match(text, _TYPES, text or "UNKNOWN") for text in formats]
        pairs.append((kind, "HALF" if "HALF" in types else types[0]))
    return LayerTypes(counts=_counts(pairs), inspected=True)


def _counts(pairs: Iterable[tuple[str, str]]) -> dict[str, dict[str, int]]:
    counts: dict[str, dict[str, int]] = {}
    for (kind, type_), count in collections.Counter(pairs).items():
        counts.setdefault(kind, {})[type_] = count
    return counts


def _first_match(text: str, names: Mapping[str, Sequence[str]], default: str) -> str:
    matches = (name for name, parts in names.items() if any(part in text.lower() for part in parts))
    return next(matches, default.upper())
