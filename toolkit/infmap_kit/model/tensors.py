"""The tensors that the graphs and the ensemble exchange: names, types and shapes.

Which of them a model serves, and how large its pictures are, its contract says
(:class:`infmap_kit.parts.contract.Contract`); the tensors here have the size of the paper's networks.
"""

from __future__ import annotations

import dataclasses
import enum

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

    def at(self, image_size: int, features: int = -1) -> Tensor:
        """The same of a network with pictures of ``image_size``, in pixels, and so many ``features``."""
        sizes = {_PICTURE: (image_size, image_size), _FEATURES: (features,)}
        return dataclasses.replace(self, shape=sizes.get(self.shape, self.shape))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Graph:
    """A graph's name and signature."""

    name: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]

    def at(self, image_size: int, features: int = -1) -> Graph:
        """The same for pictures of ``image_size``, in pixels, and so many ``features``."""
        return Graph(
            name=self.name,
            inputs=tuple(tensor.at(image_size, features) for tensor in self.inputs),
            outputs=tuple(tensor.at(image_size, features) for tensor in self.outputs),
        )


_PICTURE = (IMAGE_SIZE, IMAGE_SIZE)
_FEATURES = (-1,)

IMAGE = Tensor("IMAGE", Dtype.UINT8, _PICTURE)
CANVAS = Tensor("CANVAS", Dtype.UINT8, (-1, -1))
# The network's output, inside the ensemble; PROBABILITY is the same, for the outside. They are two
# because Triton prunes an exposed tensor that a step also consumes (triton server#7482).
RAW_PROBABILITY = Tensor("probability", Dtype.FLOAT32, _PICTURE)
DETECTED = Tensor("DETECTED", Dtype.UINT8, ())
SEVERITY = Tensor("SEVERITY", Dtype.FLOAT32, ())
PROBABILITY = Tensor("PROBABILITY", Dtype.FLOAT32, _PICTURE)
INFECTION_MAP = Tensor("INFECTION_MAP", Dtype.UINT8, (-1, -1, 3))

# The probability in a quarter of the bytes, and figures that would be lost with the others, of all digits.
PROBABILITY_UINT8 = Tensor("PROBABILITY_UINT8", Dtype.UINT8, _PICTURE)
PROBABILITY_MAX = Tensor("PROBABILITY_MAX", Dtype.FLOAT32, ())
IMAGE_SEVERITY_AT = Tensor("IMAGE_SEVERITY_AT", Dtype.FLOAT32, (5,))

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

# What the infection's encoder made of the picture, inside the ensemble, and how familiar that is.
FEATURES = Tensor("features", Dtype.FLOAT32, _FEATURES)
FAMILIARITY = Tensor("FAMILIARITY", Dtype.FLOAT32, ())

# A score by which radiographs are put in order; the paper's rule stays the decision.
DETECTION_SCORE = Tensor("DETECTION_SCORE", Dtype.FLOAT32, ())

CLASSIFIER_OUTPUTS = (CLASSIFIER_PROBABILITY, ACTIVATION_MAP)
"""Outputs of an ensemble that serves a classifier."""

LUNG_OUTPUTS = (LUNGS, LUNG_SEVERITY, ZONE_SEVERITY, SEVERITY_OF_LUNGS, SEVERITY_AT)
"""Outputs of an ensemble that serves lungs."""

SUMMARY_OUTPUTS = (PROBABILITY_UINT8, PROBABILITY_MAX, IMAGE_SEVERITY_AT)
"""Outputs of an ensemble that was published since there is a summary."""

SEGMENTATION = Graph(name="segmentation", inputs=(IMAGE,), outputs=(RAW_PROBABILITY,))
LUNG_SEGMENTATION = Graph(
    name="lung_segmentation", inputs=(IMAGE,), outputs=(RAW_LUNG_PROBABILITY,)
)
CLASSIFIER = Graph(name="classifier", inputs=(IMAGE,), outputs=CLASSIFIER_OUTPUTS)
FAMILIARITY_GRAPH = Graph(name="familiarity", inputs=(FEATURES,), outputs=(FAMILIARITY,))
DETECTION_SCORE_GRAPH = Graph(
    name="detection_score", inputs=(RAW_PROBABILITY,), outputs=(DETECTION_SCORE,)
)
RENDERING = Graph(name="rendering", inputs=(RAW_PROBABILITY, CANVAS), outputs=(INFECTION_MAP,))
SUMMARY = Graph(name="summary", inputs=(RAW_PROBABILITY,), outputs=SUMMARY_OUTPUTS)
