"""A score by which radiographs are put in order, better than the largest probability of any pixel.

The paper's rule (II-D) decides by the largest probability; one stray pixel is enough for it. The mean over the
picture, or over the pixels of the largest probabilities, weighs more of the picture.
"""

from __future__ import annotations

import numpy as np
import onnx
import onnx.parser
from numpy.typing import NDArray

from infmap_kit.errors import SpecError
from infmap_kit.model.spec import IMAGE_SIZE
from infmap_kit.model.tensors import IR_VERSION, OPSET

PIXELS = {"mean": IMAGE_SIZE**2, "top 200": 200, "top 2000": 2000}
"""The rules: the mean of so many of a picture's largest probabilities, of all of them for ``mean``."""

_HEAD = """
<ir_version: {ir_version}, opset_import: ["" : {opset}]>
detection_score (float[N, {size}, {size}] probability) => (float[N] DETECTION_SCORE)
"""
_MEAN = """
<int64[2] picture = {1, 2}>
{
    DETECTION_SCORE = ReduceMean <keepdims = 0> (probability, picture)
}
"""
_TOP = """
<int64[2] row = {{0, -1}}, int64[1] count = {{{pixels}}}, int64[1] pixels = {{1}}>
{{
    flat = Reshape (probability, row)
    largest, places = TopK <axis = 1> (flat, count)
    DETECTION_SCORE = ReduceMean <keepdims = 0> (largest, pixels)
}}
"""


def score_of(probability: NDArray[np.floating], rule: str) -> NDArray[np.float64]:
    """The definition: scores, (N,), of probabilities, (N, H, W), by a rule of :data:`PIXELS`."""
    flat = probability.reshape(len(probability), -1).astype(np.float64)
    count = min(pixels_of(rule), flat.shape[1])
    return np.asarray(np.partition(flat, -count, axis=1)[:, -count:].mean(axis=1))


def detection_score_graph(rule: str) -> onnx.ModelProto:
    """Build the graph: ``probability`` (N, 224, 224) to DETECTION_SCORE (N,), both float32 in [0, 1].

    Raises
    ------
    SpecError
        When there is no such rule.
    """
    pixels = pixels_of(rule)
    body = _MEAN if rule == "mean" else _TOP.format(pixels=pixels)
    head = _HEAD.format(ir_version=IR_VERSION, opset=OPSET, size=IMAGE_SIZE)
    model = onnx.parser.parse_model(head + body)
    onnx.checker.check_model(model, full_check=True)
    return model


def pixels_of(rule: str) -> int:
    """The number of a picture's largest probabilities that a rule averages.

    Raises
    ------
    SpecError
        When there is no such rule.
    """
    if rule not in PIXELS:
        raise SpecError(f"expected a rule of {', '.join(PIXELS)}, found {rule!r:.40}")
    return PIXELS[rule]
