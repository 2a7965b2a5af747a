"""A network of another framework that cannot be served is refused in one line that helps."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from foreign_networks import (
    ONE_CLASS,
    SCALED,
    SIZE_PX,
    NetworkGraph,
    channels_last,
    ending,
    hidden_logits,
    resized_to_input,
    small_unet,
)
from infmap_kit.errors import InfmapError
from infmap_kit.model.adapter import ModelAdapter
from infmap_kit.release.source import read_source


def _dropout() -> onnx.ModelProto:
    net = small_unet()
    last = net.last
    ratio, mode = net.constant(np.float32(0.5)), net.constant(np.bool_(True))
    net.add("Dropout", ratio, mode, of=last)
    return net.model()


def _training_norm() -> onnx.ModelProto:
    net = NetworkGraph()
    net.conv(3, 4)
    values = [net.stated(np.full(4, v, np.float32)) for v in (1, 0, 0.1, 2)]
    node = helper.make_node(
        "BatchNormalization", [net.last, *values], ["n", "m", "v"], name="/bn", training_mode=1
    )
    net.nodes.append(node)
    net.last = "n"
    net.conv(4, 1, 1)
    return net.model()


def _labels() -> onnx.ModelProto:
    net = ending(small_unet(classes=2), "ArgMax", axis=1, keepdims=0)
    return net.model(output=("batch", SIZE_PX, SIZE_PX), element=TensorProto.INT64)


def _half_size() -> onnx.ModelProto:
    net = NetworkGraph()
    net.conv(3, 1)
    net.add("MaxPool", kernel_shape=[2, 2], strides=[2, 2])
    return net.model(output=("batch", 1, SIZE_PX // 2, SIZE_PX // 2))


def _classifier() -> onnx.ModelProto:
    net = NetworkGraph()
    net.conv(3, 2)
    net.add("GlobalAveragePool")
    net.add("Flatten")
    return net.model(output=("batch", 2))


def _two_outputs() -> onnx.ModelProto:
    """Deep supervision, or a classification head beside the mask."""
    model = small_unet().model()
    shape = ("batch", 4, SIZE_PX, SIZE_PX)
    model.graph.output.append(
        helper.make_tensor_value_info("/Relu_1_output_0", TensorProto.FLOAT, shape)
    )
    return model


def _halves() -> onnx.ModelProto:
    net = NetworkGraph(element=TensorProto.FLOAT16)
    net.add("Identity")
    return net.model(3, element=TensorProto.FLOAT16)


def _own_operator() -> onnx.ModelProto:
    net = small_unet()
    net.add("Sigmoid")
    net.nodes[-1].domain = "com.example"
    model = net.model()
    model.opset_import.append(helper.make_opsetid("com.example", 1))
    return model


def _other_weights() -> onnx.ModelProto:
    model = small_unet().model()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "net.onnx.data"
    return model


_REFUSED: dict[str, tuple[Callable[[], Any], ModelAdapter, str]] = {
    "logits": (lambda: small_unet().model(), SCALED, "add --activation sigmoid"),
    "logits of two classes": (
        lambda: small_unet(classes=2).model(2),
        ModelAdapter(scale="1/255", activation="none:1"),
        "add --activation softmax:1",
    ),
    "logits behind a factor": (hidden_logits, SCALED, "ends in logits, add --activation sigmoid"),
    "a second sigmoid": (
        lambda: ending(small_unet(), "Sigmoid").model(),
        ONE_CLASS,
        "ends in Sigmoid already.*leave --activation out",
    ),
    "nothing said of pixels": (
        lambda: small_unet().model(),
        ModelAdapter(),
        "add --scale 1/255 or --scale 1",
    ),
    "a scale for bytes": (
        lambda: channels_last(element=TensorProto.UINT8).model(
            output=("batch", SIZE_PX, SIZE_PX, 1)
        ),
        ONE_CLASS,
        "leave --scale out",
    ),
    "two classes, and which is not said": (
        lambda: small_unet(classes=2).model(2),
        SCALED,
        "answers 2 classes.*softmax:1",
    ),
    "a class that is not there": (
        lambda: small_unet(classes=2).model(2),
        ModelAdapter(scale="1/255", activation="softmax:5"),
        "class of 0 to 1",
    ),
    "softmax of one class": (
        lambda: small_unet().model(),
        ModelAdapter(scale="1/255", activation="softmax"),
        "1 everywhere: use --activation sigmoid",
    ),
    "four channels": (lambda: small_unet(4).model(), ONE_CLASS, "1 or 3 channels"),
    "two means": (
        lambda: small_unet().model(),
        ModelAdapter(scale="1/255", mean="0.5,0.5", activation="sigmoid"),
        "--mean with 1 number or 3",
    ),
    "the other layout": (
        lambda: small_unet().model(),
        dataclasses.replace(ONE_CLASS, layout="nhwc"),
        "expected --layout nchw",
    ),
    "oblong pictures": (
        lambda: small_unet(shape=("batch", 3, SIZE_PX, 2 * SIZE_PX)).model(),
        ONE_CLASS,
        "expected square pictures",
    ),
    "another size": (
        lambda: small_unet().model(),
        dataclasses.replace(ONE_CLASS, size=48),
        f"expected --size {SIZE_PX}",
    ),
    "any size, and which is not said": (
        lambda: resized_to_input().model(),
        ONE_CLASS,
        "with --size",
    ),
    "a batch of four": (
        lambda: small_unet(shape=(4, 3, SIZE_PX, SIZE_PX)).model(),
        ONE_CLASS,
        "always 4: export it with an open first dimension",
    ),
    "a map of half the size": (_half_size, ONE_CLASS, "16x16.*upsampling"),
    "labels": (_labels, ONE_CLASS, "int64.*before its argmax"),
    "a classifier": (_classifier, ONE_CLASS, "no segmentation network"),
    "two outputs": (_two_outputs, ONE_CLASS, "expected one output, found 2.*mask alone"),
    "half precision": (_halves, ONE_CLASS, "float32 of shape.*found float16"),
    "dropout in training": (
        _dropout,
        ONE_CLASS,
        "as in training.*export the network for inference",
    ),
    "batch norm in training": (
        _training_norm,
        ONE_CLASS,
        "as in training.*export the network for inference",
    ),
    "an operator of its own": (_own_operator, SCALED, "standard ONNX operators"),
    "weights in another file": (_other_weights, ONE_CLASS, "store it inside the graph"),
}


@pytest.mark.parametrize("case", _REFUSED)
def test_what_cannot_be_served_is_refused_in_one_line_that_helps(case: str, tmp_path: Path) -> None:
    build, adapter, wanted = _REFUSED[case]
    path = tmp_path / "net.onnx"
    onnx.save(build(), path)
    with pytest.raises(InfmapError, match=wanted) as caught:
        read_source(path, adapter=adapter)
    assert len(str(caught.value).splitlines()) == 1
    assert len(str(caught.value)) < 400
