"""Networks of others behind the contract: what they want done to pixels, and what they answer, as nodes.

A network of another framework takes ``float`` pictures of 1 or 3 channels that were scaled and normalised, and
answers logits or probabilities of one or more classes. The nodes around it make of it a graph of gray ``uint8``
pictures and of one probability a pixel, which is all that a client, an engine or the gate has to know.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import onnx
import onnx.compose
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from infmap_kit.errors import ExportError
from infmap_kit.model.adapter import AS_IT_IS, LAYOUTS, ModelAdapter
from infmap_kit.model.spec import LARGEST_IMAGE_SIZE
from infmap_kit.model.tensors import IMAGE, PROBABILITY

_NCHW, _NHWC = LAYOUTS
_CHANNEL_AXIS = {_NCHW: 1, _NHWC: 3}
_GRAY_AND_COLOUR = (1, 3)
_PREFIX = "network/"
_OLDEST_OPSET = 9

_TO_PROBABILITIES = ("Sigmoid", "HardSigmoid", "Softmax")
_TO_LOGITS = ("Conv", "ConvTranspose", "Gemm", "MatMul", "BatchNormalization", "LogSoftmax")
# They move values about, or blend neighbours, and leave their range as it is.
_KEEPS_RANGE = (
    *("Identity", "Cast", "Reshape", "Squeeze", "Unsqueeze", "Transpose", "Slice", "Gather"),
    *("Resize", "Upsample", "Flatten", "Split", "Pad", "Dropout"),
)


def adapted(
    model: onnx.ModelProto, adapter: ModelAdapter = AS_IT_IS
) -> tuple[onnx.ModelProto, dict[str, Any]]:
    """Put around a network what the contract asks for.

    Parameters
    ----------
    model
        A graph of one input and one output that was read safely: gray pictures (N, H, H) uint8 as in the
        contract, or (N, C, H, H) or (N, H, H, C) float32 or uint8 with 1 or 3 channels; one value a pixel and
        class, with or without an axis for classes.
    adapter
        What the graph does not say itself.

    Returns
    -------
    tuple
        (N, H, H) uint8 to (N, H, H) float32, and a record of what was put around for the manifest; the graph
        that was given where nothing was.

    Raises
    ------
    ExportError
        In one line what was found, what is wanted, and the option or the change of the model that helps.
    SpecError
        When an option does not fit the network.
    """
    source = _only(_inputs(model.graph), "input")
    answer = _only(list(model.graph.output), "output")
    picture = _Picture.of(source, adapter)
    shaped = _at_size(model, source.name, picture)
    output = _Output.of(shaped, answer.name, picture, adapter)
    if picture.is_contract and output.is_contract and not picture.was_open:
        return model, {}
    network = onnx.compose.add_prefix(shaped, _PREFIX)
    version = max((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), default=0)
    if version < _OLDEST_OPSET:
        raise ExportError(
            f"expected an ONNX graph of opset {_OLDEST_OPSET} or newer, found opset {version}: export the "
            "network again with opset_version=17"
        )
    graph, around = network.graph, _Nodes(version)
    feeding = around.feed(IMAGE.name, _PREFIX + source.name, picture, adapter)
    reading = around.read(_PREFIX + answer.name, PROBABILITY.name, output)
    nodes = [*feeding, *graph.node, *reading]
    del graph.node[:], graph.output[:], graph.value_info[:]
    graph.node.extend(nodes)
    graph.initializer.extend(around.constants)
    others = [value for value in graph.input if value.name != _PREFIX + source.name]
    del graph.input[:]
    shape: list[str | int | None] = ["N", picture.size, picture.size]
    graph.input.extend(
        [helper.make_tensor_value_info(IMAGE.name, TensorProto.UINT8, shape), *others]
    )
    graph.output.append(helper.make_tensor_value_info(PROBABILITY.name, TensorProto.FLOAT, shape))
    network.ir_version = max(network.ir_version, 4)
    return network, {**picture.record(adapter), **output.record()}


def picture_size(model: onnx.ModelProto) -> int:
    """Height and width in pixels of the pictures of what :func:`adapted` gave."""
    return int(_only(_inputs(model.graph), "input").type.tensor_type.shape.dim[-1].dim_value)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Picture:
    """What a network takes: its layout (empty without an axis of channels), channels, type and size."""

    layout: str
    channels: int
    element: int
    size: int
    was_open: bool

    @property
    def is_contract(self) -> bool:
        return not self.layout

    @classmethod
    def of(cls, source: onnx.ValueInfoProto, adapter: ModelAdapter) -> _Picture:
        tensor = source.type.tensor_type
        shape = [dim.dim_value for dim in tensor.shape.dim]
        found = f"{_kind(tensor.elem_type)} {_shown(source)} ({source.name!r:.60})"
        if shape and shape[0] > 1:
            raise ExportError(
                f"expected an input of any number of pictures, found {found}, which is always {shape[0]}: "
                "export it with an open first dimension"
            )
        is_gray = len(shape) == 3 and tensor.elem_type == TensorProto.UINT8
        takes = tensor.elem_type in (TensorProto.FLOAT, TensorProto.UINT8) and len(shape) == 4
        if not is_gray and not takes:
            raise ExportError(
                f"expected an input of pictures, float32 of shape (N, 3, H, W) or (N, H, W, 3) with 1 or 3 "
                f"channels or uint8 (N, H, W), found {found}: export the network so"
            )
        takes_bytes = tensor.elem_type == TensorProto.UINT8
        unneeded = [name for name in adapter.feeds if is_gray or name != "layout"]
        if takes_bytes and unneeded:
            raise ExportError(
                f"the network takes pixels of 0 to 255 as they are, {found}, with whatever it needs inside: "
                f"leave {', '.join(f'--{name}' for name in unneeded)} out"
            )
        layout = "" if is_gray else _layout(shape, adapter.layout, found)
        channels = shape[_CHANNEL_AXIS[layout]] if layout else 1
        height, width = [side for axis, side in enumerate(shape) if axis and axis != _axis(layout)]
        size = _size(height, width, adapter.size, found)
        if not takes_bytes and adapter.scale is None:
            raise ExportError(
                f"the network takes {found}, and does not say how pixels of 0 to 255 are scaled: add --scale "
                "1/255 or --scale 1, and --mean and --std if it was trained with them"
            )
        return cls(
            layout=layout,
            channels=channels,
            element=tensor.elem_type,
            size=size,
            was_open=not (height and width),
        )

    def shape(self) -> list[str | int]:
        """The shape of the network's own input."""
        sides: list[str | int] = ["N", self.size, self.size]
        if self.layout:
            sides.insert(_CHANNEL_AXIS[self.layout], self.channels)
        return sides

    def record(self, adapter: ModelAdapter) -> dict[str, Any]:
        """For the manifest."""
        if self.is_contract:
            return {}
        stated = {name: value for name, value in adapter.feeds.items() if name != "layout"}
        return {"layout": self.layout, "channels": self.channels, **stated}


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Output:
    """What a network answers: where its axis of classes is (``None`` without one), and what is made of it."""

    axis: int | None
    classes: int
    activation: str | None
    chosen: int
    asked: str | None

    @property
    def is_contract(self) -> bool:
        return self.axis is None and self.activation in (None, "none")

    @classmethod
    def of(
        cls, model: onnx.ModelProto, name: str, picture: _Picture, adapter: ModelAdapter
    ) -> _Output:
        answer = next(value for value in model.graph.output if value.name == name)
        tensor, inferred = answer.type.tensor_type, _inferred_shape(model, name)
        found = f"{_kind(tensor.elem_type)} {_shown(answer)} ({name!r:.60})"
        if tensor.elem_type != TensorProto.FLOAT:
            hint = "in float32" if tensor.elem_type in _FLOATS else "before its argmax or threshold"
            raise ExportError(
                f"expected float32 probabilities or logits, found {found}: export it {hint}"
            )
        if len(inferred) not in (3, 4):
            raise ExportError(
                f"expected an answer for each pixel, (N, 1, H, W) or (N, H, W, 1), found {found}: this is no "
                "segmentation network"
            )
        axis = None
        if len(inferred) == 4:
            is_first = inferred[2:] == [picture.size] * 2
            axis = _axis(picture.layout or (_NCHW if is_first else _NHWC))
        classes = inferred[axis] if axis is not None else 1
        sides = [side for index, side in enumerate(inferred) if index and index != axis]
        if any(side and side != picture.size for side in sides):
            raise ExportError(
                f"expected answers of {picture.size}x{picture.size}, the pictures' size, found "
                f"{'x'.join(map(str, sides))} ({found}): export it with the upsampling to its input's size"
            )
        if not classes:
            raise ExportError(
                f"{found} does not state how many classes it has: export it with that"
            )
        activation, number = adapter.chosen
        _refuse_unfit(activation, number, classes, found)
        _refuse_activation(_last(model.graph, name), activation, classes)
        return cls(
            axis=axis,
            classes=classes,
            activation=activation,
            chosen=number or 0,
            asked=adapter.activation,
        )

    def record(self) -> dict[str, Any]:
        """For the manifest."""
        if self.axis is None and self.asked is None:
            return {}
        return {"classes": self.classes, "activation": self.asked or "none"}


