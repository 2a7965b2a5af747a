"""The probability in one byte a pixel, and the figures that need all its digits, as an ONNX graph.

Most results keep no probability: a quarter of the bytes then travels from the server to its client.
"""

from __future__ import annotations

import numpy as np
import onnx
import onnx.parser
from onnx import numpy_helper

from infmap_kit.answer.severity import THRESHOLDS
from infmap_kit.model.spec import IMAGE_SIZE
from infmap_kit.model.tensors import IR_VERSION, OPSET

# Half a step is added before the fraction is cut off: 0.5 becomes 128, and the largest number below it 127, in
# FP32 with or without a fused product. Counts are whole numbers below 2**24, divided once, as in the detection.
_TEXT = """
<ir_version: {ir_version}, opset_import: ["" : {opset}]>
summary (float[N, {size}, {size}] probability)
    => (uint8[N, {size}, {size}] PROBABILITY_UINT8, float[N] PROBABILITY_MAX, float[N, 5] IMAGE_SEVERITY_AT)
<float steps = {{255.0}}, float half = {{0.5}}, float percent = {{100.0}}, float pixels = {{{pixels}}},
 int64[1] first = {{1}}, int64[2] picture = {{1, 2}}, int64[2] plane = {{2, 3}}>
{{
    scaled = Mul (probability, steps)
    raised = Add (scaled, half)
    step = Floor (raised)
    PROBABILITY_UINT8 = Cast <to = 2> (step)
    largest = ReduceMax <keepdims = 0> (probability, picture)
    total = ReduceSum <keepdims = 0> (probability, picture)
    is_none = IsNaN (total)
    PROBABILITY_MAX = Where (is_none, total, largest)
    planes = Unsqueeze (probability, first)
    reaching = GreaterOrEqual (planes, levels)
    reached = Cast <to = 1> (reaching)
    count = ReduceSum <keepdims = 0> (reached, plane)
    hundredfold = Mul (count, percent)
    IMAGE_SEVERITY_AT = Div (hundredfold, pixels)
}}
"""


def summary_graph(image_size: int = IMAGE_SIZE) -> onnx.ModelProto:
    """Build the summary graph.

    Parameters
    ----------
    image_size
        Height and width of the probability in pixels.

    Returns
    -------
    onnx.ModelProto
        ``probability`` (N, 224, 224) float32 in [0, 1] to PROBABILITY_UINT8 (N, 224, 224) uint8, its nearest
        step of 1/255, of which 128 and more are those of 0.5 and more; PROBABILITY_MAX (N,) float32, the
        largest, or NaN where any is NaN, which no byte can say; and IMAGE_SEVERITY_AT (N, 5) float32, the
        percentage of the pixels that reach each of :data:`~infmap_kit.answer.severity.THRESHOLDS`.
    """
    model = onnx.parser.parse_model(
        _TEXT.format(
            ir_version=IR_VERSION, opset=OPSET, size=image_size, pixels=f"{image_size**2}.0"
        )
    )
    levels = np.array(THRESHOLDS, np.float32).reshape(1, -1, 1, 1)
    model.graph.initializer.append(numpy_helper.from_array(levels, "levels"))
    onnx.checker.check_model(model, full_check=True)
    return model
