"""Small graphs with matrix products, as a familiarity and a classifier's end have them."""

from __future__ import annotations

import numpy as np
import onnx
import onnx.parser
from onnx import numpy_helper

from infmap_kit.graphs.familiarity import Gaussian, familiarity_graph

_FEATURES, _DIRECTIONS = 6, 2
_random = np.random.default_rng(0)

FAMILIARITY = familiarity_graph(
    Gaussian.fit(_random.normal(size=(40, _FEATURES)), _DIRECTIONS), threshold=3.0
)

DENSE = onnx.parser.parse_model(
    """
    <ir_version: 9, opset_import: ["" : 18]>
    dense (float[N, 6] features) => (float[N, 3] probability) {
        hidden = Gemm <transB = 1> (features, first, first_bias)
        rectified = Relu (hidden)
        last = Gemm (rectified, second, second_bias)
        product = MatMul (last, third)
        probability = Sigmoid (product)
    }
    """
)
DENSE.graph.initializer.extend(
    numpy_helper.from_array(_random.normal(size=shape).astype(np.float32), name)
    for name, shape in {
        "first": (4, 6),
        "first_bias": (4,),
        "second": (4, 5),
        "second_bias": (5,),
        "third": (5, 3),
    }.items()
)
