"""The outputs of another framework's network, and the class that is served as a probability."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import Any

import onnx
from onnx import TensorProto

from infmap_kit.errors import ExportError
from infmap_kit.graphs.adapter.picture import (
    NCHW,
    NHWC,
    NetworkPicture,
    channel_axis,
    element_name,
    shown_shape,
)
from infmap_kit.model.adapter import ModelAdapter

_TO_PROBABILITIES = ("Sigmoid", "HardSigmoid", "Softmax")
_TO_LOGITS = ("Conv", "ConvTranspose", "Gemm", "MatMul", "BatchNormalization", "LogSoftmax")
# They move values about, or blend neighbours, and leave their range as it is.
_KEEPS_RANGE = (
    *("Identity", "Cast", "Reshape", "Squeeze", "Unsqueeze", "Transpose", "Slice", "Gather"),
    *("Resize", "Upsample", "Flatten", "Split", "Pad", "Dropout"),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class NetworkAnswer:
    """The output of a network: its axis of classes (``None`` without one), and its conversion."""

    axis: int | None
    classes: int
    activation: str | None
    chosen: int
    asked: str | None

    @property
    def is_contract(self) -> bool:
        """Whether the network answers one probability a pixel, as the contract has it."""
        return self.axis is None and self.activation in (None, "none")

    @classmethod
    def of(
        cls, model: onnx.ModelProto, name: str, picture: NetworkPicture, adapter: ModelAdapter
    ) -> NetworkAnswer:
        """The output as the graph declares it and the adapter converts it.

        Raises
        ------
        ExportError
            When the output is no answer for each pixel, or the adapter does not fit it.
        """
        answer = next(value for value in model.graph.output if value.name == name)
        tensor, inferred = answer.type.tensor_type, _inferred_shape(model, name)
        found = f"{element_name(tensor.elem_type)} {shown_shape(answer)} ({name!r:.60})"
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
            axis = channel_axis(picture.layout or (NCHW if is_first else NHWC))
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
        """Return the manifest's record of it; empty where nothing is chosen and no activation was asked for."""
        if self.axis is None and self.asked is None:
            return {}
        return {"classes": self.classes, "activation": self.asked or "none"}


_FLOATS = (TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE)


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
