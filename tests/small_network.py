"""A small graph with a network's signature: quick to make, and it finds bright places."""

from __future__ import annotations

import numpy as np
import onnx
import onnx.parser
from onnx import numpy_helper

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
) -> onnx.ModelProto:
    """A blur and a threshold: bright places are infected."""
    text = _TEXT.format(image=image, probability=probability, transformation=transformation)
    model = onnx.parser.parse_model(text)
    weight = np.full((1, 1, 3, 3), 18 / 255 / 9, np.float32)
    model.graph.initializer.append(numpy_helper.from_array(weight, "weight"))
    model.graph.initializer.append(numpy_helper.from_array(np.array([bias], np.float32), "bias"))
    return model
