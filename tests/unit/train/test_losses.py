from __future__ import annotations

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow", reason="TensorFlow is not installed")

from infmap_train.training import losses

pytestmark = pytest.mark.train


def _focal(p: np.ndarray, q: np.ndarray) -> float:
    q = q.astype(np.float64)
    log_q, log_rest = np.log(np.clip(q, 1e-7, 1)), np.log(np.clip(1 - q, 1e-7, 1))
    each = 0.25 * (1 - q) ** 2 * p * log_q + 0.75 * q**2 * (1 - p) * log_rest
    return float(-each.mean())


def _dice(p: np.ndarray, q: np.ndarray, *, per_image: bool) -> float:
    smooth = 100 * p[0].size / 224**2
    if not per_image:
        p, q = p[np.newaxis], q[np.newaxis]
    each = [
        (2 * (a * b).sum() + smooth) / (a.sum() + b.sum() + smooth)
        for a, b in zip(p, q, strict=True)
    ]
    return float(1 - np.mean(each))


_SHAPE = (3, 32, 32, 1)
_RNG = np.random.default_rng(0)
_MASK = (_RNG.random(_SHAPE) < 0.3).astype(np.float32)
_CASES = {
    "random": (_MASK, _RNG.random(_SHAPE).astype(np.float32)),
    "all nought": (_MASK, np.zeros(_SHAPE, np.float32)),
    "all one": (_MASK, np.ones(_SHAPE, np.float32)),
    "perfect": (_MASK, _MASK),
    "empty mask": (np.zeros(_SHAPE, np.float32), _RNG.random(_SHAPE).astype(np.float32)),
    "empty mask, nothing predicted": (np.zeros(_SHAPE, np.float32), np.zeros(_SHAPE, np.float32)),
    "full mask, all wrong": (np.ones(_SHAPE, np.float32), np.zeros(_SHAPE, np.float32)),
}


@pytest.mark.parametrize("per_image", [False, True], ids=["batch", "image"])
@pytest.mark.parametrize("case", _CASES)
def test_loss_equals_numpys_with_finite_gradients(case: str, per_image: bool) -> None:
    hybrid_loss = losses.hybrid_loss_per_image if per_image else losses.hybrid_loss
    truth, probability = _CASES[case]
    q = tf.Variable(probability)
    with tf.GradientTape() as tape:
        loss = hybrid_loss(tf.constant(truth), q)
    wanted = _focal(truth, probability) + _dice(truth, probability, per_image=per_image)
    assert float(loss) == pytest.approx(wanted, rel=1e-4, abs=1e-6)
    assert np.isfinite(tape.gradient(loss, q).numpy()).all()


def test_an_empty_mask_pulls_towards_nothing() -> None:
    q = tf.Variable(np.full(_SHAPE, 0.2, np.float32))
    with tf.GradientTape() as tape:
        loss = losses.dice_loss(tf.zeros(_SHAPE), q, per_image=True)
    assert (tape.gradient(loss, q).numpy() > 0).all()
