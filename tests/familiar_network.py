"""A small network with an encoder, and a run folder of it whose familiarity is of synthetic radiographs."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
from numpy.typing import NDArray
from onnx import numpy_helper

from infmap_kit.gate.engines import OnnxRuntimeEngine
from infmap_kit.graphs.familiarity import (
    Gaussian,
    deepest_features,
    familiarity_graph,
    with_features,
)
from infmap_kit.graphs.preparation import prepare_segmentation
from infmap_kit.imaging.network_input import network_input
from infmap_kit.imaging.synthetic.drawing import synthetic_radiograph
from infmap_kit.model.files import sha256_of
from infmap_kit.model.run_folder import FAMILIARITY, FAMILIARITY_GRAPH
from small_network import small_run

CHANNELS = 12

_TEXT = """
<ir_version: 9, opset_import: ["" : 18]>
familiar (uint8[N, 224, 224] IMAGE) => (float[N, 224, 224] PROBABILITY)
<int64[1] channel = {1}, float white = {255.0}, float[4] four = {1.0, 1.0, 4.0, 4.0}>
{
    gray = Cast <to = 1> (IMAGE)
    share = Div (gray, white)
    planes = Unsqueeze (share, channel)
    seen = Conv <pads = [2, 2, 2, 2], strides = [4, 4]> (planes, filters)
    encoded = Relu (seen)
    larger = Resize <mode = "nearest", coordinate_transformation_mode = "asymmetric",
        nearest_mode = "floor"> (encoded, , four)
    logit = Conv (larger, gathering, bias)
    odds = Sigmoid (logit)
    PROBABILITY = Squeeze (odds, channel)
}
"""


def familiar_network() -> onnx.ModelProto:
    """Twelve filters of which the first is a blur, whose brightness is the infection's logit."""
    model = onnx.parser.parse_model(_TEXT)
    filters = np.random.default_rng(3).normal(0, 0.2, (CHANNELS, 1, 5, 5)).astype(np.float32)
    filters[0] = 1 / 25
    gathering = np.zeros((1, CHANNELS, 1, 1), np.float32)
    gathering[0, 0] = 18
    for name, values in (
        ("filters", filters),
        ("gathering", gathering),
        ("bias", np.array([-9.0], np.float32)),
    ):
        model.graph.initializer.append(numpy_helper.from_array(values, name))
    return model


def chests(count: int, *, first: int = 100) -> NDArray[np.uint8]:
    """Network inputs of synthetic radiographs, (count, 224, 224) uint8."""
    drawn = (synthetic_radiograph(first + n, height=256, width=256) for n in range(count))
    return np.stack([network_input(one.radiograph.pixels) for one in drawn])


def noise(seed: int = 0) -> NDArray[np.uint8]:
    """A picture like nothing in particular, (224, 224) uint8."""
    return np.random.default_rng(seed).integers(0, 256, (224, 224)).astype(np.uint8)


@functools.cache
def _fitted() -> tuple[bytes, str]:
    """The graph of the familiarity, and the tensor of its features."""
    network = prepare_segmentation(familiar_network())
    tensor = deepest_features(network)
    engine = OnnxRuntimeEngine(with_features(network, tensor).SerializeToString())
    features = engine.run({"IMAGE": chests(24)}, ["features"])["features"]
    gaussian = Gaussian.fit(features, 6)
    # Twice as far as any of them: a test's pictures lie well on either side.
    threshold = 2 * float(gaussian.distance(features).max())
    return familiarity_graph(gaussian, threshold).SerializeToString(), tensor


def familiar_run(folder: Path, **document: object) -> Path:
    """A run folder as training leaves it, with a familiarity; ``document`` changes what its JSON says."""
    graph, tensor = _fitted()
    run = small_run(folder, familiar_network())
    (run / FAMILIARITY_GRAPH).write_bytes(graph)
    stated = {
        "tensor": tensor,
        "graph_sha256": sha256_of(run / FAMILIARITY_GRAPH),
        "spec_version": "7",
    }
    (run / FAMILIARITY).write_text(json.dumps({**stated, **document}))
    return run
