"""Networks of other frameworks, served with their own answers.

The reference is ONNX's own evaluator of the graph as it was exported, with pixels and answers by NumPy.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from foreign_networks import (
    ONE_CLASS,
    SIZE_PX,
    NetworkGraph,
    channels_last,
    ending,
    resized_to_input,
    small_radiographs,
    small_unet,
)
from infmap_kit.gate.engines import OnnxRuntimeEngine
from infmap_kit.imaging.network_input import network_input
from infmap_kit.model.adapter import ModelAdapter
from infmap_kit.release.source import read_source

_MEAN, _STD = "0.485,0.456,0.406", "0.229,0.224,0.225"


def _normed() -> NetworkGraph:
    """Batch norm in inference, as an export that does not fold it has it, and a leaky ReLU."""
    net = NetworkGraph()
    net.conv(3, 4)
    net.add("BatchNormalization", *(net.stated(np.full(4, v, np.float32)) for v in (1, 0, 0.1, 2)))
    net.add("LeakyRelu", alpha=0.01)
    net.conv(4, 1, 1)
    return net


def _instance_normed() -> NetworkGraph:
    """nnU-Net's."""
    net = NetworkGraph(channels=1, shape=("batch", 1, SIZE_PX, SIZE_PX))
    net.conv(1, 4)
    net.add("InstanceNormalization", *(net.stated(np.full(4, v, np.float32)) for v in (1, 0.1)))
    net.add("LeakyRelu", alpha=0.01)
    net.conv(4, 2, 1)
    return net


def _resized(mode: str, transformation: str) -> NetworkGraph:
    """`F.interpolate` by a factor, which stands in a Constant node."""
    net = NetworkGraph()
    net.conv(3, 4)
    net.add("MaxPool", kernel_shape=[2, 2], strides=[2, 2])
    factors = net.constant(np.array([1, 1, 2, 2], np.float32))
    more = {"nearest_mode": "floor"} if mode == "nearest" else {}
    of = net.nodes[-2].output[0]
    net.add(
        "Resize",
        "",
        factors,
        of=of,
        mode=mode,
        coordinate_transformation_mode=transformation,
        **more,
    )
    net.conv(4, 1, 1)
    return net


def _named_as_ours() -> onnx.ModelProto:
    """Tensors with the names of the contract's in other places."""
    model = small_unet().model()
    names = {"input": "probability", "/Relu_1_output_0": "IMAGE"}
    for node in model.graph.node:
        for listed in (node.input, node.output):
            listed[:] = [names.get(name, name) for name in listed]
    model.graph.input[0].name = "probability"
    return model


def _weights_among_inputs() -> onnx.ModelProto:
    model = small_unet().model()
    for tensor in model.graph.initializer:
        model.graph.input.append(
            helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
        )
    return model


def _pixels(
    *,
    scale: float = 1 / 255,
    mean: Any = 0.0,
    std: Any = 1.0,
    channels: int = 3,
    last: bool = False,
) -> Callable[[NDArray[np.uint8]], NDArray[Any]]:
    """What a data loader of PyTorch makes of gray pictures."""

    def prepare(pictures: NDArray[np.uint8]) -> NDArray[Any]:
        colour = np.repeat(pictures[..., np.newaxis] * np.float64(scale), channels, axis=-1)
        colour = (colour - np.array(mean)) / np.array(std)
        return np.asarray(colour if last else np.moveaxis(colour, -1, 1), np.float32)

    return prepare


