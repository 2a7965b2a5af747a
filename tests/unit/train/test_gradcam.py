"""Grad-CAM against gradients by hand, finite differences, and the map that needs no gradients."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

tf = pytest.importorskip("tensorflow", reason="TensorFlow is not installed")

import onnx
import onnxruntime

from infmap_kit.model.spec import ClassifierSpec, Encoder
from infmap_train import run_folder
from infmap_train.networks.classifiers import COVID, build_classifier, covid_weights, opened
from infmap_train.networks.gradcam import as_picture, class_activation, explain, grad_cam
from infmap_train.networks.normalisation import normalise
from infmap_train.networks.untrained import settle_batch_norms

pytestmark = pytest.mark.train
keras = tf.keras
RESNET = ClassifierSpec(encoder=Encoder.RESNET_50)


def _images(seed: int, count: int) -> np.ndarray:
    """Smooth ones: an untrained network answers noise with thousands."""
    coarse = np.random.default_rng(seed).integers(0, 256, (count, 12, 12), np.uint8)
    return np.stack([cv2.resize(c, (224, 224), interpolation=cv2.INTER_CUBIC) for c in coarse])


def _pixels(count: int, size: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.normal(size=(count, size, size, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def classifier() -> Any:
    keras.utils.set_random_seed(1)
    model = build_classifier(RESNET)
    settle_batch_norms(model, RESNET.encoder)
    # Once more with the kind of pictures that it is asked about here, or rounding is magnified.
    model(normalise(_images(9, 4), RESNET.encoder), training=True)
    return model


def test_grad_cam_is_the_gradient_by_hand(classifier: Any) -> None:
    """m = b + sum_k w_k mean(A^k), so dm/dA^k_ij = w_k / Z, and eq. 14 and 15 follow in NumPy."""
    inside = opened(classifier)
    images = _images(0, 2)
    pixels = normalise(images, RESNET.encoder)
    features, scores, shares = (np.asarray(t, np.float64) for t in inside(pixels, training=False))
    kernel, bias = (w.astype(np.float64) for w in classifier.layers[-2].get_weights())
    # What is taken for the last feature maps, and for the score before the softmax, is just that.
    np.testing.assert_allclose(features.mean(axis=(1, 2)) @ kernel + bias, scores, rtol=1e-4)
    odds = np.exp(scores - scores.max(axis=1, keepdims=True))
    np.testing.assert_allclose(odds / odds.sum(axis=1, keepdims=True), shares, atol=1e-5)
    height, width = features.shape[1:3]
    for of_class in (0, COVID):
        gradient = np.broadcast_to(kernel[:, of_class] / (height * width), features.shape)
        alpha = gradient.sum(axis=(1, 2)) / (height * width)
        wanted = np.maximum(np.einsum("nk,nijk->nij", alpha, features), 0)
        found = grad_cam(inside, pixels, of_class=of_class).numpy()
        assert wanted.max() > 0
        np.testing.assert_allclose(found, wanted, atol=1e-5 * wanted.max())


def test_grad_cam_is_what_finite_differences_say() -> None:
    """A head that is not linear in the features: there the gradients have work to do."""
    keras.utils.set_random_seed(2)
    pixels = keras.Input((6, 6, 3))
    features = keras.layers.Conv2D(4, 3, activation="tanh", dtype="float64")(pixels)
    pooled = keras.layers.GlobalAveragePooling2D(dtype="float64")(features)
    hidden = keras.layers.Dense(5, activation="tanh", dtype="float64")(pooled)
    scores = keras.layers.Dense(2, dtype="float64")(hidden)
    model = keras.Model(pixels, [features, scores])
    head = keras.Model(features, scores)
    picture = tf.constant(_pixels(1, 6), tf.float64)
    maps = model(picture)[0].numpy()
    step, gradient = 1e-5, np.empty_like(maps)
    for place in np.ndindex(maps.shape):
        moved = [maps.copy(), maps.copy()]
        moved[0][place] += step
        moved[1][place] -= step
        up, down = (float(head(tf.constant(one))[0, COVID]) for one in moved)
        gradient[place] = (up - down) / (2 * step)
    alpha = gradient.mean(axis=(1, 2))
    wanted = np.maximum(np.einsum("nk,nijk->nij", alpha, maps), 0)
    assert wanted.max() > 1e-3
    np.testing.assert_allclose(grad_cam(model, picture).numpy(), wanted, atol=1e-5)


def test_a_frozen_classifier_has_gradients_too(classifier: Any) -> None:
    pixels = normalise(np.full((1, 224, 224), 90, np.uint8), RESNET.encoder)
    before = grad_cam(opened(classifier), pixels).numpy()
    classifier.trainable = False
    try:
        np.testing.assert_array_equal(grad_cam(opened(classifier), pixels).numpy(), before)
    finally:
        classifier.trainable = True


def test_the_map_without_gradients_is_grad_cam_times_its_pixels(classifier: Any) -> None:
    inside = opened(classifier)
    pixels = normalise(_images(4, 3), RESNET.encoder)
    features, *_ = inside(pixels, training=False)
    plain = class_activation(features, covid_weights(classifier)).numpy()
    gradients = grad_cam(inside, pixels).numpy()
    pixels_of_a_map = features.shape[1] * features.shape[2]
    np.testing.assert_allclose(plain, gradients * pixels_of_a_map, atol=1e-5 * plain.max())
    # Relative to their peaks, as both are shown, nothing is left of the factor.
    np.testing.assert_allclose(as_picture(plain), as_picture(gradients), atol=1e-5)


def test_a_map_is_relative_to_its_peak_and_brought_to_size_as_opencv_does() -> None:
    activation = np.random.default_rng(0).random((1, 7, 7)).astype(np.float32) * 30
    wanted = cv2.resize(activation[0] / activation.max(), (224, 224))
    np.testing.assert_allclose(as_picture(activation)[0], wanted, atol=1e-6)
    assert not np.asarray(as_picture(np.zeros((1, 7, 7), np.float32))).any()


def test_the_onnx_graph_says_the_same(classifier_run: Path) -> None:
    """Of a classifier that was trained."""
    graph = onnx.load(classifier_run / "classifier.onnx")
    described = [
        (
            tensor.name,
            tensor.type.tensor_type.elem_type,
            [d.dim_param or d.dim_value for d in tensor.type.tensor_type.shape.dim],
        )
        for tensor in (*graph.graph.input, *graph.graph.output)
    ]
    assert described == [
        ("IMAGE", onnx.TensorProto.UINT8, ["N", 224, 224]),
        ("CLASSIFIER_PROBABILITY", onnx.TensorProto.FLOAT, ["N"]),
        ("ACTIVATION_MAP", onnx.TensorProto.FLOAT, ["N", 224, 224]),
    ]
    images = _images(5, 3)
    session = onnxruntime.InferenceSession(classifier_run / "classifier.onnx")
    probability, activation = session.run(None, {"IMAGE": images})
    trained, _ = run_folder.load_network(classifier_run)
    inside = opened(trained)
    pixels = normalise(images, RESNET.encoder)
    np.testing.assert_allclose(probability, inside(pixels, training=False)[2][:, COVID], atol=1e-4)
    assert np.ptp(activation) > 0.5
    np.testing.assert_allclose(activation, as_picture(grad_cam(inside, pixels)), atol=1e-4)
    np.testing.assert_allclose(activation, explain(trained, images, RESNET.encoder)[1], atol=1e-4)
