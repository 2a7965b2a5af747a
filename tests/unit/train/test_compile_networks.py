"""All 24 networks compile for two GPU generations, in FP16, with random weights.

Freezing changes no graph, and CheXNet is DenseNet-121 with other weights: the 24 are nine graphs. That is shown
here for each of the 24, and each of the nine is converted and compiled once.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
pytest.importorskip("tensorrt_rtx_bindings", reason="needs infmap-kit[compile]")

from infmap_kit.export.compile_gate import GateOptions, compile_graphs, graphs_at, require_passed
from infmap_kit.spec import Architecture, Encoder, NetworkSpec
from infmap_train.networks import build_network
from infmap_train.normalisation import SCALE_AND_OFFSET
from infmap_train.onnx_from_keras import onnx_from_keras

pytestmark = pytest.mark.train

SAME_GRAPH = (
    (Encoder.DENSENET_121, Encoder.CHEXNET),
    (Encoder.INCEPTION_V3,),
    (Encoder.RESNET_50,),
)


def _graph(network: Any) -> list[Any]:
    """A Keras network's layers and how they hang together, without names and what is trainable."""
    layers = network.get_config()["layers"]
    numbers = {layer["name"]: number for number, layer in enumerate(layers)}

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: plain(v) for k, v in value.items() if k not in ("name", "trainable")}
        if isinstance(value, list | tuple):
            return [plain(item) for item in value]
        return numbers.get(value, value) if isinstance(value, str) else value

    return [(layer["class_name"], plain(layer)) for layer in layers]


@pytest.mark.parametrize("encoders", SAME_GRAPH, ids=lambda encoders: " ".join(encoders))
@pytest.mark.parametrize("architecture", Architecture)
def test_compiles_for_turing_and_ampere(
    architecture: Architecture, encoders: tuple[Encoder, ...], tmp_path: Path
) -> None:
    specs = [
        NetworkSpec(architecture=architecture, encoder=encoder, encoder_frozen=frozen)
        for encoder, frozen in itertools.product(encoders, (False, True))
    ]
    assert len({SCALE_AND_OFFSET[encoder] for encoder in encoders}) == 1
    network = build_network(specs[0])
    wanted = _graph(network)
    for spec in specs[1:]:
        assert _graph(build_network(spec)) == wanted
    path = tmp_path / "segmentation.onnx"
    onnx_from_keras(network, specs[0].encoder, path)
    segmentation = {"segmentation": graphs_at(path)["segmentation"]}
    results = compile_graphs(segmentation, GateOptions(gpus=("sm75", "sm86")))
    require_passed(results)
    assert [(result.generation, result.fp16_share) for result in results] == [
        ("SM75", 1.0),
        ("SM86", 1.0),
    ]


def test_these_are_all_networks() -> None:
    encoders = list(itertools.chain(*SAME_GRAPH))
    assert sorted(encoders) == sorted(Encoder)
    assert len(Architecture) * len(encoders) * 2 == 24
