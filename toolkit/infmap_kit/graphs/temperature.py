"""A trained network's temperature: read from its run folder, and put into its graph.

Dividing the logit by a temperature (Guo et al., On Calibration of Modern Neural Networks, ICML 2017, 4.2) makes
probabilities mean what they say. A logit's sign stays, and with it every mask at 0.5 and every detection.
"""

from __future__ import annotations

import copy
import math

import numpy as np
import onnx
from onnx import helper, numpy_helper

from infmap_kit.errors import ExportError
from infmap_kit.graphs.precision.fp16 import MOVING
from infmap_kit.model.run_folder import CALIBRATION, RunFolder


def read_temperature(run: RunFolder) -> float:
    """The temperature of a run; 1 when it was not calibrated.

    Raises
    ------
    ExportError
        When the calibration is another run's, was altered, or holds no temperature.
    """
    document = run.fitted(CALIBRATION)
    if document is None:
        return 1.0
    return checked_temperature(document.get("temperature"), str(run.path / CALIBRATION))


def checked_temperature(value: object, where: str) -> float:
    """A temperature out of a file.

    Raises
    ------
    ExportError
        When it is no number above 0.
    """
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if number and 0 < value < math.inf:  # type: ignore[operator]
        return float(value)  # type: ignore[arg-type]
    raise ExportError(
        f"expected a temperature above 0 in {where}, found {value!r}: calibrate again"
    )


def with_temperature(model: onnx.ModelProto, temperature: float) -> onnx.ModelProto:
    """A network's graph whose logit is divided by a temperature before its last sigmoid.

    Parameters
    ----------
    model
        Prepared by :func:`infmap_kit.graphs.preparation.prepare_segmentation`; stays as it is.
    temperature
        Above 0; with 1 the graph is the same.

    Raises
    ------
    ExportError
        When the graph does not end in a sigmoid.
    """
    calibrated = copy.deepcopy(model)
    if temperature == 1:
        return calibrated
    graph = calibrated.graph
    makers = {name: index for index, node in enumerate(graph.node) for name in node.output}
    index = makers.get(graph.output[0].name)
    while index is not None and graph.node[index].op_type in MOVING:
        index = makers.get(graph.node[index].input[0])
    if index is None or graph.node[index].op_type != "Sigmoid":
        raise ExportError(
            "expected a network that ends in a sigmoid, whose logit a temperature divides, found "
            f"{graph.node[index].op_type if index is not None else 'none'}: take {CALIBRATION} away, or "
            "convert the network again"
        )
    sigmoid = graph.node[index]
    divide = helper.make_node(
        "Div", [sigmoid.input[0], "temperature"], ["calibrated_logit"], name="calibration"
    )
    sigmoid.input[0] = divide.output[0]
    graph.initializer.append(
        numpy_helper.from_array(np.array(temperature, np.float32), "temperature")
    )
    graph.node.insert(index, divide)
    onnx.checker.check_model(calibrated)
    return calibrated
