"""The paper's hybrid loss: focal plus Dice (II-C3, eq. 5 and 7).

In all functions ``truth`` is 0 or 1 and ``probability`` in [0, 1], both tensors of (N, H, W, 1); a loss is a
scalar of float32.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

FOCAL_ALPHA = 0.25
FOCAL_GAMMA = 2.0

DICE_SMOOTH_PIXELS = 100.0
"""Added above and below in eq. 7 (0.2 % of 224x224), which has no gradient at all for an empty mask."""

# log() is never asked for 0.
_EPSILON = 1e-7


def focal_loss(truth: Any, probability: Any) -> Any:
    """Focal loss, mean over all pixels (eq. 5)."""
    p = tf.cast(truth, tf.float32)
    q = tf.cast(probability, tf.float32)
    # Each on its own: 1 - 1e-7 is no FP32 number, and the loss at 1 would be another than at 0.
    log_q, log_rest = (tf.math.log(tf.maximum(share, _EPSILON)) for share in (q, 1 - q))
    infected = FOCAL_ALPHA * (1 - q) ** FOCAL_GAMMA * p * log_q
    healthy = (1 - FOCAL_ALPHA) * q**FOCAL_GAMMA * (1 - p) * log_rest
    return -tf.reduce_mean(infected + healthy)


def dice_loss(
    truth: Any,
    probability: Any,
    *,
    per_image: bool = False,
    smooth_pixels: float = DICE_SMOOTH_PIXELS,
) -> Any:
    """Dice loss (eq. 7), in [0, 1].

    It is that of the batch as one large picture, as segmentation-models computes it, or of each image, as
    the equation reads. In a batch a stray pixel on a normal image costs next to nothing; image by
    image it costs nearly all, which is what the any-pixel rule asks for. But from random
    weights that is a trap: predicting nothing anywhere is then right for every normal image.

    The batch is that of all GPUs together: their sums are added up before they are divided.

    Parameters
    ----------
    per_image
        Whether to take each image by itself, and their mean.
    smooth_pixels
        Pixels of 224x224 that are added above and below. 0 is eq. 7 as it reads, and 0 where that is 0/0:
        an empty prediction of an empty mask. segmentation-models adds 1e-5.
    """
    p = tf.cast(truth, tf.float32)
    q = tf.cast(probability, tf.float32)
    axes = (1, 2, 3) if per_image else (0, 1, 2, 3)
    both = tf.reduce_sum(p * q, axis=axes)
    either = tf.reduce_sum(p, axis=axes) + tf.reduce_sum(q, axis=axes)
    if not per_image:
        both, either = _over_replicas(both, either)
    # Smaller pictures hold fewer pixels: the constant follows, so that its share stays.
    smooth = smooth_pixels * tf.cast(tf.size(p[0]), tf.float32) / (224.0 * 224.0)
    missed = either - 2 * both
    return tf.reduce_mean(tf.math.divide_no_nan(missed, either + smooth))


def _over_replicas(*sums: Any) -> tuple[Any, ...]:
    """Add up what each GPU summed over its part of the batch; gradients go the same way back."""
    replica = tf.distribute.get_replica_context()
    if replica is None or replica.num_replicas_in_sync == 1:
        return sums
    return tuple(replica.all_reduce(tf.distribute.ReduceOp.SUM, list(sums)))


def make_hybrid_loss(
    *, per_image: bool = False, smooth_pixels: float = DICE_SMOOTH_PIXELS
) -> Callable[[Any, Any], Any]:
    """Make the sum of focal and Dice loss; parameters as of ``dice_loss``."""

    def loss(truth: Any, probability: Any) -> Any:
        dice = dice_loss(truth, probability, per_image=per_image, smooth_pixels=smooth_pixels)
        return focal_loss(truth, probability) + dice

    return loss


hybrid_loss = make_hybrid_loss()
"""The sum of focal and Dice loss over the batch, as the paper trains all its networks."""
