"""The four classifiers, converted, and compiled for two GPU generations in FP16."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
pytest.importorskip("tensorrt_rtx_bindings", reason="needs infmap-kit[compile]")

import onnx
import onnxruntime

from infmap_kit.export.compile_gate import GateOptions, compile_graphs, require_passed
from infmap_kit.imaging.network_input import network_input
from infmap_kit.imaging.synthetic import synthetic_radiograph
from infmap_kit.spec import ClassifierSpec, Encoder
from infmap_train.classifiers import build_classifier
from infmap_train.gradcam import explain
from infmap_train.onnx_from_keras import onnx_from_classifier
from infmap_train.untrained import settle_batch_norms

pytestmark = [pytest.mark.train, pytest.mark.slow]


@pytest.mark.parametrize("encoder", Encoder)
def test_compiles_for_turing_and_ampere_and_says_the_same(encoder: Encoder, tmp_path: Path) -> None:
    tf.keras.utils.set_random_seed(0)
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
    # rounding with it: to 1.3e-4 on Inception-v3, and in FP16 to 0.021 on ResNet-50.
    session = onnxruntime.InferenceSession(graph.SerializeToString())
    for answer, reference in zip(session.run(None, {"IMAGE": images}), wanted, strict=True):
        assert np.abs(answer - reference).max() < 2e-4
    results = compile_graphs({"segmentation": graph}, GateOptions(gpus=("sm75", "sm86")))
    require_passed(results)
    assert [result.fp16_share for result in results] == [1.0, 1.0]