_FLOATS = (TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE)


class _Nodes:
    """Makes the nodes around a network, in its own operator set."""

    def __init__(self, version: int) -> None:
        self._version = version
        self._count = 0
        self.constants: list[TensorProto] = []

    def feed(
        self, start: str, end: str, picture: _Picture, adapter: ModelAdapter
    ) -> Iterator[onnx.NodeProto]:
        """From gray uint8 pictures to the network's input."""
        steps: list[tuple[str, list[str], dict[str, Any]]] = []
        if picture.element == TensorProto.FLOAT:
            steps.append(("Cast", [], {"to": TensorProto.FLOAT}))
        if picture.layout:
            axis = _CHANNEL_AXIS[picture.layout]
            steps.append(self._unsqueeze(axis))
            along = [1, 1, 1, 1]
            along[axis] = -1
            factor, divisor = adapter.factors()
            for operator, value in (("Mul", factor), ("Div", divisor)):
                if value != 1:
                    steps.append((operator, [self._constant(np.float32(value))], {}))
            pair = adapter.normalisation(picture.channels)
            if pair is not None:
                for operator, values in zip(("Sub", "Div"), pair, strict=True):
                    steps.append(
                        (
                            operator,
                            [self._constant(np.array(values, np.float32).reshape(along))],
                            {},
                        )
                    )
            elif picture.channels > 1:
                # All channels are the one there is.
                steps.append(("Concat", [""] * (picture.channels - 1), {"axis": axis}))
        return self._chain(start, end, steps)

    def read(self, start: str, end: str, output: _Output) -> Iterator[onnx.NodeProto]:
        """From the network's answer to the probability of one class."""
        steps: list[tuple[str, list[str], dict[str, Any]]] = []
        axis = output.axis
        if output.activation == "softmax" and axis is not None:
            # The last axis: before opset 13 Softmax takes all axes from its own on for one.
            if axis != 3:
                steps.append(("Transpose", [], {"perm": [0, 2, 3, 1]}))
            steps.append(("Softmax", [], {"axis": 3}))
            axis = 3
        if axis is not None:
            steps.append(("Gather", [self._constant(np.int64(output.chosen))], {"axis": axis}))
        if output.activation == "sigmoid":
            steps.append(("Sigmoid", [], {}))
        return self._chain(start, end, steps)

    def _chain(
        self, start: str, end: str, steps: Sequence[tuple[str, list[str], dict[str, Any]]]
    ) -> Iterator[onnx.NodeProto]:
        name, left = start, len(steps) or 1
        for operator, others, attributes in steps or [("Identity", [], {})]:
            self._count += 1
            left -= 1
            label = f"adapter/{operator}_{self._count}"
            made = f"{label}_output" if left else end
            # An empty name stands for the value itself once more.
            inputs = [name, *(other or name for other in others)]
            yield helper.make_node(operator, inputs, [made], name=label, **attributes)
            name = made

    def _constant(self, value: NDArray[Any] | np.generic) -> str:
        name = f"adapter/constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def _unsqueeze(self, axis: int) -> tuple[str, list[str], dict[str, Any]]:
        if self._version < 13:
            return "Unsqueeze", [], {"axes": [axis]}
        return "Unsqueeze", [self._constant(np.array([axis], np.int64))], {}


