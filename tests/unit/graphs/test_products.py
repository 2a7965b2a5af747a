"""Matrix products as convolutions: the same numbers by ONNX Runtime, and nothing else touched."""

from __future__ import annotations

import numpy as np
import onnx
import onnx.parser
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from infmap_kit.graphs.products import with_convolved_products
from products import DENSE, FAMILIARITY


def _answers(graph: onnx.ModelProto, features: NDArray[np.float32]) -> NDArray[np.float32]:
    session = ort.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    (answer,) = session.run(None, {"features": features})
    return np.asarray(answer)


@pytest.mark.parametrize("graph", [FAMILIARITY, DENSE], ids=lambda graph: str(graph.graph.name))
@pytest.mark.parametrize("batch", [1, 7])
def test_products_are_the_same_numbers(graph: onnx.ModelProto, batch: int) -> None:
    before = graph.SerializeToString()
    spread = with_convolved_products(graph)
    operators = {node.op_type for node in spread.graph.node}
    assert "Conv" in operators
    assert not operators & {"MatMul", "Gemm"}
    features = np.random.default_rng(1).normal(size=(batch, 6)).astype(np.float32)
    answers = _answers(spread, features)
    np.testing.assert_allclose(answers, _answers(graph, features), rtol=1e-5, atol=1e-6)
    assert graph.SerializeToString() == before


@pytest.mark.parametrize(
    "text",
    [
        "dense (float16[N, 4] x) => (float16[N, 2] y) { y = MatMul (x, half) }",
        "dense (float[N, 3, 4] x) => (float[N, 3, 2] y) { y = MatMul (x, full) }",
        "dense (float[N, 4] x, float[4, 2] w) => (float[N, 2] y) { y = MatMul (x, w) }",
        "dense (float[4, N] x) => (float[N, 2] y) { y = Gemm <transA = 1> (x, full) }",
        "dense (float[N, 4] x) => (float[N, 2] y) { y = Gemm <alpha = 0.5> (x, full) }",
        "dense (float[N, 4] x) => (float[N, 2] y) { y = Gemm (x, full, row) }",
    ],
)
def test_other_products_stay(text: str) -> None:
    model = onnx.parser.parse_model(f'<ir_version: 9, opset_import: ["" : 18]> {text}')
    weights = np.arange(8).reshape(4, 2)
    named: dict[str, NDArray[np.generic]] = {
        "half": weights.astype(np.float16),
        "full": weights.astype(np.float32),
        "row": np.ones((1, 2), np.float32),
    }
    read = {name for node in model.graph.node for name in node.input}
    model.graph.initializer.extend(
        numpy_helper.from_array(values, name) for name, values in named.items() if name in read
    )
    onnx.checker.check_model(model, full_check=True)
    assert with_convolved_products(model) == model
