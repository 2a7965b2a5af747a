"""The infection map as an ONNX graph: a table by probability and gray, looked up once a pixel.

Both have 256 levels, so that any paint (:mod:`infmap_kit.model.paint`) and any finding's colours are another
table of the same graph. A paint inside the lungs alone reads the lungs' network besides.
"""

from __future__ import annotations

import numpy as np
import onnx
import onnx.parser
from onnx import helper, numpy_helper

from infmap_kit.imaging.colour import JET, paint_table
from infmap_kit.model.paint import PAPER, Paint
from infmap_kit.model.spec import DETECTION_THRESHOLD, IMAGE_SIZE
from infmap_kit.model.tensors import IR_VERSION, OPSET

# The probability is brought to the canvas' size first (half-pixel centres, as OpenCV's INTER_LINEAR),
# then looked up, so that colours are never mixed. The canvas is cast before anything else touches it,
# and the table is FP32: TensorRT knows uint8 at inputs and outputs only.
_TEXT = """
<ir_version: {ir_version}, opset_import: ["" : {opset}]>
rendering (float[N, {size}, {size}] probability, uint8[N, H, W] CANVAS{lungs})
    => (uint8[N, H, W, 3] INFECTION_MAP)
<float levels = {{255.0}}, float values = {{256.0}}, int64[1] channel = {{1}}{constants}>
{{
    planes = Unsqueeze (probability, channel)
    value = Cast <to = 1> (CANVAS)
    canvas_planes = Unsqueeze (value, channel)
    size = Shape (canvas_planes)
    fitted = Resize <mode = "linear", coordinate_transformation_mode = "half_pixel">
        (planes, , , size)
{inside}    plane = Squeeze ({painted}, channel)
    scaled = Mul (plane, levels)
    level = Floor (scaled)
    first_of_level = Mul (level, values)
    place = Add (first_of_level, value)
    index = Cast <to = 6> (place)
    colour = Gather <axis = 0> (table, index)
    INFECTION_MAP = Cast <to = 2> (colour)
}}
"""

# Lungs are decided before they are resized, so that the edge of the paint is that of the mask which results
# show. Where there is no lung, everything is inside: what was found must not vanish.
_INSIDE = """
    lung_planes = Unsqueeze (lung_probability, channel)
    is_lung = GreaterOrEqual (lung_planes, half)
    lung_mask = Cast <to = 1> (is_lung)
    lung_fitted = Resize <mode = "linear", coordinate_transformation_mode = "half_pixel">
        (lung_mask, , , size)
    any_lung = ReduceMax <keepdims = 1> (lung_mask, image)
    is_missing = Less (any_lung, half)
    missing = Cast <to = 1> (is_missing)
    lung_or_missing = Max (lung_fitted, missing)
    is_inside = GreaterOrEqual (lung_or_missing, half)
    clipped = Where (is_inside, fitted, zero)
"""


def rendering_graph(
    paint: Paint = PAPER, finding_colours: str = JET, image_size: int = IMAGE_SIZE
) -> onnx.ModelProto:
    """Build the rendering graph.

    Parameters
    ----------
    paint
        How it paints, which the graph's metadata say (:func:`~infmap_kit.model.paint.paint_of`).
    finding_colours
        Name of the finding's colour table.
    image_size
        Height and width of the probability in pixels.

    Returns
    -------
    onnx.ModelProto
        ``probability`` (N, 224, 224) float32 in [0, 1] and CANVAS (N, H, W) uint8 to INFECTION_MAP
        (N, H, W, 3) uint8 RGB; inside the lungs, ``lung_probability`` of the first one's shape is read too.
    """
    clips = paint.in_lungs
    model = onnx.parser.parse_model(
        _TEXT.format(
            ir_version=IR_VERSION,
            opset=OPSET,
            size=image_size,
            lungs=f", float[N, {image_size}, {image_size}] lung_probability" if clips else "",
            constants=f", float half = {{{DETECTION_THRESHOLD}}}, float zero = {{0.0}}, "
            "int64[3] image = {1, 2, 3}"
            if clips
            else "",
            inside=_INSIDE if clips else "",
            painted="clipped" if clips else "fitted",
        )
    )
    table = paint_table(paint, finding_colours).reshape(-1, 3).astype(np.float32)
    model.graph.initializer.append(numpy_helper.from_array(table, name="table"))
    if stated := paint.as_parameters():
        helper.set_model_props(model, stated)
    onnx.checker.check_model(model, full_check=True)
    return model
