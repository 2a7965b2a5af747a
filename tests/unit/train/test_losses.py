from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

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
    hybrid_loss = losses.make_hybrid_loss(per_image=per_image)
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


@pytest.mark.parametrize("per_image", [False, True], ids=["batch", "image"])
@pytest.mark.parametrize("case", ["random", "all nought", "perfect", "full mask, all wrong"])
def test_without_smoothing_it_is_equation_7(case: str, per_image: bool) -> None:
    truth, probability = _CASES[case]
    p, q = (a if per_image else a[np.newaxis] for a in (truth, probability))
    each = [1 - 2 * (a * b).sum() / (a.sum() + b.sum()) for a, b in zip(p, q, strict=True)]
    loss = losses.dice_loss(truth, probability, per_image=per_image, smooth_pixels=0)
    assert float(loss) == pytest.approx(float(np.mean(each)), rel=1e-5, abs=1e-6)


def test_without_smoothing_nothing_predicted_of_nothing_costs_nothing() -> None:
    empty = tf.zeros(_SHAPE)
    assert float(losses.dice_loss(empty, empty, smooth_pixels=0)) == 0
    assert float(losses.dice_loss(empty, empty + 0.1, smooth_pixels=0)) == 1


def test_the_batch_is_that_of_all_devices_together() -> None:
    """Each device's own Dice, averaged, would be half of one where the other has no infection."""
    script = Path(__file__).parent / "two_replicas.py"
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["two"] == pytest.approx(found["one"], rel=1e-5)
