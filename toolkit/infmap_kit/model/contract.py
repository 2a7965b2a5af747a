"""The tensors that the graphs and the ensemble exchange: names, types and shapes.

What is always served stands here as constants. What a model may bring besides (lungs) is a part of its
:class:`Contract`, from which graphs, configs and engines follow; without parts it is those constants.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Collection
from typing import Self

from infmap_kit.model.spec import IMAGE_SIZE

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

# The network of the lungs, inside the ensemble; LUNGS is what follows from it.
RAW_LUNG_PROBABILITY = Tensor("lung_probability", Dtype.FLOAT32, _PICTURE)
LUNGS = Tensor("LUNGS", Dtype.UINT8, _PICTURE)
LUNG_SEVERITY = Tensor("LUNG_SEVERITY", Dtype.FLOAT32, (2,))
ZONE_SEVERITY = Tensor("ZONE_SEVERITY", Dtype.FLOAT32, (6,))
SEVERITY_OF_LUNGS = Tensor("SEVERITY_OF_LUNGS", Dtype.UINT8, ())
SEVERITY_AT = Tensor("SEVERITY_AT", Dtype.FLOAT32, (5,))

# A classifier's, served beside: no step consumes them, so that the ensemble may show them as they are.
CLASSIFIER_PROBABILITY = Tensor("CLASSIFIER_PROBABILITY", Dtype.FLOAT32, ())
ACTIVATION_MAP = Tensor("ACTIVATION_MAP", Dtype.FLOAT32, _PICTURE)

CLASSIFIER_OUTPUTS = (CLASSIFIER_PROBABILITY, ACTIVATION_MAP)
"""What the ensemble says besides where a classifier is served."""

LUNG_OUTPUTS = (LUNGS, LUNG_SEVERITY, ZONE_SEVERITY, SEVERITY_OF_LUNGS, SEVERITY_AT)
"""What the ensemble says besides where lungs are served."""

SEGMENTATION = Graph(name="segmentation", inputs=(IMAGE,), outputs=(RAW_PROBABILITY,))
LUNG_SEGMENTATION = Graph(
    name="lung_segmentation", inputs=(IMAGE,), outputs=(RAW_LUNG_PROBABILITY,)
)
CLASSIFIER = Graph(name="classifier", inputs=(IMAGE,), outputs=CLASSIFIER_OUTPUTS)
RENDERING = Graph(name="rendering", inputs=(RAW_PROBABILITY, CANVAS), outputs=(INFECTION_MAP,))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Contract:
    """What a model serves: graphs and tensors by the parts that it has.

    A part adds graphs and outputs and takes none away, so that who asks for the four outputs that are
    always there asks every model in the same way.

    Parameters
    ----------
    lungs
        Whether a second network segments the lungs; severity is then of them.
    classifier
        Whether a classifier says of its own whether the condition is there, and where it looked.
    """

    lungs: bool = False
    classifier: bool = False

    @classmethod
    def of(cls, graphs: Collection[str]) -> Self:
        """The contract that graphs of these names serve."""
        return cls(lungs=LUNG_SEGMENTATION.name in graphs, classifier=CLASSIFIER.name in graphs)

    @property
    def networks(self) -> tuple[Graph, ...]:
        """The networks that segment: each is an engine of its own, in the precision that was asked for."""
        return (SEGMENTATION, *((LUNG_SEGMENTATION,) if self.lungs else ()))

    @property
    def opinions(self) -> tuple[Graph, ...]:
        """Networks that nothing else is computed from: in FP32, and run when somebody asks for them."""
        return (CLASSIFIER,) if self.classifier else ()

    @property
    def detection(self) -> Graph:
        """What the probabilities come to."""
        return Graph(
            name="detection",
            inputs=(RAW_PROBABILITY, *((RAW_LUNG_PROBABILITY,) if self.lungs else ())),
            outputs=(DETECTED, SEVERITY, PROBABILITY, *(LUNG_OUTPUTS if self.lungs else ())),
        )

    @property
    def graphs(self) -> tuple[Graph, ...]:
        """The graphs behind the ensemble, each after those whose outputs it takes."""
        return (*self.networks, self.detection, RENDERING, *self.opinions)

    @property
    def ensemble(self) -> Graph:
        """What is asked: the outputs that are always there, then those of the parts."""
        return Graph(
            name="infmap",
            inputs=(IMAGE, CANVAS),
            outputs=(
                *(DETECTED, SEVERITY, PROBABILITY, INFECTION_MAP),
                *(LUNG_OUTPUTS if self.lungs else ()),
                *(CLASSIFIER_OUTPUTS if self.classifier else ()),
            ),
        )


PLAIN = Contract()
"""Infection alone."""

DETECTION = PLAIN.detection
ENSEMBLE = PLAIN.ensemble
GRAPHS = PLAIN.graphs
"""The graphs behind the ensemble of infection alone."""
