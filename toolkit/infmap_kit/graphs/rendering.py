"""The infection map as an ONNX graph: jet(probability) reflected onto the radiograph (paper, II-D).

Hue and saturation of jet(Y) with the value of X is, per channel, X times the jet colour at full value. Both
have 256 levels, so the whole map is one table, looked up once a pixel. Another finding may have another table
(:mod:`infmap_kit.model.finding`).
"""

from __future__ import annotations

import numpy as np
import onnx
import onnx.parser
from numpy.typing import NDArray
from onnx import numpy_helper

from infmap_kit.model.spec import IMAGE_SIZE
from infmap_kit.model.tensors import IR_VERSION, OPSET

# The probability is brought to the canvas' size first (half-pixel centres, as OpenCV's INTER_LINEAR),
# then looked up, so that colours are never mixed. The canvas is cast before anything else touches it,
# and the table is FP32: TensorRT knows uint8 at inputs and outputs only.
_TEXT = """
<ir_version: {ir_version}, opset_import: ["" : {opset}]>
rendering (float[N, {size}, {size}] probability, uint8[N, H, W] CANVAS)
    => (uint8[N, H, W, 3] INFECTION_MAP)
<float levels = {{255.0}}, float values = {{256.0}}, int64[1] channel = {{1}}>
{{
    planes = Unsqueeze (probability, channel)
    value = Cast <to = 1> (CANVAS)
    canvas_planes = Unsqueeze (value, channel)
    size = Shape (canvas_planes)
    fitted = Resize <mode = "linear", coordinate_transformation_mode = "half_pixel">
        (planes, , , size)
    plane = Squeeze (fitted, channel)
    scaled = Mul (plane, levels)
    level = Floor (scaled)
    first_of_level = Mul (level, values)
    place = Add (first_of_level, value)
    index = Cast <to = 6> (place)
    colour = Gather <axis = 0> (table, index)
    INFECTION_MAP = Cast <to = 2> (colour)
}}
"""


def rendering_graph(table: NDArray[np.uint8], image_size: int = IMAGE_SIZE) -> onnx.ModelProto:
    """Build the rendering graph.

    Parameters
    ----------
    table
        (256, 3) uint8 RGB: the colour of each probability level at full value; entry 0 is white,
        which leaves pixels of zero probability as they were.
    image_size
        Height and width of the probability in pixels.

    Returns
    -------
    onnx.ModelProto
        ``probability`` (N, 224, 224) float32 in [0, 1] and CANVAS (N, H, W) uint8 to INFECTION_MAP
        (N, H, W, 3) uint8 RGB.
    """
    value = np.arange(256)[np.newaxis, :, np.newaxis]
    # Rounded half up, once and for all.
    painted = np.floor(value * table[:, np.newaxis, :].astype(np.float64) / 255 + 0.5)
    model = onnx.parser.parse_model(
        _TEXT.format(ir_version=IR_VERSION, opset=OPSET, size=image_size)
    )
    model.graph.initializer.append(
        numpy_helper.from_array(painted.reshape(-1, 3).astype(np.float32), name="table")
    )
    onnx.checker.check_model(model, full_check=True)
    return model
