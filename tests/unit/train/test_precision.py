"""Trained in 16 bits: what has to stay in FP32, and what older GPUs take instead."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow", reason="TensorFlow is not installed")

from infmap_kit.model.spec import NetworkSpec
from infmap_train.networks.segmentation import build_network
from infmap_train.training.precision import choose_policy, make_optimizer

pytestmark = pytest.mark.train
keras = tf.keras

TURING, AMPERE, HOPPER = (7, 5), (8, 0), (9, 0)


@pytest.fixture
def policy() -> Iterator[None]:
    yield
    keras.mixed_precision.set_global_policy("float32")


@pytest.mark.parametrize(
    ("gpus", "wanted"),
    [
        ([], "mixed_bfloat16"),
        ([AMPERE], "mixed_bfloat16"),
        ([HOPPER, HOPPER], "mixed_bfloat16"),
        ([TURING], "mixed_float16"),
        ([HOPPER, TURING], "mixed_float16"),
    ],
)
def test_a_card_without_bfloat16_takes_float16(gpus: list[tuple[int, int]], wanted: str) -> None:
    assert choose_policy(True, gpus) == wanted
    assert choose_policy(False, gpus) == "float32"


@pytest.mark.parametrize("name", ["unet/resnet50", "dla/resnet50"])
@pytest.mark.parametrize("computed_in", ["mixed_bfloat16", "mixed_float16"])
def test_a_logit_of_6_is_no_certainty_and_has_a_gradient(
    name: str, computed_in: str, policy: None
) -> None:
    keras.mixed_precision.set_global_policy(computed_in)
    network = build_network(NetworkSpec.parse(name), image_size=32)
    head = network.get_layer("final_conv")
    head.set_weights([np.zeros(head.kernel.shape, np.float32), np.array([6.0], np.float32)])
    # The encoder computes in 16 bits, as asked.
    assert network.layers[1].compute_dtype == computed_in.removeprefix("mixed_")
    with tf.GradientTape() as tape:
        probability = network(tf.zeros((1, 32, 32, 3)), training=False)
        loss = tf.reduce_mean(probability)
    assert probability.dtype == tf.float32
    np.testing.assert_allclose(probability, 1 / (1 + np.exp(-6.0)), rtol=1e-6)
    assert float(tape.gradient(loss, head.bias)[0]) == pytest.approx(0.0024665, rel=1e-4)


def test_a_gradient_too_small_for_float16_is_learnt_from_and_the_scale_is_in_the_checkpoint(
    policy: None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    keras.mixed_precision.set_global_policy("mixed_float16")
    pixels = keras.Input((1,))
    layer = keras.layers.Dense(1, use_bias=False)
    model = keras.Model(pixels, keras.layers.Activation("linear", dtype="float32")(layer(pixels)))
    optimizer = make_optimizer(1e-3, "mixed_float16")
    # 1e-8 is no float16: unscaled it would be nought on its way back.
    model.compile(optimizer, loss=lambda _truth, answer: 1e-8 * tf.reduce_mean(answer))
    optimizer.build(model.trainable_variables)
    before = layer.kernel.numpy()
    model.fit(np.ones((4, 1)), np.zeros((4, 1)), batch_size=4, epochs=3, verbose=0)
    assert layer.kernel.numpy() != before
    optimizer.dynamic_counter.assign(7)
    saved = tf.train.Checkpoint(optimizer=optimizer).save(
        str(tmp_path_factory.mktemp("scale") / "checkpoint")
    )
    names = [name for name, _ in tf.train.list_variables(saved)]
    assert any("current_loss_scale" in name for name in names), names


def test_an_epoch_ends_with_the_average_of_its_steps() -> None:
    model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    model.compile(make_optimizer(0.1, "float32", ema_momentum=0.5), loss="mse")
    average = float(model.get_weights()[0].item())
    after_each_step: list[float] = []

    class Watch(keras.callbacks.Callback):  # type: ignore[misc, name-defined]  # no types
        def on_train_batch_end(self, batch: int, logs: object = None) -> None:
            after_each_step.append(float(self.model.get_weights()[0].item()))

    model.fit(np.ones((4, 1)), np.full((4, 1), 9.0), batch_size=1, verbose=0, callbacks=[Watch()])
    for weight in after_each_step:
        average = 0.5 * average + 0.5 * weight
    assert float(model.get_weights()[0].item()) == pytest.approx(average, rel=1e-5)
    assert average < after_each_step[-1] - 0.01  # the last step is ahead of its average
