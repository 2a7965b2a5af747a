"""What else is compiled: the classifiers, in FP16 for two GPU generations, and a stranger's graph."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
pytest.importorskip("tensorrt_rtx_bindings", reason="needs infmap-kit[compile]")

import onnx
import onnxruntime
import tf2onnx

from infmap_kit.errors import GateFailed
from infmap_kit.imaging.network_input import network_input
from infmap_kit.imaging.synthetic.drawing import synthetic_radiograph
from infmap_kit.model.spec import ClassifierSpec, Encoder
from infmap_kit.release.compilation import GateOptions, compile_graphs, graphs_at, require_passed
from infmap_train.networks.classifiers import build_classifier
from infmap_train.networks.gradcam import explain
from infmap_train.networks.onnx_from_keras import onnx_from_classifier
from infmap_train.networks.untrained import settle_batch_norms

pytestmark = [pytest.mark.train, pytest.mark.slow]
keras = tf.keras


def _compiles(graph: onnx.ModelProto) -> None:
    results = compile_graphs({"segmentation": graph}, GateOptions(gpus=("sm75", "sm86")))
    require_passed(results)
    assert [result.fp16_share for result in results] == [1.0, 1.0]


def test_a_trained_classifier_compiles_for_turing_and_ampere(classifier_run: Path) -> None:
    """ResNet-50's, whose last maps are of 7x7 as DenseNet-121's; that it says the same, its own test shows."""
    _compiles(onnx.load(classifier_run / "classifier.onnx"))


def test_maps_of_5x5_compile_for_turing_and_ampere_and_say_the_same(tmp_path: Path) -> None:
    """Those of Inception-v3, the one encoder that does not halve the picture evenly."""
    encoder = Encoder.INCEPTION_V3
    keras.utils.set_random_seed(0)
    classifier = build_classifier(ClassifierSpec(encoder=encoder))
    settle_batch_norms(classifier, encoder)
    path = tmp_path / "classifier.onnx"
    onnx_from_classifier(classifier, encoder, path)
    graph = onnx.load(path)
    images = np.stack(
        [network_input(synthetic_radiograph(seed).radiograph.pixels) for seed in range(10, 14)]
    )
    wanted = [np.asarray(answer) for answer in explain(classifier, images, encoder)]
    assert np.ptp(wanted[1]) > 0.5
    # In FP32, in which it is served. An untrained network's map is scaled up to its own small peak, and
    # rounding with it: to 1.3e-4.
    session = onnxruntime.InferenceSession(graph.SerializeToString())
    for answer, reference in zip(session.run(None, {"IMAGE": images}), wanted, strict=True):
        assert np.abs(answer - reference).max() < 2e-4
    _compiles(graph)


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
