"""INT8: post-training quantisation of the segmentation for CPUs, by NNCF.

Weights and activations of convolutions become 8-bit integers, with ranges that the network shows on calibration
pictures. The picture before the first of them, sums of features and interpolations stay as they are, which
costs no time. What comes out is OpenVINO's own format, since NNCF's ONNX path gave another network here (Dice
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
    corrected
        Whether the mean that rounding adds to each quantised convolution's output is taken off its bias, one
        after the other from the input on (NNCF's slower bias correction).
    """

    split: bool = False
    first: int = 0
    last: int = 0
    corrected: bool = False

    def outer(self, names: Sequence[str]) -> tuple[str, ...]:
        """The names that stay, out of those of all convolutions from the input to the output."""
        end = max(len(names) - self.last, self.first)
        return (*names[: self.first], *names[end:])


CHOICES = (
    Choice(),
    Choice(split=True),
    Choice(split=True, first=3, corrected=True),
    Choice(split=True, first=6, corrected=True),
    Choice(split=True, first=12, corrected=True),
    Choice(split=True, last=8),
    Choice(split=True, first=16, last=8),
    Choice(split=True, first=16, last=16),
)
"""Tried one by one until the gate is passed, the quickest first. Of U-Net with DenseNet-121 all that INT8
loses is lost in one convolution, the last that joins features of the encoder: splitting it brings that back.
The edge network loses most in its first six convolutions: ImageNet's filters take differences of neighbouring
pixels there, with weights up to 89. The rest is spread over all others, and half of it is a mean that a bias
can carry (Dice over 60 radiographs: 0.981 with the first three in FP32, 0.989 with their means corrected as
well, 0.994 with the first six in FP32)."""

_DEPTHWISE = "GroupConvolution"
_CONVOLUTIONS = ("Convolution", _DEPTHWISE, "ConvolutionBackpropData")
_SOURCES = ("Constant", "Parameter")


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
    state_weights(model)
    kept = choice.outer(_convolutions(model))
    # Its progress bars would stand among the results on standard output.
    with contextlib.redirect_stdout(io.StringIO()):
        quantised = nncf.quantize(
            model,
            nncf.Dataset([picture[np.newaxis] for _, picture in pictures]),
            subset_size=len(pictures),
            ignored_scope=nncf.IgnoredScope(names=[*kept, *_between(model)]),
            fast_bias_correction=False,
            advanced_parameters=nncf.AdvancedQuantizationParameters(
                overflow_fix=_overflow_fix(nncf),
                disable_bias_correction=not choice.corrected,
            ),
        )
    # What stays in FP32 stays so on disk too.
    openvino.save_model(quantised, path, compress_to_fp16=False)
    return Quantised(path=path, kept=kept, split=split, calibration_pictures=len(pictures))


def state_weights(model: Any) -> int:
    """Write depth-wise weights and biases of an OpenVINO model in the shape that their operators read them in.

    From ONNX there is a Reshape between. NNCF takes the four axes of depth-wise weights for the five that they
    are read in, and gives each column of a filter a scale of its own, where the CPU has kernels for one scale a
    channel: it then computes such a convolution in FP32, and reorders what comes of it. Biases behind a Reshape
    it does not find, and corrects none.

    Returns
    -------
    int
        How many were written anew.
    """
    import openvino

    count = 0
    for node in model.get_ordered_ops():
        if node.get_type_name() not in (_DEPTHWISE, "Add"):
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
    """The members of :data:`CHOICES` for a graph: only with depth-wise convolutions are means corrected.

    NNCF keeps the features of all convolutions for that, more than 14 GB of U-Net with DenseNet-121;
    networks with depth-wise convolutions are the small ones, and need it most.
    """
    groups = (
        attribute.i
        for node in segmentation.graph.node
        for attribute in node.attribute
        if node.op_type == "Conv" and attribute.name == "group"
    )
    has_depthwise = any(count > 1 for count in groups)
    return tuple(choice for choice in CHOICES if has_depthwise or not choice.corrected)


def _convolutions(model: Any) -> list[str]:
    """Names of the convolutions of an OpenVINO model, in its order."""
    return [
        node.get_friendly_name()
        for node in model.get_ordered_ops()
        if node.get_type_name() in _CONVOLUTIONS
    ]


def _between(model: Any) -> list[str]:
    """Names of what NNCF would quantise for the convolutions' sake, at a loss and for no time.

    The picture's way to the first convolution: it has 8 bits already, which other steps than its own would
    blur. And what adds or interpolates features, whose ranges are wider than those of either convolution.
    """
    nodes = model.get_ordered_ops()
    first = next((node for node in nodes if node.get_type_name() in _CONVOLUTIONS), None)
    waiting = [first.input_value(0).get_node()] if first is not None else []
    names: dict[str, None] = {}
    while waiting:
        node = waiting.pop()
        if node.get_type_name() not in _SOURCES and node.get_friendly_name() not in names:
            names[node.get_friendly_name()] = None
            waiting.extend(value.get_node() for value in node.input_values())
    for node in nodes:
        kind = node.get_type_name()
        made_of = [value.get_node().get_type_name() for value in node.input_values()]
        if kind == "Interpolate" or (kind == "Add" and "Constant" not in made_of):
            names[node.get_friendly_name()] = None
    return list(names)


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
