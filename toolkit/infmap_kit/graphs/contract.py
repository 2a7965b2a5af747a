"""The tensors that the three graphs and the ensemble exchange: names, types and shapes."""

from __future__ import annotations

import dataclasses
import enum

from infmap_kit.spec import IMAGE_SIZE

OPSET = 18
"""ONNX operator set of every graph; the newest that all targets read."""

IR_VERSION = 9


class Dtype(enum.StrEnum):
    """Element types that occur in the contract, named as NumPy names them."""

    UINT8 = "uint8"
    FLOAT32 = "float32"


@dataclasses.dataclass(frozen=True)
class Tensor:
    """A named tensor; ``shape`` leaves out the batch dimension, -1 is any size."""

    name: str
    dtype: Dtype
    shape: tuple[int, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Graph:
    """A graph's name and signature."""

    name: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


_PICTURE = (IMAGE_SIZE, IMAGE_SIZE)

IMAGE = Tensor("IMAGE", Dtype.UINT8, _PICTURE)
CANVAS = Tensor("CANVAS", Dtype.UINT8, (-1, -1))
# What the network says, inside the ensemble; PROBABILITY is the same, for the outside. They are two
# because Triton prunes an exposed tensor that a step also consumes (triton server#7482).
RAW_PROBABILITY = Tensor("probability", Dtype.FLOAT32, _PICTURE)
DETECTED = Tensor("DETECTED", Dtype.UINT8, ())
SEVERITY = Tensor("SEVERITY", Dtype.FLOAT32, ())
PROBABILITY = Tensor("PROBABILITY", Dtype.FLOAT32, _PICTURE)
INFECTION_MAP = Tensor("INFECTION_MAP", Dtype.UINT8, (-1, -1, 3))

SEGMENTATION = Graph(name="segmentation", inputs=(IMAGE,), outputs=(RAW_PROBABILITY,))
DETECTION = Graph(
    name="detection", inputs=(RAW_PROBABILITY,), outputs=(DETECTED, SEVERITY, PROBABILITY)
)
RENDERING = Graph(name="rendering", inputs=(RAW_PROBABILITY, CANVAS), outputs=(INFECTION_MAP,))
ENSEMBLE = Graph(
    name="infmap",
    inputs=(IMAGE, CANVAS),
    outputs=(DETECTED, SEVERITY, PROBABILITY, INFECTION_MAP),
)

GRAPHS = (SEGMENTATION, DETECTION, RENDERING)
"""The graphs behind the ensemble."""
