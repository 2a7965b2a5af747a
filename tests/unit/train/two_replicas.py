"""The gradient of one step on two devices, and on one: ``python two_replicas.py``; JSON on stdout."""

from __future__ import annotations

import json
import sys

import numpy as np

from infmap_train.networks.quiet import import_tensorflow

import_tensorflow()
import tensorflow as tf

from infmap_train.training.losses import make_hybrid_loss

(cpu,) = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
keras = tf.keras
rng = np.random.default_rng(0)
PIXELS = rng.normal(size=(4, 16, 16, 1)).astype(np.float32)
# All infection is in the first device's half.
TRUTH = np.zeros_like(PIXELS)
TRUTH[:2, 3:9, 3:9] = 1


def step(strategy: tf.distribute.Strategy) -> list[float]:
    """The loss of a step, and the weights after it."""
    with strategy.scope():
        head = keras.layers.Conv2D(1, 1, activation="sigmoid", kernel_initializer="ones")
        model = keras.Sequential([keras.Input((16, 16, 1)), head])
        model.compile(keras.optimizers.SGD(1.0), loss=make_hybrid_loss())
    batches = tf.data.Dataset.from_tensors((PIXELS, TRUTH))
    loss = model.fit(batches, verbose=0).history["loss"][0]
    return [loss, *(float(weight.ravel()[0]) for weight in model.get_weights())]


two = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
json.dump({"one": step(tf.distribute.get_strategy()), "two": step(two)}, sys.stdout)
