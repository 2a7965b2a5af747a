"""Networks of other frameworks, made of the nodes that PyTorch's exporter writes."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from infmap_kit.imaging.synthetic.drawing import synthetic_radiograph
from infmap_kit.model.adapter import ModelAdapter

SIZE_PX = 32


@dataclasses.dataclass
class NetworkGraph:
    """A graph in the making, whose last tensor is ``last``."""

    channels: int = 3
    shape: tuple[str | int, ...] = ("batch", 3, SIZE_PX, SIZE_PX)
    element: int = TensorProto.FLOAT
    opset: int = 17
    last: str = "input"
    source: str = "input"

    def __post_init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self._rng = np.random.default_rng(7)

    def weight(self, *shape: int) -> str:
        return self.stated(self._rng.normal(0, 0.4, shape).astype(np.float32))

    def stated(self, values: Any) -> str:
        name = f"onnx::weight_{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def constant(self, values: Any) -> str:
        """As PyTorch writes numbers: nodes, and no initializers."""
        name = f"/Constant_{len(self.nodes)}_output_0"
        tensor = numpy_helper.from_array(np.asarray(values))
        self.nodes.append(helper.make_node("Constant", [], [name], value=tensor))
        return name

    def add(self, operator: str, *others: str, of: str | None = None, **attributes: Any) -> str:
        name = f"/{operator}_{len(self.nodes)}_output_0"
        inputs = [self.last if of is None else of, *others]
        self.nodes.append(helper.make_node(operator, inputs, [name], name=name[:-9], **attributes))
        self.last = name
        return name

    def conv(self, inner: int, outer: int, size: int = 3) -> str:
        pads = [size // 2] * 4
        return self.add(
            "Conv", self.weight(outer, inner, size, size), self.weight(outer), pads=pads
        )

    def model(
        self,
        classes: int = 1,
        *,
        output: tuple[str | int, ...] | None = None,
        element: int = TensorProto.FLOAT,
        opset: int | None = None,
    ) -> onnx.ModelProto:
        shape = output or (self.shape[0], classes, *self.shape[2:])
        made = helper.make_graph(
            self.nodes,
            "main_graph",
            [helper.make_tensor_value_info(self.source, self.element, self.shape)],
            [helper.make_tensor_value_info(self.last, element, shape)],
            self.weights,
        )
        versions = [helper.make_opsetid("", opset or self.opset)]
        return helper.make_model(
            made, opset_imports=versions, ir_version=8, producer_name="pytorch"
        )


def small_unet(channels: int = 3, classes: int = 1, **graph: Any) -> NetworkGraph:
    """An encoder of one step, a decoder with its skip, and a head of logits."""
    shape = graph.pop("shape", ("batch", channels, SIZE_PX, SIZE_PX))
    net = NetworkGraph(channels=channels, shape=shape, **graph)
    net.conv(channels, 4)
    skip = net.add("Relu")
    net.add("MaxPool", kernel_shape=[2, 2], strides=[2, 2])
    net.conv(4, 6)
    net.add("Relu")
    net.add("ConvTranspose", net.weight(6, 4, 2, 2), strides=[2, 2])
    net.add("Concat", skip, axis=1)
    net.conv(8, classes, 1)
    return net


def resized_to_input() -> NetworkGraph:
    """`F.interpolate(x, size=input.shape[2:])` of a network with open axes: sizes are computed."""
    net = NetworkGraph(shape=("batch", 3, "height", "width"))
    net.conv(3, 4)
    low = net.add("AveragePool", kernel_shape=[2, 2], strides=[2, 2])
    wanted = net.add("Shape", of="input")
    sides = net.add(
        "Slice",
        net.stated(np.array([2])),
        net.stated(np.array([4])),
        net.stated(np.array([0])),
        of=wanted,
    )
    kept = net.add(
        "Slice", net.stated(np.array([0])), net.stated(np.array([2])), net.stated(np.array([0])),
        of=net.add("Shape", of=low),
    )  # fmt: skip
    sizes = net.add("Concat", sides, of=kept, axis=0)
    net.add(
        "Resize",
        "",
        "",
        sizes,
        of=low,
        mode="linear",
        coordinate_transformation_mode="pytorch_half_pixel",
    )
    net.conv(4, 1, 1)
    return net


def channels_last(channels: int = 3, element: int = TensorProto.FLOAT) -> NetworkGraph:
    net = NetworkGraph(
        channels=channels, shape=("batch", SIZE_PX, SIZE_PX, channels), element=element
    )
    if element != TensorProto.FLOAT:
        net.add("Cast", to=TensorProto.FLOAT)
        net.add("Div", net.stated(np.float32(255)))
    net.add("Transpose", perm=[0, 3, 1, 2])
    net.conv(channels, 4)
    net.add("Relu")
    net.conv(4, 1, 1)
    net.add("Transpose", perm=[0, 2, 3, 1])
    return net


def ending(net: NetworkGraph, operator: str, **attributes: Any) -> NetworkGraph:
    net.add(operator, **attributes)
    return net


ONE_CLASS = ModelAdapter(scale="1/255", activation="sigmoid")


@functools.cache
def small_radiographs() -> list[NDArray[np.uint8]]:
    return [
        synthetic_radiograph(seed, height=128, width=128, infected=bool(seed)).radiograph.pixels
        for seed in range(3)
    ]


def hidden_logits() -> onnx.ModelProto:
    """A scale behind the head hides that these are logits."""
    net = small_unet()
    net.add("Mul", net.stated(np.float32(9)))
    return net.model()


SCALED = ModelAdapter(scale="1/255")
