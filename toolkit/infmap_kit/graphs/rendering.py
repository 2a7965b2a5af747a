"""The infection map as an ONNX graph: jet(probability) reflected onto the radiograph (paper, II-D).

Hue and saturation of jet(Y) with the value of X is, per channel, X times the jet colour at
full value; so a table of 256 colours and one multiplication do it, with no HSV in between.
"""

from __future__ import annotations

import numpy as np
import onnx
import onnx.parser
from numpy.typing import NDArray
from onnx import numpy_helper

from infmap_kit.graphs.contract import IR_VERSION, OPSET

# The probability is brought to the canvas' size first (half-pixel centres, as OpenCV's INTER_LINEAR),
# then looked up, so that colours are never mixed. +0.5 makes the last Cast round instead of cut.
# The canvas is cast before anything else touches it: TensorRT knows uint8 at inputs and outputs only.
_TEXT = """
<ir_version: {ir_version}, opset_import: ["" : {opset}]>
rendering (float[N, 224, 224] probability, uint8[N, H, W] CANVAS)
    => (uint8[N, H, W, 3] INFECTION_MAP)
<float levels = {{255.0}}, float half = {{0.5}}, int64[1] channel = {{1}}, int64[1] last = {{3}}>
{{
    planes = Unsqueeze (probability, channel)
    canvas_value = Cast <to = 1> (CANVAS)
    canvas_planes = Unsqueeze (canvas_value, channel)
    size = Shape (canvas_planes)
    fitted = Resize <mode = "linear", coordinate_transformation_mode = "half_pixel">
        (planes, , , size)
    plane = Squeeze (fitted, channel)
    scaled = Mul (plane, levels)
    level = Cast <to = 6> (scaled)
    colour = Gather <axis = 0> (table, level)
    value = Unsqueeze (canvas_value, last)
    painted = Mul (value, colour)
    shifted = Add (painted, half)
    INFECTION_MAP = Cast <to = 2> (shifted)
}}
"""


def rendering_graph(table: NDArray[np.uint8]) -> onnx.ModelProto:
    """Build the rendering graph.

    Parameters
    ----------
    table
        (256, 3) uint8 RGB: the colour of each probability level at full value; entry 0 is white,
        which leaves pixels of zero probability as they were.

    Returns
    -------
    onnx.ModelProto
        ``probability`` (N, 224, 224) float32 in [0, 1] and CANVAS (N, H, W) uint8 to INFECTION_MAP
        (N, H, W, 3) uint8 RGB.
    """
    text = _TEXT.format(ir_version=IR_VERSION, opset=OPSET)
    model = onnx.parser.parse_model(text)
    model.graph.initializer.append(
        numpy_helper.from_array(table.astype(np.float32) / 255, name="table")
    )
    onnx.checker.check_model(model, full_check=True)
    return model
