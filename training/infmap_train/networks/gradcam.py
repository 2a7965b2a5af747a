"""A classifier's activation maps: Grad-CAM (paper, eq. 14 and 15), and the same without gradients.

For a network that ends in an average over the picture and one dense layer, the score before the
softmax is m = b + (1/Z) sum_k w_k sum_ij A^k_ij, so that dm/dA^k_ij = w_k / Z in every pixel, eq. 14
gives alpha_k = w_k / Z, and Grad-CAM is the class activation map ReLU(sum_k w_k A^k) divided by the
number Z of its pixels (Selvaraju et al., 2017, section 3.1, say the same of Zhou et al., 2016). A map
is shown relative to its own peak, where the two are equal.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from infmap_kit.model.spec import IMAGE_SIZE, Encoder
from infmap_kit.progress import Progress, no_progress
from infmap_train.networks.classifiers import COVID, covid_weights, opened
from infmap_train.networks.normalisation import normalise

# A map whose peak is below this is nowhere active, and stays 0.
_TINY = 1e-6


def grad_cam(model: Any, pixels: Any, *, of_class: int = COVID) -> Any:
    """Grad-CAM of a class by back-propagation (eq. 14 and 15), whatever lies behind the features.

    Parameters
    ----------
    model
        A model of :func:`~infmap_train.networks.classifiers.opened`: pixels to features, scores, and more.
    pixels
        (N, H, W, 3) float32, normalised.
    of_class
        The class, whose score before the softmax is explained.

    Returns
    -------
    tf.Tensor
        (N, h, w) float32, zero or positive, of the size of the last feature maps.
    """
    return _answer_and_map(model, pixels, of_class)[1]


def _answer_and_map(model: Any, pixels: Any, of_class: int) -> tuple[Any, Any]:
    """Give the model's answer, and Grad-CAM, in one pass."""
    with tf.GradientTape() as tape:
        # What is not upstream of a watched tensor is not recorded, were every layer frozen.
        tape.watch(pixels)
        features, scores, *_ = answer = model(pixels, training=False)
        score = tf.cast(scores[:, of_class], tf.float32)
    gradient = tape.gradient(score, features)
    alpha = tf.reduce_mean(gradient, axis=(1, 2))
    return answer, tf.nn.relu(tf.einsum("nk,nijk->nij", alpha, features))


def class_activation(features: Any, weights: Any) -> Any:
    """Class activation map: the same up to the factor 1/Z, and no gradient is needed.

    Parameters
    ----------
    features
        (N, h, w, K) float32: the maps that are averaged before the dense layer.
    weights
        (K,) float32: the dense layer's, of the class.

    Returns
    -------
    tf.Tensor
        (N, h, w) float32, zero or positive.
    """
    # A convolution with one pixel, and not an Einsum: every engine knows it, in FP16 too.
    kernel = tf.reshape(weights, (1, 1, -1, 1))
    return tf.nn.relu(tf.nn.conv2d(features, kernel, strides=1, padding="VALID"))[..., 0]


def as_picture(activation: Any, size: int = IMAGE_SIZE) -> Any:
    """Bring an activation to the picture's size, relative to its own peak.

    It shows where the network looked, and not how strongly: that is the probability's part.

    Parameters
    ----------
    activation
        (N, h, w) float32, zero or positive.
    size
        Height and width.

    Returns
    -------
    tf.Tensor
        (N, size, size) float32 in [0, 1], bilinear with half-pixel centres; 0 where nothing is active.
    """
    peak = tf.reduce_max(activation, axis=(1, 2), keepdims=True)
    relative = activation / tf.maximum(peak, _TINY)
    return tf.image.resize(relative[..., tf.newaxis], (size, size), "bilinear")[..., 0]


def explain(model: Any, image: Any, encoder: Encoder) -> tuple[Any, Any]:
    """Classify gray pictures, with activation maps, without gradients.

    Parameters
    ----------
    model
        A model of :func:`~infmap_train.networks.classifiers.build_classifier`.
    image
        (N, 224, 224), 0 to 255.
    encoder
        The encoder, whose normalisation it was trained with.

    Returns
    -------
    tuple
        The probability of COVID-19 (N,) and the activation map (N, 224, 224), both float32 in [0, 1].
    """
    features, _, shares = opened(model)(normalise(image, encoder), training=False)
    return shares[:, COVID], as_picture(class_activation(features, covid_weights(model)))


def activation_maps(
    model: Any,
    encoder: Encoder,
    images: NDArray[np.uint8],
    *,
    batch_size: int = 16,
    progress: Progress = no_progress,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Grad-CAM of COVID-19 over many pictures.

    Parameters
    ----------
    images
        (N, 224, 224), 0 to 255.

    Returns
    -------
    tuple
        Probabilities (N,) and maps (N, 224, 224), both float32 in [0, 1].
    """
    inside = opened(model)
    probability = np.empty(len(images), np.float32)
    maps = np.empty((len(images), IMAGE_SIZE, IMAGE_SIZE), np.float32)
    for start in range(0, len(images), batch_size):
        rows = slice(start, start + batch_size)
        pixels = normalise(images[rows], encoder)
        (_, _, shares), activation = _answer_and_map(inside, pixels, COVID)
        probability[rows] = shares[:, COVID].numpy()
        maps[rows] = as_picture(activation).numpy()
        progress("activation maps", min(start + batch_size, len(images)), len(images))
    return probability, maps
