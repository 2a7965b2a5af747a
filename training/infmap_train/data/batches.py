"""One epoch of training as tf.data: balanced, augmented, and the same for the same seed."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from infmap_kit.model.spec import IMAGE_SIZE, Encoder
from infmap_train.data.augmentation import augment, jitter_tone
from infmap_train.data.dataset import Pictures
from infmap_train.networks.normalisation import normalise
from infmap_train.options import FitOptions


def balanced_rows(covid: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.intp]:
    """Rows of one epoch in random order: every sample, and COVID-19 ones again up to the normals.

    The paper augments the COVID-19 samples up to the number of normals (Table II); where they are
    the larger class nothing is left out.
    """
    rows = np.arange(covid.size)
    missing = int((~covid).sum() - covid.sum())
    if missing > 0:
        again = np.resize(rng.permutation(rows[covid]), missing)
        rows = np.concatenate([rows, again])
    return rng.permutation(rows)


def steps_per_epoch(covid: NDArray[np.bool_], batch_size: int) -> int:
    """Whole batches in one epoch of ``balanced_rows``."""
    return max(covid.size, 2 * int((~covid).sum())) // batch_size


def training_batches(
    pictures: Pictures, encoder: Encoder, options: FitOptions, epoch: int, *, classes: bool = False
) -> Any:
    """One epoch of augmented batches; the same for the same seed and epoch.

    Every picture is moved, normal ones too: edges filled with the nearest pixel would otherwise
    be found on COVID-19 pictures alone, and a network would learn to look for them.

    Parameters
    ----------
    pictures
        Radiographs to train on.
    encoder
        The encoder, whose normalisation is applied.
    options
        Options of the training.
    epoch
        Counted from 0.
    classes
        Whether the truth is each picture's class and not its mask.

    Returns
    -------
    tf.data.Dataset
        Pairs of (B, S, S, 3) float32, normalised for ``encoder``, and the truth: masks (B, S, S, 1)
        float32, 0 or 1, or classes (B, 2) float32, one-hot, normal first.
    """
    rng = np.random.default_rng([options.seed, epoch])
    rows = balanced_rows(pictures.covid, rng)
    size = options.image_size(epoch)

    def take(batch_rows: NDArray[np.intp]) -> tuple[NDArray[Any], ...]:
        one_hot = np.eye(2, dtype=np.float32)[pictures.covid[batch_rows].astype(np.intp)]
        return pictures.images[batch_rows], pictures.masks[batch_rows], one_hot

    def prepare(batch_rows: Any, batch_number: Any) -> tuple[Any, Any]:
        # Out of NumPy, batch by batch: TensorFlow would keep a copy of all pictures for every epoch.
        types = (tf.uint8, tf.uint8, tf.float32)
        taken = tf.numpy_function(take, [batch_rows], types, stateful=False)
        one_side = (options.batch_size, IMAGE_SIZE, IMAGE_SIZE)
        for tensor, shape in zip(taken, (one_side, one_side, (options.batch_size, 2)), strict=True):
            tensor.set_shape(shape)
        images, masks, one_hot = taken
        keys = augmentation_keys(options.seed, epoch, batch_number)
        image, mask = augment(*resize(images, masks, size), keys[0], options.zoom_jitter)
        if options.flip:
            mirrored = tf.random.stateless_uniform((options.batch_size, 1, 1, 1), keys[1]) < 0.5
            image = tf.where(mirrored, image[:, :, ::-1], image)
            mask = tf.where(mirrored, mask[:, :, ::-1], mask)
        image = jitter_tone(image, keys[2], options.tone_jitter)
        return normalise(image[..., 0], encoder), one_hot if classes else mask

    batches = tf.data.Dataset.from_tensor_slices(rows).batch(
        options.batch_size, drop_remainder=True
    )
    numbered = tf.data.Dataset.zip((batches, tf.data.Dataset.range(rows.size)))
    prepared = numbered.map(prepare, num_parallel_calls=tf.data.AUTOTUNE)
    # Threads of its own: the network's may be held to one operation at a time.
    threads = tf.data.Options()
    threads.threading.private_threadpool_size = os.cpu_count() or 1
    return prepared.prefetch(tf.data.AUTOTUNE).with_options(threads)


def augmentation_keys(seed: int, epoch: int, batch_number: Any) -> tuple[Any, Any, Any]:
    """Keys of a batch's random numbers: of its movements, its mirroring and its tone, (2,) int32 each.

    No two of them are one, in any batch of any epoch.
    """
    moving = tf.stack([seed * 100_003 + epoch, tf.cast(batch_number, tf.int32)])
    mirroring, tone = tf.unstack(tf.random.split(moving, 2))
    return moving, mirroring, tone


def resize(images: Any, masks: Any, size: int) -> tuple[Any, Any]:
    """Pictures and masks at the size that an epoch is trained on, by averaging.

    Parameters
    ----------
    images, masks
        (N, 224, 224) uint8; 0 to 255, and 0 or 1.

    Returns
    -------
    tuple
        Two (N, size, size, 1) float32 tensors of the same ranges.
    """
    image = tf.cast(images, tf.float32)[..., tf.newaxis]
    mask = tf.cast(masks, tf.float32)[..., tf.newaxis]
    if size == IMAGE_SIZE:
        return image, mask
    image = tf.image.resize(image, (size, size), "area")
    mask = tf.cast(tf.image.resize(mask, (size, size), "area") >= 0.5, tf.float32)
    return image, mask