def _sigmoid(values: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(1 / (1 + np.exp(-values.astype(np.float64))))


def _softmax(values: NDArray[Any], index: int) -> NDArray[Any]:
    powers = np.exp(values.astype(np.float64) - values.max(axis=1, keepdims=True))
    share: NDArray[Any] = (powers / powers.sum(axis=1, keepdims=True))[:, index]
    return share


def _first(values: NDArray[Any]) -> NDArray[Any]:
    return _sigmoid(values[:, 0])


_EQUIVALENT: dict[str, tuple[Callable[[], Any], ModelAdapter, Any, Any]] = {
    "colour, ImageNet's normalisation, logits": (
        lambda: small_unet().model(),
        ModelAdapter(scale="1/255", mean=_MEAN, std=_STD, activation="sigmoid"),
        _pixels(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)),
        _first,
    ),
    "the layout is said as well": (
        lambda: small_unet().model(),
        dataclasses.replace(ONE_CLASS, layout="nchw"),
        _pixels(),
        _first,
    ),
    "gray": (lambda: small_unet(1).model(), ONE_CLASS, _pixels(channels=1), _first),
    "gray with one mean and deviation": (
        lambda: small_unet(1).model(),
        ModelAdapter(scale="1/255", mean="0.5", std="0.25", activation="sigmoid"),
        _pixels(channels=1, mean=0.5, std=0.25),
        _first,
    ),
    "pixels of 0 to 255 less a mean": (
        lambda: small_unet().model(),
        ModelAdapter(scale="1", mean="123.7,116.8,103.9", std="58.4", activation="sigmoid"),
        _pixels(scale=1, mean=(123.7, 116.8, 103.9), std=58.4),
        _first,
    ),
    "a factor with a point": (
        lambda: small_unet().model(),
        ModelAdapter(scale="0.00392156862745098", activation="sigmoid"),
        _pixels(),
        _first,
    ),
    "two classes, the second by softmax": (
        lambda: small_unet(classes=2).model(2),
        ModelAdapter(scale="1/255", activation="softmax:1"),
        _pixels(),
        lambda values: _softmax(values, 1),
    ),
    "two classes, the first by softmax": (
        lambda: small_unet(classes=2).model(2),
        ModelAdapter(scale="1/255", activation="softmax:0"),
        _pixels(),
        lambda values: _softmax(values, 0),
    ),
    "two classes, each by itself": (
        lambda: small_unet(classes=2).model(2),
        ModelAdapter(scale="1/255", activation="sigmoid:1"),
        _pixels(),
        lambda values: _sigmoid(values[:, 1]),
    ),
    "a sigmoid inside": (
        lambda: ending(small_unet(), "Sigmoid").model(),
        ModelAdapter(scale="1/255"),
        _pixels(),
        lambda values: values[:, 0],
    ),
    "a softmax inside": (
        lambda: ending(small_unet(classes=2), "Softmax", axis=1).model(2),
        ModelAdapter(scale="1/255", activation="none:1"),
        _pixels(),
        lambda values: values[:, 1],
    ),
    "no axis of classes": (
        lambda: ending(small_unet(), "Squeeze", axes=[1]).model(
            output=("batch", SIZE_PX, SIZE_PX), opset=11
        ),
        ONE_CLASS,
        _pixels(),
        _sigmoid,
    ),
    "channels last": (
        lambda: channels_last().model(output=("batch", SIZE_PX, SIZE_PX, 1)),
        ONE_CLASS,
        _pixels(last=True),
        lambda values: _sigmoid(values[..., 0]),
    ),
    "bytes with the channels last, scaled inside": (
        lambda: channels_last(element=TensorProto.UINT8).model(
            output=("batch", SIZE_PX, SIZE_PX, 1)
        ),
        ModelAdapter(activation="sigmoid"),
        lambda pictures: np.repeat(pictures[..., np.newaxis], 3, axis=-1),
        lambda values: _sigmoid(values[..., 0]),
    ),
    "batch norm and leaky ReLU": (lambda: _normed().model(), ONE_CLASS, _pixels(), _first),
    "instance norm, two classes": (
        lambda: _instance_normed().model(2),
        ModelAdapter(scale="1/255", activation="softmax:1"),
        _pixels(channels=1),
        lambda values: _softmax(values, 1),
    ),
    "bilinear upsampling": (
        lambda: _resized("linear", "half_pixel").model(),
        ONE_CLASS,
        _pixels(),
        _first,
    ),
    "bilinear upsampling with aligned corners": (
        lambda: _resized("linear", "align_corners").model(),
        ONE_CLASS,
        _pixels(),
        _first,
    ),
    "nearest upsampling": (
        lambda: _resized("nearest", "asymmetric").model(),
        ONE_CLASS,
        _pixels(),
        _first,
    ),
    "any size, upsampled to its input": (
        lambda: resized_to_input().model(),
        dataclasses.replace(ONE_CLASS, size=48),
        _pixels(),
        _first,
    ),
    "exported for one picture": (
        lambda: small_unet(shape=(1, 3, SIZE_PX, SIZE_PX)).model(),
        ONE_CLASS,
        _pixels(),
        _first,
    ),
    "opset 11 with a softmax": (
        lambda: small_unet(classes=2, opset=11).model(2),
        ModelAdapter(scale="1/255", activation="softmax:1"),
        _pixels(),
        lambda values: _softmax(values, 1),
    ),
    "opset 20": (lambda: small_unet(opset=20).model(), ONE_CLASS, _pixels(), _first),
    "names of the contract elsewhere": (_named_as_ours, ONE_CLASS, _pixels(), _first),
    "weights among the inputs": (_weights_among_inputs, ONE_CLASS, _pixels(), _first),
}


@pytest.mark.parametrize("case", _EQUIVALENT)
def test_the_served_graph_answers_as_the_network_that_was_exported(
    case: str, tmp_path: Path
) -> None:
    build, adapter, prepare, read = _EQUIVALENT[case]
    model, path = build(), tmp_path / "net.onnx"
    onnx.save(model, path)
    source = read_source(path, adapter=adapter)
    size = adapter.size or SIZE_PX
    assert source.contract.image_size == size
    assert source.identity["image_size"] == size
    assert source.identity["adapter"].get("activation", "none") == (adapter.activation or "none")
    pictures = np.stack([network_input(radiograph, size) for radiograph in small_radiographs()])
    engine = OnnxRuntimeEngine(source.segmentation.SerializeToString())
    together = engine.infer(pictures)
    # One by one: the file may have been exported for one picture.
    evaluator, name = ReferenceEvaluator(model), model.graph.input[0].name
    raw: list[Any] = [
        next(iter(evaluator.run(None, {name: prepare(one[np.newaxis])}))) for one in pictures
    ]
    expected = read(np.concatenate(raw))
    assert together.shape == (3, size, size)
    assert np.ptp(expected) > 0.05
    assert np.abs(together - expected).max() < 1e-5
