"""All 24 networks compile for two GPU generations, in FP16, with random weights.

Freezing changes no graph, and CheXNet is DenseNet-121 with other weights: the 24 are nine graphs. That is shown
here for each of the 24, and each of the nine is converted and compiled once.
"""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

tf = pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
pytest.importorskip("tensorrt_rtx_bindings", reason="needs infmap-kit[compile]")

import onnxruntime
import tf2onnx

from infmap_kit.errors import GateFailed
from infmap_kit.export.compile_gate import GateOptions, compile_graphs, graphs_at, require_passed
from infmap_kit.spec import Architecture, Encoder, NetworkSpec
from infmap_train.networks import build_network
from infmap_train.normalisation import SCALE_AND_OFFSET
from infmap_train.onnx_from_keras import onnx_from_keras

pytestmark = [pytest.mark.train, pytest.mark.slow]
keras = tf.keras

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


def test_tf2onnxs_own_graph_is_refused_and_the_prepared_one_is_the_same_to_the_bit(
    tmp_path: Path,
) -> None:
    """Straight from tf2onnx, as whoever converts without infmap-train has it."""
    pixels = keras.Input((224, 224, 3))
    x = keras.layers.Conv2D(4, 3, strides=2, padding="same", activation="relu")(pixels)
    x = keras.layers.UpSampling2D(2, name="decoder_up")(x)
    network = keras.Model(
        pixels, keras.layers.Conv2D(1, 3, padding="same", activation="sigmoid")(x)
    )
    signature = [tf.TensorSpec((None, 224, 224), tf.uint8, name="IMAGE")]

    @tf.function(input_signature=signature)  # type: ignore[untyped-decorator]
    def segment(image: Any) -> Any:
        gray = tf.cast(image, tf.float32)[..., tf.newaxis] / 255
        return network(tf.repeat(gray, 3, axis=-1))[..., 0]

    graph, _ = tf2onnx.convert.from_function(segment, input_signature=signature, opset=18)
    (resize,) = (node for node in graph.graph.node if node.op_type == "Resize")
    options = GateOptions(gpus=("sm75",))
    (refused,) = compile_graphs({"segmentation": graph}, options)
    with pytest.raises(GateFailed, match=re.escape(f"{resize.name!r} (Resize)")):
        require_passed((refused,))
    onnx.save(graph, tmp_path / "segmentation.onnx")
    prepared = graphs_at(tmp_path / "segmentation.onnx")["segmentation"]
    require_passed(compile_graphs({"segmentation": prepared}, options))
    images = np.random.default_rng(0).integers(0, 256, (3, 224, 224), np.uint8)
    results = [
        onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"IMAGE": images})[0]
        for model in (graph, prepared)
    ]
    np.testing.assert_array_equal(results[0], results[1])


def test_these_are_all_networks() -> None:
    encoders = list(itertools.chain(*SAME_GRAPH))
    assert sorted(encoders) == sorted(Encoder)
    assert len(Architecture) * len(encoders) * 2 == 24
