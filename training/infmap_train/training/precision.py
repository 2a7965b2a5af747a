"""The precision that a network computes in while it is trained; weights are FP32 in all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

keras = tf.keras

_BFLOAT16_FROM = (8, 0)
"""Compute capability of the first GPUs that know bfloat16: Ampere. The paper's own 2080 Ti is 7.5."""


def choose_policy(mixed_precision: bool, capabilities: Sequence[tuple[int, int]]) -> str:
    """Name Keras' policy for a training.

    Parameters
    ----------
    mixed_precision
        Whether to compute in 16 bits.
    capabilities
        Compute capability of every GPU that takes part; none on a CPU, which knows bfloat16.

    Returns
    -------
    str
        ``float32``, ``mixed_bfloat16``, or ``mixed_float16`` as soon as one GPU knows no bfloat16.
    """
    if not mixed_precision:
        return "float32"
    return (
        "mixed_float16"
        if min(capabilities, default=_BFLOAT16_FROM) < _BFLOAT16_FROM
        else "mixed_bfloat16"
    )


def gpu_capabilities() -> list[tuple[int, int]]:
    """Compute capability of each GPU that TensorFlow sees; one that does not say it is left out."""
    details = map(tf.config.experimental.get_device_details, tf.config.list_physical_devices("GPU"))
    return [found["compute_capability"] for found in details if "compute_capability" in found]


def make_optimizer(learning_rate: Any, policy: str, ema_momentum: float = 0.0) -> Any:
    """Make the paper's Adam; gradients that float16 would round to nought are scaled up on their way.

    With ``ema_momentum`` Keras replaces the weights by their moving average at the end of each epoch.
    """
    average = {"use_ema": True, "ema_momentum": ema_momentum} if ema_momentum else {}
    adam = keras.optimizers.Adam(learning_rate, **average)
    # Keras would wrap it by itself in compile(), where no checkpoint knows of the scale.
    return keras.mixed_precision.LossScaleOptimizer(adam) if policy == "mixed_float16" else adam
