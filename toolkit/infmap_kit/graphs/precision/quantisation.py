"""INT8: post-training quantisation of the segmentation for CPUs, by NNCF.

Weights and activations of convolutions become 8-bit integers, with ranges that the network shows on calibration
pictures. What comes out is OpenVINO's own format, since NNCF's ONNX path gave another network here (Dice
0.67 against the reference, where this one gives 0.99).
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from infmap_kit.errors import MissingDependency
from infmap_kit.graphs.precision.half_weights import with_plain_weights
from infmap_kit.graphs.precision.joins import split_joins


@dataclasses.dataclass(frozen=True, kw_only=True)
class Choice:
    """The part of a network that is quantised.

    Parameters
    ----------
    split
        Whether convolutions over joined features are split first (:mod:`infmap_kit.graphs.precision.joins`).
    first, last
        Numbers of the first and of the last convolutions that are not quantised.
    depthwise
        Whether depth-wise convolutions are quantised.
    """

    split: bool = False
    first: int = 0
    last: int = 0
    depthwise: bool = True

    def outer(self, names: Sequence[str]) -> tuple[str, ...]:
        """The names that stay, out of those of all convolutions from the input to the output."""
        end = max(len(names) - self.last, self.first)
        return (*names[: self.first], *names[end:])


CHOICES = (
    Choice(),
    Choice(split=True),
    Choice(split=True, first=3),
    Choice(split=True, first=3, depthwise=False),
    Choice(split=True, last=8),
    Choice(split=True, first=16, last=8),
    Choice(split=True, first=16, last=16),
)
"""Tried one by one until the gate is passed, the quickest first. On the demo model all that INT8 loses is
lost in one convolution, the last that joins features of the encoder: splitting it brings that back. Of the
edge network it is the first three: ImageNet's filters take differences of neighbouring pixels there, with
weights up to 89, and what these are rounded by is a good part of the difference (Dice 0.987 over 12
radiographs, 0.993 without)."""

_DEPTHWISE = "GroupConvolution"
_CONVOLUTIONS = ("Convolution", _DEPTHWISE, "ConvolutionBackpropData")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Quantised:
    """A quantised graph.

    Parameters
    ----------
    path
        OpenVINO's XML; the weights lie beside it, as ``.bin``.
    kept
        Names of the convolutions that were not quantised.
    split
        Number of convolutions over joined features that were split.
    calibration_pictures
        Number of pictures that set the ranges.
    """

    path: Path
    kept: tuple[str, ...]
    split: int
    calibration_pictures: int


def quantise(
    segmentation: onnx.ModelProto,
    path: Path,
    pictures: Sequence[tuple[str, NDArray[np.uint8]]],
    *,
    choice: Choice = CHOICES[0],
) -> Quantised:
    """Quantise a segmentation graph and write it.

    Parameters
    ----------
    segmentation
        The trained network; it stays as it is.
    path
        The XML to write.
    pictures
        Name and (224, 224) uint8 network input of what the ranges are taken from. A hundred radiographs of
        the host's own kind are better than a few.
    choice
        Part of the network to quantise.

    Raises
    ------
    MissingDependency
        When NNCF is not installed.
    """
    nncf = _nncf()
    import openvino

    plain, split = (
        split_joins(segmentation) if choice.split else (with_plain_weights(segmentation), 0)
    )
    model = openvino.Core().read_model(plain.SerializeToString(), b"")
    state_depthwise_weights(model)
    kept = choice.outer(_convolutions(model))
    if not choice.depthwise:
        kept = tuple(dict.fromkeys((*kept, *_convolutions(model, (_DEPTHWISE,)))))
    # Its progress bars would stand among the results on standard output.
    with contextlib.redirect_stdout(io.StringIO()):
        quantised = nncf.quantize(
            model,
            nncf.Dataset([picture[np.newaxis] for _, picture in pictures]),
            subset_size=len(pictures),
            ignored_scope=nncf.IgnoredScope(names=list(kept)) if kept else None,
            advanced_parameters=nncf.AdvancedQuantizationParameters(
                overflow_fix=_overflow_fix(nncf)
            ),
        )
    # What stays in FP32 stays so on disk too.
    openvino.save_model(quantised, path, compress_to_fp16=False)
    return Quantised(path=path, kept=kept, split=split, calibration_pictures=len(pictures))


def state_depthwise_weights(model: Any) -> int:
    """Write the weights of an OpenVINO model's depth-wise convolutions in the shape that these read them in.

    ONNX has them in four dimensions and OpenVINO in five, with a Reshape between. NNCF takes the axes of the
    four for those of the five, and gives each column of a filter a scale of its own, where the CPU has kernels
    for one scale a channel: it then computes such a convolution in FP32, and reorders what comes of it.

    Returns
    -------
    int
        How many were written anew.
    """
    import openvino

    count = 0
    for node in model.get_ordered_ops():
        if node.get_type_name() != _DEPTHWISE:
            continue
        reshape = node.input_value(1).get_node()
        if reshape.get_type_name() != "Reshape":
            continue
        stated = reshape.input_value(0).get_node()
        if stated.get_type_name() != "Constant":
            continue
        weights = stated.get_data().reshape(tuple(node.input_value(1).get_shape()))
        constant = openvino.op.Constant(np.ascontiguousarray(weights))
        constant.set_friendly_name(f"{node.get_friendly_name()}/weights")
        node.input(1).replace_source_output(constant.output(0))
        count += 1
    return count


def choices_for(segmentation: onnx.ModelProto) -> tuple[Choice, ...]:
    """The members of :data:`CHOICES` that differ for a graph: few have depth-wise convolutions."""
    groups = (
        attribute.i
        for node in segmentation.graph.node
        for attribute in node.attribute
        if node.op_type == "Conv" and attribute.name == "group"
    )
    has_depthwise = any(count > 1 for count in groups)
    return tuple(choice for choice in CHOICES if choice.depthwise or has_depthwise)


def _convolutions(model: Any, kinds: Sequence[str] = _CONVOLUTIONS) -> list[str]:
    """Names of the convolutions of an OpenVINO model, in its order."""
    return [
        node.get_friendly_name()
        for node in model.get_ordered_ops()
        if node.get_type_name() in kinds
    ]


def _overflow_fix(nncf: Any) -> Any:
    """NNCF's setting against overflow: without VNNI, sums of 8-bit products overflow at 8-bit weights."""
    try:
        vnni = "vnni" in Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        vnni = False
    return nncf.OverflowFix.DISABLE if vnni else nncf.OverflowFix.ENABLE


def _nncf() -> Any:
    try:
        import nncf
    except ImportError as error:
        raise MissingDependency(
            "precision int8 needs NNCF, which is not installed: pip install 'infmap-kit[int8]'"
        ) from error
    # Not by its set_log_level, which changes each handler of that logger too, also those of others.
    logging.getLogger("nncf").setLevel(logging.ERROR)
    return nncf
