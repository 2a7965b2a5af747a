"""A small graph with a network's signature: quick to make, and it finds bright places."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.helper
import onnx.parser
from onnx import numpy_helper

from infmap_kit.model.files import sha256_of
from infmap_kit.model.spec import ClassifierSpec, Encoder, ModelSpec, NetworkSpec

_TEXT = """
<ir_version: 9, opset_import: ["" : 18]>
small (uint8[N, 224, 224] {image}) => (float[N, 224, 224] {probability})
<int64[1] channel = {{1}}, float[4] half = {{1.0, 1.0, 0.5, 0.5}}, float[4] twice = {{1.0, 1.0, 2.0, 2.0}}>
{{
    gray = Cast <to = 1> ({image})
    planes = Unsqueeze (gray, channel)
    smaller = Resize <mode = "linear", coordinate_transformation_mode = "half_pixel">
        (planes, , half)
    filtered = Conv <pads = [1, 1, 1, 1]> (smaller, weight, bias)
    larger = Resize <mode = "nearest", nearest_mode = "floor",
        coordinate_transformation_mode = "{transformation}"> (filtered, , twice)
    odds = Sigmoid (larger)
    {probability} = Squeeze (odds, channel)
}}
"""


def small_network(
    *,
    image: str = "IMAGE",
    probability: str = "PROBABILITY",
    transformation: str = "tf_half_pixel_for_nn",
    bias: float = -9.0,
    contrast: float = 18.0,
) -> onnx.ModelProto:
    """A blur and a threshold: bright places are infected.

    The logit is ``bias`` where the picture is black and ``bias + contrast`` where it is white.
    """
    text = _TEXT.format(image=image, probability=probability, transformation=transformation)
    model = onnx.parser.parse_model(text)
    weight = np.full((1, 1, 3, 3), contrast / 255 / 9, np.float32)
    model.graph.initializer.append(numpy_helper.from_array(weight, "weight"))
    model.graph.initializer.append(numpy_helper.from_array(np.array([bias], np.float32), "bias"))
    return model


def overflowing_network(*, brightest: float = 185.0) -> onnx.ModelProto:
    """:func:`small_network`, whose answers are NaN for pictures that are brighter than this in the mean."""
    model = small_network()
    text = """
    <ir_version: 9, opset_import: ["" : 18]>
    more (float[N, 1, 224, 224] planes) => (float[N, 1, 1, 1] poison)
    <float brightest = {%s}, float little = {1e-6}, int64[2] plane = {2, 3}>
    {
        mean = ReduceMean (planes, plane)
        room = Sub (brightest, mean)
        logarithm = Log (room)
        poison = Mul (logarithm, little)
    }
    """
    more = onnx.parser.parse_model(text % brightest).graph
    model.graph.initializer.extend(more.initializer)
    at = next(n for n, node in enumerate(model.graph.node) if node.op_type == "Sigmoid")
    added = onnx.helper.make_node("Add", ["larger", "poison"], ["poisoned"])
    model.graph.node[at].input[0] = "poisoned"
    for node in reversed([*more.node, added]):
        model.graph.node.insert(at, node)
    return model


_DEEPER = """
<ir_version: 9, opset_import: ["" : 18]>
deeper (uint8[N, 224, 224] IMAGE) => (float[N, 224, 224] PROBABILITY)
<int64[1] channel = {1}>
{
    gray = Cast <to = 1> (IMAGE)
    planes = Unsqueeze (gray, channel)
    blurred = Conv <pads = [1, 1, 1, 1]> (planes, blur)
    light = Relu (blurred)
    spread = Conv (light, spreading)
    lit = Relu (spread)
    logit = Conv (lit, gathering, bias)
    odds = Sigmoid (logit)
    PROBABILITY = Squeeze (odds, channel)
}
"""


def deeper_network(*, contrast: float = 18.0) -> onnx.ModelProto:
    """Three convolutions that find what :func:`small_network` finds; with a high contrast it is touchy."""
    model = onnx.parser.parse_model(_DEEPER)
    weights = {
        "blur": np.full((1, 1, 3, 3), 1 / 255 / 9),
        "spreading": np.array([0.5, 1.0, 2.0, 3.0]).reshape(4, 1, 1, 1),
        "gathering": np.full((1, 4, 1, 1), contrast / 6.5),
        "bias": np.array([-contrast / 2]),
    }
    for name, values in weights.items():
        model.graph.initializer.append(numpy_helper.from_array(values.astype(np.float32), name))
    return model


def small_lungs(*, bias: float = 7.9) -> onnx.ModelProto:
    """Dark places are lungs, below 112 of 255: a test's anatomy, without lungs in a white picture."""
    return small_network(bias=bias, contrast=-18.0)


def small_run(
    folder: Path, network: onnx.ModelProto | None = None, *, name: str = "small", **training: Any
) -> Path:
    """A run folder as training leaves it; its network finds what is brighter than 71 of 255."""
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(network or small_network(bias=-5.0), folder / "segmentation.onnx")
    ModelSpec(
        name=name,
        version="7",
        network=NetworkSpec.parse("unet/densenet121"),
        files={"segmentation.onnx": sha256_of(folder / "segmentation.onnx")},
        training=training,
    ).write(folder / "spec.json")
    return folder


def small_lung_run(folder: Path, network: onnx.ModelProto | None = None) -> Path:
    """A run folder of a lung network."""
    return small_run(folder, network or small_lungs(), name="small lungs", target="lungs")


_CLASSIFIER = """
<ir_version: 9, opset_import: ["" : 18]>
small (uint8[N, 224, 224] IMAGE)
    => (float[N] CLASSIFIER_PROBABILITY, float[N, 224, 224] ACTIVATION_MAP)
<int64[2] picture = {1, 2}, float white = {255.0}>
{
    gray = Cast <to = 1> (IMAGE)
    ACTIVATION_MAP = Div (gray, white)
    bright = ReduceMean <keepdims = 0> (ACTIVATION_MAP, picture)
    tilted = Mul (bright, slope)
    score = Add (tilted, bias)
    CLASSIFIER_PROBABILITY = Sigmoid (score)
}
"""


def small_classifier(*, bias: float = -5.0, slope: float = 10.0) -> onnx.ModelProto:
    """Bright pictures are ill, and brightness is what it looks at."""
    model = onnx.parser.parse_model(_CLASSIFIER)
    for name, value in (("bias", bias), ("slope", slope)):
        model.graph.initializer.append(numpy_helper.from_array(np.array(value, np.float32), name))
    return model


def small_classifier_run(folder: Path, classifier: onnx.ModelProto | None = None) -> Path:
    """A run folder of a classifier."""
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(classifier or small_classifier(), folder / "classifier.onnx")
    ModelSpec(
        name="small classifier",
        version="8",
        network=ClassifierSpec(encoder=Encoder.RESNET_50),
        files={"classifier.onnx": sha256_of(folder / "classifier.onnx")},
        training={"target": "infection"},
    ).write(folder / "spec.json")
    return folder
