"""The paper's hybrid loss: focal plus Dice (II-C3, eq. 5 and 7)."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

FOCAL_ALPHA = 0.25
FOCAL_GAMMA = 2.0

# Eq. 7 is 0/0 for an empty mask and an empty prediction, and has no gradient at all for an empty
# mask. This many pixels (0.2 % of 224x224) are added above and below: a normal image is then
# pulled towards no pixel at all, which is what the any-pixel rule asks of it.
DICE_SMOOTH_PIXELS = 100.0

# log() is never asked for 0.
_EPSILON = 1e-7


def focal_loss(truth: Any, probability: Any) -> Any:
    """Focal loss, mean over all pixels (eq. 5).

    Parameters
    ----------
    truth, probability
        (N, H, W, 1) tensors, 0 or 1, and in [0, 1].

    Returns
    -------
    tf.Tensor
        Scalar float32.
    """
    p = tf.cast(truth, tf.float32)
    q = tf.cast(probability, tf.float32)
    # Each on its own: 1 - 1e-7 is no FP32 number, and the loss at 1 would be another than at 0.
    log_q, log_rest = (tf.math.log(tf.maximum(share, _EPSILON)) for share in (q, 1 - q))
    infected = FOCAL_ALPHA * (1 - q) ** FOCAL_GAMMA * p * log_q
    healthy = (1 - FOCAL_ALPHA) * q**FOCAL_GAMMA * (1 - p) * log_rest
    return -tf.reduce_mean(infected + healthy)


def dice_loss(truth: Any, probability: Any) -> Any:
    """Dice loss of each image, averaged over the batch (eq. 7).

    Parameters
    ----------
    truth, probability
        (N, H, W, 1) tensors, 0 or 1, and in [0, 1].

    Returns
    -------
    tf.Tensor
        Scalar float32 in [0, 1].
    """
    p = tf.cast(truth, tf.float32)
    q = tf.cast(probability, tf.float32)
    both = tf.reduce_sum(p * q, axis=(1, 2, 3))
    either = tf.reduce_sum(p, axis=(1, 2, 3)) + tf.reduce_sum(q, axis=(1, 2, 3))
    # Smaller pictures hold fewer pixels: the constant follows, so that its share stays.
    smooth = DICE_SMOOTH_PIXELS * tf.cast(tf.size(p[0]), tf.float32) / (224.0 * 224.0)
    return 1 - tf.reduce_mean((2 * both + smooth) / (either + smooth))


def hybrid_loss(truth: Any, probability: Any) -> Any:
    """Sum focal and Dice loss, as the paper trains all its networks."""
    return focal_loss(truth, probability) + dice_loss(truth, probability)