def _only(values: list[onnx.ValueInfoProto], role: str) -> onnx.ValueInfoProto:
    if len(values) != 1:
        names = ", ".join(value.name for value in values)
        raise ExportError(
            f"expected one {role}, found {len(values)}: {names:.200}; export the network with "
            f"{'its pictures' if role == 'input' else 'its mask'} alone"
        )
    return values[0]


def _inputs(graph: onnx.GraphProto) -> list[onnx.ValueInfoProto]:
    initializers = {tensor.name for tensor in graph.initializer}
    return [value for value in graph.input if value.name not in initializers]


def _axis(layout: str) -> int | None:
    return _CHANNEL_AXIS.get(layout)


def _layout(shape: Sequence[int], asked: str | None, found: str) -> str:
    """The layout that a shape of four axes shows, or that was asked for where it shows none."""
    fitting = [name for name, axis in _CHANNEL_AXIS.items() if shape[axis] in _GRAY_AND_COLOUR]
    if asked is not None and asked not in fitting:
        stated = shape[_CHANNEL_AXIS[asked]]
        if fitting:
            raise ExportError(
                f"expected --layout {fitting[0]}, which {found} has, found {asked}: leave it out"
            )
        raise ExportError(
            f"expected 1 or 3 channels, found {stated or 'a number that is open'} in {found}: export it with "
            "a fixed number"
        )
    if asked is not None:
        return asked
    if len(fitting) != 1:
        state = "may be either nchw or nhwc" if fitting else "shows neither 1 nor 3 channels"
        fix = "say which with --layout" if fitting else "export it with 1 or 3 channels"
        raise ExportError(f"the network's input, {found}, {state}: {fix}")
    return fitting[0]


