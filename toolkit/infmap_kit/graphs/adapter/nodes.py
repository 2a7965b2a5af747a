"""The nodes in front of a network and behind it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from infmap_kit.graphs.adapter.answer import NetworkAnswer
from infmap_kit.graphs.adapter.picture import CHANNEL_AXIS, NetworkPicture
from infmap_kit.model.adapter import ModelAdapter


class AdapterNodes:
    """Makes the nodes around a network, in its own operator set."""

    def __init__(self, version: int) -> None:
        self._version = version
        self._count = 0
        self.constants: list[TensorProto] = []

    def feed(
        self, start: str, end: str, picture: NetworkPicture, adapter: ModelAdapter
    ) -> Iterator[onnx.NodeProto]:
        """Make the nodes that turn gray uint8 pictures into the network's input."""
        steps: list[tuple[str, list[str], dict[str, Any]]] = []
        if picture.element == TensorProto.FLOAT:
            steps.append(("Cast", [], {"to": TensorProto.FLOAT}))
        if picture.layout:
            axis = CHANNEL_AXIS[picture.layout]
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

    def read(self, start: str, end: str, output: NetworkAnswer) -> Iterator[onnx.NodeProto]:
        """Make the nodes that turn the network's answer into the probability of one class."""
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
