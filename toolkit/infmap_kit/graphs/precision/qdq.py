"""INT8 for GPUs: explicit Q/DQ nodes in the ONNX graph, by ONNX Runtime's own quantiser.

A pair of QuantizeLinear and DequantizeLinear stands before a convolution, at its input and at its weights,
and nowhere else: TensorRT joins them with the convolution to one in 8-bit integers. All is symmetric, since
TensorRT demands zero points of 0; weights have a range for each output channel, activations one for the tensor.
Biases, which TensorRT refuses as integers, and all that is not quantised stay in FP32, and a strongly typed
TensorRT network computes them so.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from infmap_kit.errors import ExportError, MissingDependency
from infmap_kit.graphs.precision.fp16 import PRODUCTS, named_nodes
from infmap_kit.graphs.precision.int8_record import Int8Record
from infmap_kit.graphs.precision.quantisation import Choice
from infmap_kit.model.precision import Precision

CHOICES = (
    Choice(first=1),
    Choice(first=3),
    Choice(first=1, last=8),
    Choice(first=16, last=8),
    Choice(first=16, last=16),
)
"""Tried one by one until the gate is passed. The first convolution always stays: it reads the picture itself,
and is a fiftieth of the work of U-Net with DenseNet-121. Joins are not split as for CPUs: with pairs only at
what convolutions read, that cost Dice (0.992 for 0.994 on the demo model, over 24 radiographs)."""

REASON = (
    "the first convolution reads the picture itself and is little of the work; others stay where the gate is "
    "not passed without them"
)
"""Why convolutions are kept, for the manifest."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class QdqGraph:
    """A graph with explicit Q/DQ nodes.

    Parameters
    ----------
    model
        The graph. Its inputs and outputs have the types they had.
    kept
        Names of the convolutions that were not quantised.
    quantised
        Number of those that were.
    calibration_pictures
        Number of pictures that set the ranges.
    """

    model: onnx.ModelProto
    kept: tuple[str, ...]
    quantised: int
    calibration_pictures: int

    @property
    def kept_products(self) -> int:
        """Number of the convolutions and matrix products that compute in FP32."""
        return sum(n.op_type in PRODUCTS for n in self.model.graph.node) - self.quantised

    def record(self) -> Int8Record:
        """The record of the quantisation for the manifest."""
        return Int8Record(
            kept=self.kept,
            kept_because=REASON,
            quantised=self.quantised,
            rest=str(Precision.FP32),
            calibration_pictures=self.calibration_pictures,
        )


def qdq_graph(
    segmentation: onnx.ModelProto,
    pictures: Sequence[tuple[str, NDArray[np.uint8]]],
    *,
    choice: Choice = CHOICES[0],
) -> QdqGraph:
    """Give convolutions of a segmentation graph 8-bit inputs and weights, by explicit Q/DQ nodes.

    Parameters
    ----------
    segmentation
        The trained network in FP32; it stays as it is.
    pictures
        Name and (224, 224) uint8 network input of what the ranges are taken from, by the least and the largest
        value of each tensor.
    choice
        Convolutions that stay in FP32; no join is split.

    Raises
    ------
    ExportError
        When no convolution is left to quantise, or ONNX Runtime does not quantise the graph.
    MissingDependency
        When ONNX Runtime, whose quantiser it is, is not installed.
    """
    try:
        from onnxruntime import quantization as ort
        from onnxruntime.quantization.quant_utils import add_pre_process_metadata
    except ImportError as error:
        raise MissingDependency(
            "Q/DQ graphs are made with ONNX Runtime's quantiser: pip install 'infmap-kit[export]'"
        ) from error
    plain = named_nodes(segmentation)
    convolutions = [node.name for node in plain.graph.node if node.op_type == "Conv"]
    kept = choice.outer(convolutions)
    if len(kept) == len(convolutions):
        raise ExportError(
            f"none of {len(convolutions)} convolutions would be INT8, with the first {choice.first} and the "
            f"last {choice.last} in FP32: export with --precision fp16"
        )
    # The graph is prepared; without this the quantiser advises to do it, on standard error.
    add_pre_process_metadata(plain)
    with tempfile.TemporaryDirectory(prefix="infmap-kit-") as folder:
        path = Path(folder, "qdq.onnx")
        try:
            ort.quantize_static(
                plain,
                path,
                _reader(ort, plain.graph.input[0].name, pictures),
                quant_format=ort.QuantFormat.QDQ,
                op_types_to_quantize=["Conv"],
                nodes_to_exclude=list(kept),
                per_channel=True,
                activation_type=ort.QuantType.QInt8,
                weight_type=ort.QuantType.QInt8,
                extra_options={
                    "ActivationSymmetric": True,
                    "WeightSymmetric": True,
                    "AddQDQPairToWeight": True,
                    "QuantizeBias": False,
                    # What a convolution gives is quantised where the next one reads it, behind ReLU and joins.
                    "OpTypesToExcludeOutputQuantization": ["Conv"],
                },
            )
            model = onnx.load(path)
        # The quantiser has no errors of its own.
        except Exception as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise ExportError(f"ONNX Runtime cannot quantise the graph: {reason:.300}") from error
    del model.metadata_props[:]
    onnx.checker.check_model(model)
    return QdqGraph(
        model=model,
        kept=kept,
        quantised=len(convolutions) - len(kept),
        calibration_pictures=len(pictures),
    )


def _reader(ort: Any, tensor: str, pictures: Sequence[tuple[str, NDArray[np.uint8]]]) -> Any:
    """The pictures, one by one, as the quantiser asks for them."""
    feeds = iter([{tensor: picture[np.newaxis]} for _, picture in pictures])

    class Reader(ort.CalibrationDataReader):  # type: ignore[misc]  # known at run time only
        def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
            return next(feeds, None)

    return Reader()
