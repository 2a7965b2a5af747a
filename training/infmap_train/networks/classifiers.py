"""The paper's classifiers (III-C): its four encoders, averaged over the picture, and two neurons."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from infmap_kit.model.spec import IMAGE_SIZE, ClassifierSpec, NetworkSpec
from infmap_train.networks.segmentation import build_encoder, build_network, freeze_encoder

keras = tf.keras

COVID = 1
"""Index of COVID-19's neuron; the other is that of normal radiographs."""

_POOL, _SCORES, _SHARES = "classifier_pool", "classifier_scores", "classifier_shares"


def build_classifier(
    spec: ClassifierSpec, *, encoder_weights: str | None = None, image_size: int | None = IMAGE_SIZE
) -> Any:
    """Build one of the four classifiers; parameters as of ``build_network``.

    Returns
    -------
    keras.Model
        (N, H, W, 3) float32, normalised for the encoder, to (N, 2) float32: the probabilities of normal
        and of COVID-19, which sum to 1.
    """
    encoder = build_encoder(spec.encoder, encoder_weights=encoder_weights, image_size=image_size)
    pooled = keras.layers.GlobalAveragePooling2D(name=_POOL)(encoder.output)
    # In FP32 also where the encoder computes in bfloat16, whose steps near 1 are 1/256.
    scores = keras.layers.Dense(2, name=_SCORES, dtype="float32")(pooled)
    model = keras.Model(encoder.input, keras.layers.Softmax(name=_SHARES, dtype="float32")(scores))
    if spec.encoder_frozen:
        freeze_encoder(model)
    return model


def build(
    spec: NetworkSpec | ClassifierSpec,
    *,
    encoder_weights: str | None = None,
    image_size: int | None = IMAGE_SIZE,
) -> Any:
    """Build a run's network: one of the 24, the edge network, or a classifier."""
    if isinstance(spec, ClassifierSpec):
        return build_classifier(spec, encoder_weights=encoder_weights, image_size=image_size)
    return build_network(spec, encoder_weights=encoder_weights, image_size=image_size)


def opened(model: Any) -> Any:
    """Give a classifier's features and scores beside its answer; the weights are shared.

    Returns
    -------
    keras.Model
        (N, H, W, 3) float32 to the last feature maps A (N, H / 32, W / 32, K), the two scores
        before the softmax (N, 2), and the two probabilities (N, 2).
    """
    features = model.get_layer(_POOL).input
    return keras.Model(model.input, [features, model.get_layer(_SCORES).output, model.output])


def covid_weights(model: Any) -> Any:
    """Weight of each feature map for the score of COVID-19: (K,) float32."""
    return model.get_layer(_SCORES).kernel[:, COVID]
