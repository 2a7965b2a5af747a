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
        return self._share("HALF")

    @property
    def int8_share(self) -> float | None:
        """Share of the computing layers that are INT8; ``None`` when the type of none is known."""
        return self._share("INT8")

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
        self._require("HALF", "FP16", graph, kept_fp32, "fp16_graph()")

    def require_int8(self, graph: str, *, kept_fp32: int = 0) -> None:
        """Refuse an engine that was asked for in INT8 and computes otherwise; see :meth:`require_fp16`."""
        self._require("INT8", "INT8", graph, kept_fp32, "qdq_graph()")

    def _share(self, type_: str) -> float | None:
        computing = self.computing
        return computing[type_] / computing.total() if computing else None

    def _require(self, type_: str, called: str, graph: str, kept_fp32: int, maker: str) -> None:
        computing = self.computing
        others = computing.total() - computing[type_]
        if others > kept_fp32:
            kept = f", {kept_fp32} of which were to stay in FP32" if kept_fp32 else ""
            raise ExportError(
                f"{graph} was asked for in {called}, and {others} of its {computing.total()} convolutions and "
                f"matrix products are not{kept}: make its graph with {maker} first, TensorRT builds the "
                "types that it is given"
            )


def layers_of(network: Any) -> LayerTypes:
    """Read a strongly typed TensorRT network, before it is built.

    A computing layer between DQ and Q nodes has FP32 at both ends and is INT8 all the same.
    """
    layers = [network.get_layer(index) for index in range(network.num_layers)]
    dequantised = {layer.get_output(0).name for layer in layers if layer.type.name == "DEQUANTIZE"}

    def type_of(layer: Any) -> str:
        inputs = [layer.get_input(index) for index in range(layer.num_inputs)][:2]
        if layer.type.name in COMPUTING and all(i.name in dequantised for i in inputs):
            return "INT8"
        return str(layer.get_output(0).dtype.name)

    pairs = [(layer.type.name, type_of(layer)) for layer in layers]
    return LayerTypes(counts=_counts(pairs), inspected=False)


def layers_from_inspector(document: str) -> LayerTypes:
    """Read the engine inspector's answer (JSON, with detailed profiling verbosity).

    A fused layer counts for the kind that its ``LayerType`` names. It computes in FP16 when it reads or gives
    FP16: the last convolution may be fused with the cast to FP32 before the sigmoid. It computes in INT8 when
    it reads INT8: one in FP32 may be fused with the quantisation of what it gives. Both TensorRT's form up to
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
        pairs.append((kind, _computed_in([_type_of(end) for end in ends])))
    return LayerTypes(counts=_counts(pairs), inspected=True)


def _computed_in(types: Sequence[str]) -> str:
    """The type that a layer computes in, by those of its first output and of its first input, if it has one."""
    output, read = types[0], types[-1]
    if "INT8" in types:
        return read
    return "HALF" if "HALF" in types else output


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