def _size(height: int, width: int, asked: int | None, found: str) -> int:
    stated = {side for side in (height, width) if side}
    if len(stated) > 1:
        raise ExportError(f"expected square pictures, found {found}: export it with a square input")
    size = next(iter(stated), asked)
    if size is None:
        raise ExportError(
            f"the network takes pictures of any size, {found}: say with --size on which one it was trained"
        )
    if asked not in (None, size):
        raise ExportError(f"expected --size {size}, the size of {found}, found {asked}")
    if size > LARGEST_IMAGE_SIZE:
        raise ExportError(
            f"expected pictures of at most {LARGEST_IMAGE_SIZE}x{LARGEST_IMAGE_SIZE}, found {found}"
        )
    return size


def _at_size(model: onnx.ModelProto, name: str, picture: _Picture) -> onnx.ModelProto:
    """A copy whose input has its size stated and its batch open, and nothing inside states another."""
    shaped = onnx.ModelProto()
    shaped.CopyFrom(model)
    (source,) = [value for value in shaped.graph.input if value.name == name]
    source.type.CopyFrom(helper.make_tensor_type_proto(picture.element, picture.shape()))
    for answer in shaped.graph.output:
        if answer.type.tensor_type.shape.dim:
            batch = answer.type.tensor_type.shape.dim[0]
            batch.Clear()
            batch.dim_param = "N"
    # Shapes with the exporter's own batch.
    del shaped.graph.value_info[:]
    return shaped


def _inferred_shape(model: onnx.ModelProto, name: str) -> list[int]:
    """The shape of an output; 0 for what neither the graph states nor inference finds."""
    known = onnx.ModelProto()
    known.CopyFrom(model)
    for value in known.graph.output:
        # What the exporter calls height or width has a number now.
        for dim in value.type.tensor_type.shape.dim:
            if not dim.dim_value:
                dim.Clear()
    with contextlib.suppress(onnx.shape_inference.InferenceError):
        known = onnx.shape_inference.infer_shapes(known, data_prop=True)
    answer = next(value for value in known.graph.output if value.name == name)
    return [dim.dim_value for dim in answer.type.tensor_type.shape.dim]


def _last(graph: onnx.GraphProto, name: str) -> str:
    """The operator that gave an output its range; empty where that cannot be told."""
    makers = {made: node for node in graph.node for made in node.output}
    for _ in range(len(graph.node)):
        node = makers.get(name)
        if node is None:
            return ""
        if node.op_type == "Add":
            # A bias that was added by itself.
            operators = {makers[i].op_type for i in node.input if i in makers} - {"Constant"}
            return next((one for one in operators if one in _TO_LOGITS), "")
        if node.op_type not in _KEEPS_RANGE:
            return node.op_type
        name = node.input[0]
    return ""


def _refuse_unfit(activation: str | None, number: int | None, classes: int, found: str) -> None:
    if classes == 1:
        if activation == "softmax":
            raise ExportError(
                f"a softmax over the one class of {found} is 1 everywhere: use --activation sigmoid"
            )
        if number:
            raise ExportError(f"expected class 0, the only one of {found}, found {number}")
        return
    if number is None:
        raise ExportError(
            f"the network answers {classes} classes, {found}: say which is the finding's, with --activation "
            f"softmax:{classes - 1} for logits or none:{classes - 1} for probabilities"
        )
    if number >= classes:
        raise ExportError(f"expected a class of 0 to {classes - 1}, as {found} has, found {number}")


def _refuse_activation(last: str, activation: str | None, classes: int) -> None:
    """Refuse logits that are taken for probabilities, and the reverse."""
    if last in _TO_PROBABILITIES and activation in ("sigmoid", "softmax"):
        instead = "leave --activation out" if classes == 1 else "give it as none, with the class"
        raise ExportError(
            f"the network ends in {last} already, and another {activation} would bend its probabilities: "
            f"{instead}"
        )
    if last in _TO_LOGITS and activation in (None, "none"):
        raise ExportError(
            f"the network ends in logits ({last}), and probabilities are served: add --activation "
            f"{'sigmoid' if classes == 1 else f'softmax:{classes - 1}'}"
        )


def _shown(value: onnx.ValueInfoProto) -> str:
    sides = (dim.dim_value or dim.dim_param or "?" for dim in value.type.tensor_type.shape.dim)
    return f"({', '.join(f'{side!s:.20}' for side in sides)})"


def _kind(element: int) -> str:
    return helper.tensor_dtype_to_np_dtype(element).name if element else "nothing"
