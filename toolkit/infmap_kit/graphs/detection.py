"""Detection and severity from probabilities, as an ONNX graph (paper, II-D)."""

from __future__ import annotations

import onnx
import onnx.parser

from infmap_kit.graphs.contract import IR_VERSION, OPSET
from infmap_kit.spec import DETECTION_THRESHOLD

# Reductions over (1, 2) leave one number an image. The peak decides; the share of infected pixels,
# in percent of the whole picture, is the severity as long as no lungs are known.
_TEXT = """
<ir_version: {ir_version}, opset_import: ["" : {opset}]>
detection (float[N, 224, 224] probability)
    => (uint8[N] DETECTED, float[N] SEVERITY, float[N, 224, 224] PROBABILITY)
<float threshold = {{{threshold}}}, float percent = {{100.0}}, int64[2] picture = {{1, 2}}>
{{
    peak = ReduceMax <keepdims = 0> (probability, picture)
    detected = GreaterOrEqual (peak, threshold)
    DETECTED = Cast <to = 2> (detected)
    infected = GreaterOrEqual (probability, threshold)
    infected_pixels = Cast <to = 1> (infected)
    share = ReduceMean <keepdims = 0> (infected_pixels, picture)
    SEVERITY = Mul (share, percent)
    PROBABILITY = Identity (probability)
}}
"""


def detection_graph(threshold: float = DETECTION_THRESHOLD) -> onnx.ModelProto:
    """Build the detection graph.

    Parameters
    ----------
    threshold
        Probability from which a pixel counts as infected, and an image as COVID-19.

    Returns
    -------
    onnx.ModelProto
        ``probability`` (N, 224, 224) float32 in [0, 1] to DETECTED (N,) uint8, SEVERITY (N,)
        float32 in percent of the image, and PROBABILITY, unchanged.
    """
    text = _TEXT.format(ir_version=IR_VERSION, opset=OPSET, threshold=threshold)
    model = onnx.parser.parse_model(text)
    onnx.checker.check_model(model, full_check=True)
    return model
