"""Each encoder's normalisation of pixels; part of the exported graph, never of the client."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from infmap_kit.model.spec import Encoder

# (scale, offset) per channel of x * scale + offset for x in 0..255. The figures are those with
# which the encoders' public ImageNet weights were trained: DenseNet by mean and standard deviation,
# Inception to -1..1, ResNet-50 (classification_models) raw, since it begins with a batch norm.
# EfficientNet-Lite0 has (x - 127) / 128, as its authors trained it: with DenseNet's, photographs leave its
# first convolution with four times the variance that its first batch norm learnt.
_MEAN = (0.485, 0.456, 0.406)
_DEVIATION = (0.229, 0.224, 0.225)
_DENSENET = (
    tuple(1 / (255 * s) for s in _DEVIATION),
    tuple(-m / s for m, s in zip(_MEAN, _DEVIATION, strict=True)),
)
SCALE_AND_OFFSET: dict[Encoder, tuple[tuple[float, ...], tuple[float, ...]]] = {
    Encoder.CHEXNET: _DENSENET,
    Encoder.DENSENET_121: _DENSENET,
    Encoder.INCEPTION_V3: ((1 / 127.5,) * 3, (-1.0,) * 3),
    Encoder.RESNET_50: ((1.0,) * 3, (0.0,) * 3),
    Encoder.EFFICIENTNET_LITE_0: ((1 / 128,) * 3, (-127 / 128,) * 3),
}


def normalise(gray: Any, encoder: Encoder) -> Any:
    """Gray pixels to an encoder's input.

    Parameters
    ----------
    gray
        (N, H, W) tensor, 0 to 255.
    encoder
        The encoder, whose normalisation is applied.

    Returns
    -------
    tf.Tensor
        (N, H, W, 3) float32.
    """
    scale, offset = SCALE_AND_OFFSET[encoder]
    channels = tf.cast(gray, tf.float32)[..., tf.newaxis]
    return channels * tf.constant(scale, tf.float32) + tf.constant(offset, tf.float32)
