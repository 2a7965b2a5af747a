"""The paper's augmentation (III-A): random shifts of 10 % and rotations of 10 degrees; and more, if asked for.

Image and mask move together; what comes into view is filled with the nearest pixel. Random
numbers are a function of seed, epoch and the sample's place, so a run can be repeated or taken up
again and sees the same pictures.
"""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf

MAX_SHIFT = 0.10
"""Largest shift, as a share of height and width."""

MAX_ROTATION_DEGREES = 10.0


def random_transforms(count: Any, size: int, seed: Any, zoom_jitter: float = 0.0) -> Any:
    """Draw ``count`` random movements about the picture's centre; rigid ones without ``zoom_jitter``.

    Parameters
    ----------
    count
        Number of movements.
    size
        Height and width in pixels.
    seed
        (2,) int32 tensor.
    zoom_jitter
        Largest logarithm of the factors by which height and width are stretched, each by its own: pictures are
        cropped and squashed in many ways before they are square.

    Returns
    -------
    tf.Tensor
        (count, 8) float32, rows as ``ImageProjectiveTransformV3`` takes them (output to input).
    """
    draws = tf.random.stateless_uniform((count, 3), seed, -1.0, 1.0)
    angle = draws[:, 0] * math.radians(MAX_ROTATION_DEGREES)
    shift_x, shift_y = draws[:, 1] * MAX_SHIFT * size, draws[:, 2] * MAX_SHIFT * size
    cos, sin = tf.cos(angle), tf.sin(angle)
    # Of another key, so that a picture moves as it would without.
    key = tf.random.split(seed, 1)[0]
    stretch = tf.exp(tf.random.stateless_uniform((count, 2), key, -zoom_jitter, zoom_jitter))
    wide, high = stretch[:, 0], stretch[:, 1]
    centre = (size - 1) / 2
    offset_x = centre - wide * (cos - sin) * centre + shift_x
    offset_y = centre - high * (sin + cos) * centre + shift_y
    zero = tf.zeros_like(cos)
    return tf.stack(
        [wide * cos, -wide * sin, offset_x, high * sin, high * cos, offset_y, zero, zero], axis=1
    )


def augment(images: Any, masks: Any, seed: Any, zoom_jitter: float = 0.0) -> tuple[Any, Any]:
    """Move every image of a batch, and its mask with it, at random.

    Parameters
    ----------
    images, masks
        (N, H, W, 1) float32 tensors, square.
    seed
        (2,) int32 tensor.
    zoom_jitter
        As of :func:`random_transforms`.

    Returns
    -------
    tuple
        The moved images (bilinear) and masks (nearest), of the same shapes.
    """
    size = images.shape[1]
    transforms = random_transforms(tf.shape(images)[0], size, seed, zoom_jitter)
    return _move(images, transforms, "BILINEAR"), _move(masks, transforms, "NEAREST")


def _move(pictures: Any, transforms: Any, interpolation: str) -> Any:
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=pictures,
        transforms=transforms,
        output_shape=tf.shape(pictures)[1:3],
        interpolation=interpolation,
        fill_mode="NEAREST",
        fill_value=0.0,
    )


def jitter_tone(images: Any, seed: Any, strength: float) -> Any:
    """Change brightness, contrast and gamma of every image a little (not in the paper).

    Detectors and post-processing differ from hospital to hospital; with ``strength`` 0 nothing is
    changed.

    Parameters
    ----------
    images
        (N, H, W, 1) float32, 0 to 255.
    seed
        (2,) int32 tensor.
    strength
        Largest relative change of contrast and of log gamma, and largest shift of brightness as a
        share of the range.
    """
    if strength == 0:
        return images
    draws = tf.random.stateless_uniform((tf.shape(images)[0], 3), seed, -strength, strength)
    contrast, brightness, gamma = (
        draws[:, i, tf.newaxis, tf.newaxis, tf.newaxis] for i in range(3)
    )
    toned = tf.clip_by_value((images / 255 - 0.5) * (1 + contrast) + 0.5 + brightness, 0.0, 1.0)
    return 255 * tf.pow(toned, tf.exp(gamma))
