"""The probability in one byte a pixel, and the figures that need all its digits, as an ONNX graph.

Most results keep no probability: a quarter of the bytes then travels from the server to its client.
"""

from __future__ import annotations

import onnx
import onnx.parser

from infmap_kit.answer.severity import THRESHOLDS
from infmap_kit.model.spec import IMAGE_SIZE
from infmap_kit.model.tensors import IR_VERSION, OPSET

# Half a step is added before the fraction is cut off: 0.5 becomes 128, and the largest number below it 127, in
# FP32 with or without a fused product. Counts are whole numbers below 2**24, divided once, as in the detection;
# marks come one by one, since OpenVINO takes more than twice as long for one comparison over a further axis.
_TEXT = """
<ir_version: {ir_version}, opset_import: ["" : {opset}]>
summary (float[N, {size}, {size}] probability)
    => (uint8[N, {size}, {size}] PROBABILITY_UINT8, float[N] PROBABILITY_MAX, float[N, 5] IMAGE_SEVERITY_AT)
<float steps = {{255.0}}, float half = {{0.5}}, float percent = {{100.0}}, float pixels = {{{pixels}}},
 {levels}, int64[2] picture = {{1, 2}}, int64[1] second = {{2}}>
{{
    scaled = Mul (probability, steps)
    raised = Add (scaled, half)
    step = Floor (raised)
    PROBABILITY_UINT8 = Cast <to = 2> (step)
    largest = ReduceMax <keepdims = 0> (probability, picture)
    total = ReduceSum <keepdims = 0> (probability, picture)
    is_none = IsNaN (total)
    PROBABILITY_MAX = Where (is_none, total, largest)
{counted}    counts = Concat <axis = 1> ({counts})
    rows = Squeeze (counts, second)
    hundredfold = Mul (rows, percent)
    IMAGE_SEVERITY_AT = Div (hundredfold, pixels)
}}
"""

_COUNTED = """
    reaching_{n} = GreaterOrEqual (probability, level_{n})
    reached_{n} = Cast <to = 1> (reaching_{n})
    count_{n} = ReduceSum <keepdims = 1> (reached_{n}, picture)
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
    numbers = range(len(THRESHOLDS))
    model = onnx.parser.parse_model(
        _TEXT.format(
            ir_version=IR_VERSION,
            opset=OPSET,
            size=image_size,
            pixels=f"{image_size**2}.0",
            levels=", ".join(f"float level_{n} = {{{THRESHOLDS[n]}}}" for n in numbers),
            counted="".join(_COUNTED.format(n=n).lstrip("\n") for n in numbers),
            counts=", ".join(f"count_{n}" for n in numbers),
        )
    )
    onnx.checker.check_model(model, full_check=True)
    return model
