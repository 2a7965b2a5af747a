"""What the layers of an engine compute in: precision is what was inspected, not what was asked for."""

from __future__ import annotations

import collections
import dataclasses
import json
from typing import Any

from infmap_kit.errors import ExportError

COMPUTING = ("CONVOLUTION", "DECONVOLUTION", "MATRIX_MULTIPLY")
"""Layers in which the time goes: their types are what a precision means."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class LayerTypes:
    """Which layers compute in which type.

    Parameters
    ----------
    counts
        Kind of layer to type to number of layers, such as ``{"CONVOLUTION": {"HALF": 131}}``.
    inspected
        Whether the built engine was asked; else it is what the strongly typed network says, which
        the builder must keep.
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
    counts: dict[str, collections.Counter[str]] = {}
    for index in range(network.num_layers):
        layer = network.get_layer(index)
        counts.setdefault(layer.type.name, collections.Counter())[
            layer.get_output(0).dtype.name
        ] += 1
    return LayerTypes(counts={k: dict(v) for k, v in counts.items()}, inspected=False)


def layers_from_inspector(document: str) -> LayerTypes:
    """Read what the engine inspector says (JSON, with detailed profiling verbosity).

    A fused layer counts for the kind that its ``LayerType`` names. It computes in FP16 when it reads or gives
    FP16: the last convolution may be fused with the cast to FP32 that the sigmoid wants.
    """
    counts: dict[str, collections.Counter[str]] = {}
    for layer in json.loads(document).get("Layers", []):
        # With little verbosity a layer is its name alone.
        if not isinstance(layer, dict) or not layer.get("Outputs"):
            continue
        kind = _kind(f"{layer.get('LayerType', '')} {layer.get('ParameterType', '')}")
        ends = [*layer["Outputs"][:1], *(layer.get("Inputs") or [])[:1]]
        types = [_type(str(end.get("Format/Datatype", ""))) for end in ends]
        counts.setdefault(kind, collections.Counter())["HALF" if "HALF" in types else types[0]] += 1
    return LayerTypes(counts={k: dict(v) for k, v in counts.items()}, inspected=True)


def _kind(described: str) -> str:
    words = described.lower()
    for kind, signs in (
        ("DECONVOLUTION", ("deconv",)),
        ("CONVOLUTION", ("conv",)),
        ("MATRIX_MULTIPLY", ("matrix", "gemm", "matmul")),
    ):
        if any(sign in words for sign in signs):
            return kind
    return described.split()[0].upper() if described.split() else "UNKNOWN"


def _type(described: str) -> str:
    words = described.lower()
    for name, signs in (
        ("HALF", ("half", "fp16", "f16")),
        ("FLOAT", ("fp32", "float", "f32")),
        ("INT8", ("int8",)),
    ):
        if any(sign in words for sign in signs):
            return name
    return described.upper() or "UNKNOWN"
