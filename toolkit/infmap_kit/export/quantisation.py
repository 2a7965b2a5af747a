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
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from infmap_kit.errors import MissingDependency
from infmap_kit.export.precision import with_plain_weights

KEPT_LAYERS = ((0, 0), (0, 8), (16, 8), (16, 16))
"""How many of the first and of the last convolutions are not quantised, tried one by one until
the gate is passed. On the demo model the last eight are worth most, then the first; what lies between
does hardly anything."""

_CONVOLUTIONS = ("Convolution", "GroupConvolution", "ConvolutionBackpropData")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Quantised:
    """A quantised graph.

    Parameters
    ----------
    path
        OpenVINO's XML; the weights lie beside it, as ``.bin``.
    kept
        Names of the convolutions that were not quantised.
    calibration_pictures
        How many pictures set the ranges.
    """

    path: Path
    kept: tuple[str, ...]
    calibration_pictures: int


def quantise(
    segmentation: onnx.ModelProto,
    path: Path,
    pictures: Sequence[tuple[str, NDArray[np.uint8]]],
    *,
    kept_layers: tuple[int, int] = (0, 0),
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
        the box's own kind are better than a few.
    kept_layers
        How many of the first and of the last convolutions are not quantised.

    Raises
    ------
    MissingDependency
        When NNCF is not installed.
    """
    nncf = _nncf()
    import openvino

    model = openvino.Core().read_model(with_plain_weights(segmentation).SerializeToString(), b"")
    kept = outer_convolutions(model, *kept_layers)
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
    return Quantised(path=path, kept=kept, calibration_pictures=len(pictures))


def outer_convolutions(model: Any, first: int, last: int) -> tuple[str, ...]:
    """Names of the convolutions nearest to input and output of an OpenVINO model, in its order."""
    names = [
        node.get_friendly_name()
        for node in model.get_ordered_ops()
        if node.get_type_name() in _CONVOLUTIONS
    ]
    end = max(len(names) - last, first)
    return (*names[:first], *names[end:])


def _overflow_fix(nncf: Any) -> Any:
    """Without VNNI, sums of 8-bit products overflow unless weights keep to 7 bits; with it, none do."""
    try:
        vnni = "vnni" in Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        vnni = False
    kind = nncf.OverflowFix
    return kind.DISABLE if vnni else kind.ENABLE


def _nncf() -> Any:
    # NNCF tells Intel of its use unless it takes itself for a test; a hospital's box tells nobody.
    os.environ.setdefault("NNCF_CI", "1")
    try:
        import nncf
    except ImportError as error:
        raise MissingDependency(
            "precision int8 needs NNCF, which is not installed: pip install 'infmap-kit[int8]'"
        ) from error
    nncf.set_log_level(logging.ERROR)
    return nncf
