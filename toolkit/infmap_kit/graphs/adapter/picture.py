"""The input of another framework's network: layout, channels, type and size of its pictures."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import onnx
from onnx import TensorProto, helper

from infmap_kit.errors import ExportError
from infmap_kit.model.adapter import LAYOUTS, ModelAdapter
from infmap_kit.model.spec import LARGEST_IMAGE_SIZE

NCHW, NHWC = LAYOUTS
CHANNEL_AXIS = {NCHW: 1, NHWC: 3}
_GRAY_AND_COLOUR = (1, 3)


@dataclasses.dataclass(frozen=True, kw_only=True)
class NetworkPicture:
    """The input of a network: layout (empty without an axis of channels), channels, type and size."""

    layout: str
    channels: int
    element: int
    size: int
    was_open: bool

    @property
    def is_contract(self) -> bool:
        """Whether the network takes gray pictures of 0 to 255, as the contract has them."""
        return not self.layout

    @classmethod
    def of(cls, source: onnx.ValueInfoProto, adapter: ModelAdapter) -> NetworkPicture:
        """The input as the graph declares it, completed by the adapter's options.

        Raises
        ------
        ExportError
            When the input takes no pictures, or the adapter contradicts it or leaves something open.
        """
        tensor = source.type.tensor_type
        shape = [dim.dim_value for dim in tensor.shape.dim]
        found = f"{element_name(tensor.elem_type)} {shown_shape(source)} ({source.name!r:.60})"
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
        channels = shape[CHANNEL_AXIS[layout]] if layout else 1
        height, width = [
            side for axis, side in enumerate(shape) if axis and axis != channel_axis(layout)
        ]
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
            sides.insert(CHANNEL_AXIS[self.layout], self.channels)
        return sides

    def record(self, adapter: ModelAdapter) -> dict[str, Any]:
        """Return the manifest's record of it; empty where it is the contract's."""
        if self.is_contract:
            return {}
        stated = {name: value for name, value in adapter.feeds.items() if name != "layout"}
        return {"layout": self.layout, "channels": self.channels, **stated}


def channel_axis(layout: str) -> int | None:
    """The axis of channels in a layout; ``None`` for a layout without one."""
    return CHANNEL_AXIS.get(layout)


def _layout(shape: Sequence[int], asked: str | None, found: str) -> str:
    """The layout that a shape of four axes shows, or that was asked for where it shows none."""
    fitting = [name for name, axis in CHANNEL_AXIS.items() if shape[axis] in _GRAY_AND_COLOUR]
    if asked is not None and asked not in fitting:
        stated = shape[CHANNEL_AXIS[asked]]
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


def shown_shape(value: onnx.ValueInfoProto) -> str:
    """A shape for a message, as ``(N, 3, 224, 224)``."""
    sides = (dim.dim_value or dim.dim_param or "?" for dim in value.type.tensor_type.shape.dim)
    return f"({', '.join(f'{side!s:.20}' for side in sides)})"


def element_name(element: int) -> str:
    """NumPy's name of an ONNX element type, as ``float32``."""
    return helper.tensor_dtype_to_np_dtype(element).name if element else "nothing"
