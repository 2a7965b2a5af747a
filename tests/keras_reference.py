"""The demo model in Keras: the network built anew, with the weights of the committed graph.

Only the ONNX graph is committed (half of what Keras' file would take), so its weights are put back into the
layers that they are named after. tf2onnx folds a batch norm into the convolution before it; then the
convolution gets the folded weights, and the batch norm only adds the folded bias. All arithmetic
is Keras' own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from infmap_kit.model.spec import ModelSpec

_FOLDED = "_weights_fused_bn"


def keras_probability(run: Path, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Keras' ``predict`` of the demo model over (N, 224, 224) uint8."""
    from infmap_train.networks.classifiers import build
    from infmap_train.networks.normalisation import normalise

    spec = ModelSpec.read(run / "spec.json")
    model = build(spec.network)
    graph = onnx.load(run / "segmentation.onnx").graph
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Cast" and node.input[0] in weights:
            weights[node.output[0]] = weights[node.input[0]].astype(np.float32)
    restored = sum(_restore(model, node, weights) for node in graph.node)
    parameterised = [layer for layer in model.layers if layer.weights]
    assert restored == len(parameterised), f"{restored} of {len(parameterised)} layers restored"
    predicted: NDArray[np.float32] = model.predict(
        np.asarray(normalise(images, spec.network.encoder)), verbose=0
    )
    return predicted[..., 0]


def _restore(model: Any, node: onnx.NodeProto, weights: dict[str, NDArray[np.float32]]) -> int:
    """Give one ONNX node's weights to the Keras layers that it came from; how many they are."""
    if node.op_type == "BatchNormalization":
        layer = _layer(model, node.input[1])
        layer.set_weights([weights[name] for name in node.input[1:5]])
        return 1
    if node.op_type != "Conv":
        return 0
    convolution = _layer(model, node.input[1])
    # A depth-wise convolution has one filter a channel, and Keras its channels in the place of the inputs.
    depth_wise = "depthwise" in node.input[1].rpartition("/")[2]
    kernel = weights[node.input[1]].transpose(*((2, 3, 0, 1) if depth_wise else (2, 3, 1, 0)))
    bias = weights[node.input[2]] if len(node.input) > 2 else None
    if not node.input[1].endswith(_FOLDED):
        convolution.set_weights([kernel] if bias is None else [kernel, bias])
        return 1
    convolution.set_weights([kernel])
    norm = convolution.outbound_nodes[0].outbound_layer
    ones = np.ones_like(bias)
    norm.set_weights([ones, bias, 0 * ones, ones - norm.epsilon])
    return 2


def _layer(model: Any, tensor_name: str) -> Any:
    """``model/LAYER/...`` is how TensorFlow names a layer's tensors; LAYER may hold a slash itself."""
    path = tensor_name.partition("/")[2]
    names = [layer.name for layer in model.layers if path.startswith(f"{layer.name}/")]
    return model.get_layer(max(names, key=len))
