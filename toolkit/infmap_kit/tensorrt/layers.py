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
_TYPES = {
    "BF16": ("bf16", "bfloat"),
    "HALF": ("half", "fp16", "f16"),
    "FLOAT": ("fp32", "float", "f32"),
    "FP8": ("fp8",),
    "UINT8": ("uint8",),
    "INT8": ("int8",),
    "INT32": ("int32",),
    "INT64": ("int64",),
    "BOOL": ("bool",),
}
"""Kinds and types, each to parts of their names in the inspector's JSON; the first that fits counts."""

_TYPE_KEYS = ("Datatype", "DataType", "Format/Datatype", "Format")
"""Keys of a tensor's type in the inspector's JSON: TensorRT 11 has the first two for what was
``Format/Datatype`` before (NVIDIA's migration guide from 10 to 11, IEngineInspector)."""

UNKNOWN = "UNKNOWN"
"""The type of a layer whose type the inspector does not tell."""


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
    def computing(self) -> collections.Counter[str]:
        """Type to number of the computing layers; those of an unknown type are left out."""
        types = collections.Counter[str]()
        for kind in COMPUTING:
            types.update(self.counts.get(kind, {}))
        del types[UNKNOWN]
        return types

    @property
    def fp16_share(self) -> float | None:
        """Share of the computing layers that are FP16; ``None`` when the type of none is known."""
        computing = self.computing
        return computing["HALF"] / computing.total() if computing else None

    def require_fp16(self, graph: str, *, kept_fp32: int = 0) -> None:
        """Refuse an engine that was asked for in FP16 and computes in FP32.

        Parameters
        ----------
        graph
            The graph's name.
        kept_fp32
            Number of its convolutions and matrix products that were asked to stay in FP32.

        Raises
        ------
        ExportError
            With the number of layers that are not FP16.
        """
        computing = self.computing
        others = computing.total() - computing["HALF"]
        if others > kept_fp32:
            kept = f", {kept_fp32} of which were to stay in FP32" if kept_fp32 else ""
            raise ExportError(
                f"{graph} was asked for in FP16, and {others} of its {computing.total()} convolutions and "
                f"matrix products are not{kept}: make its graph with fp16_graph() first, TensorRT builds the "
                "types that it is given"
            )


def layers_of(network: Any) -> LayerTypes:
    """Read a strongly typed TensorRT network, before it is built."""
    layers = map(network.get_layer, range(network.num_layers))
    pairs = [(layer.type.name, layer.get_output(0).dtype.name) for layer in layers]
    return LayerTypes(counts=_counts(pairs), inspected=False)


def layers_from_inspector(document: str) -> LayerTypes:
    """Read the engine inspector's answer (JSON, with detailed profiling verbosity).

    A fused layer counts for the kind that its ``LayerType`` names. It computes in FP16 when it reads or gives
    FP16: the last convolution may be fused with the cast to FP32 before the sigmoid. Both TensorRT's form up to
    version 10 and that of version 11 are read.
    """
    pairs = []
    for layer in json.loads(document).get("Layers", []):
        # With little verbosity a layer is its name alone.
        if not isinstance(layer, dict) or not layer.get("Outputs"):
            continue
        described = f"{layer.get('LayerType', '')} {layer.get('ParameterType', '')}".split()
        kind = _first_match(" ".join(described), _KINDS, (*described, UNKNOWN)[0])
        ends = [*layer["Outputs"][:1], *(layer.get("Inputs") or [])[:1]]
        types = [_type_of(end) for end in ends]
        pairs.append((kind, "HALF" if "HALF" in types else types[0]))
    return LayerTypes(counts=_counts(pairs), inspected=True)


def _type_of(tensor: Mapping[str, Any]) -> str:
    """The type of a layer's input or output; a format that names no type, such as ``Row major``, is none."""
    texts = (str(tensor[key]) for key in _TYPE_KEYS if key in tensor)
    types = (_first_match(text, _TYPES, UNKNOWN) for text in texts)
    return next((type_ for type_ in types if type_ != UNKNOWN), UNKNOWN)


def _counts(pairs: Iterable[tuple[str, str]]) -> dict[str, dict[str, int]]:
    counts: dict[str, dict[str, int]] = {}
    for (kind, type_), count in collections.Counter(pairs).items():
        counts.setdefault(kind, {})[type_] = count
    return counts


def _first_match(text: str, names: Mapping[str, Sequence[str]], default: str) -> str:
    matches = (name for name, parts in names.items() if any(part in text.lower() for part in parts))
    return next(matches, default.upper())
