"""Train one network: data in, run folder out; may be killed and taken up again at any time."""

from __future__ import annotations

import dataclasses
import logging
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from infmap_kit.errors import TrainingError
from infmap_kit.progress import Progress, no_progress
from infmap_kit.spec import Encoder, NetworkSpec, read_json, write_json
from infmap_train import data, metrics, run_folder
from infmap_train.batches import resize, steps_per_epoch, training_batches
from infmap_train.distribution import find_strategy, on_one_device, own_folder
from infmap_train.encoder_weights import build_initialised
from infmap_train.evaluate import evaluate, predict
from infmap_train.losses import hybrid_loss, hybrid_loss_per_image
from infmap_train.networks import build_network
from infmap_train.options import FitOptions

__all__ = ["FitOptions", "fit"]

keras = tf.keras
_log = logging.getLogger(__name__)


def fit(
    network: NetworkSpec,
    pictures: data.Pictures,
    run: Path,
    options: FitOptions,
    *,
    data_licence: str = "not stated",
    progress: Progress = no_progress,
) -> dict[str, Any]:
    """Train ``network`` and fill the run folder with weights, history and held-back metrics.

    Whatever is in the folder from an interrupted run with the same options is taken up; a run
    that is finished is only read.

    Parameters
    ----------
    network
        Which of the 24.
    pictures
        All data; the held-back part is taken from it.
    run
        The run folder.
    options
        How to train.
    data_licence
        Licence of the data, for the run's record.
    progress
        Told after every batch.

    Returns
    -------
    dict
        The held-back metrics, as in ``metrics.json``.

    Raises
    ------
    TrainingError
        When the folder belongs to a run with other options or data.
    """
    # Before anything is computed: several machines must have found each other by then.
    strategy = find_strategy()
    own = own_folder(run)
    own.mkdir(parents=True, exist_ok=True)
    fingerprint = pictures.fingerprint()
    identity = {
        "network": dataclasses.asdict(network),
        "options": dataclasses.asdict(options),
        "dataset": fingerprint,
    }
    state = _take_up(run, identity)
    if run_folder.is_finished(run):
        return run_folder.read(run).metrics
    keras.utils.set_random_seed(options.seed)
    if not tf.config.list_physical_devices("GPU"):
        # On CPUs it costs little, and a resumed run equals an unbroken one to the last digit.
        tf.config.experimental.enable_op_determinism()
    keras.mixed_precision.set_global_policy(
        "mixed_bfloat16" if options.mixed_precision else "float32"
    )
    train_rows, test_rows = data.split_by_group(
        pictures.samples, folds=options.folds, seed=options.seed
    )[options.fold]
    train, held_back = pictures.take(train_rows), pictures.take(test_rows)
    run_folder.write_split(own, train=train, held_back=held_back)
    run_folder.write_gate_images(own, held_back)
    # A tenth of the held-back part is enough to see how training goes; no choice hangs on it.
    watched = held_back.take(range(0, len(held_back.samples), 10))

    steps = steps_per_epoch(train.covid, options.batch_size)
    if steps == 0:
        raise TrainingError(
            f"expected at least one batch of {options.batch_size}, found {len(train.samples)} "
            "pictures to train on: take a smaller batch"
        )
    with strategy.scope():
        model = build_initialised(network, options.encoder_weights, image_size=None)
        optimizer = keras.optimizers.Adam(_learning_rate(options, steps))
        model.compile(optimizer, loss=hybrid_loss)
        # Slots exist before the first step only if asked for; a checkpoint restores into them.
        optimizer.build(model.trainable_variables)
    checkpoint = tf.train.Checkpoint(model=model, optimizer=optimizer)
    manager = tf.train.CheckpointManager(checkpoint, str(own / "checkpoints"), max_to_keep=2)
    summary = tf.summary.create_file_writer(str(own / "tensorboard"))
    if state["checkpoint"]:
        _restore(checkpoint, run / "checkpoints" / state["checkpoint"])

    def alone() -> Any:
        return on_one_device(strategy, model, lambda: build_network(network, image_size=None))

    first = len(state["history"])
    per_image_from = options.epochs - options.image_dice_epochs
    for epoch in range(first, options.epochs):
        started = time.monotonic()
        if epoch == max(first, per_image_from):
            model.compile(optimizer, loss=hybrid_loss_per_image)
        batches = training_batches(train, network.encoder, options, epoch)
        ticker = _Ticker(f"epoch {epoch + 1}/{options.epochs}", steps, progress)
        loss = model.fit(batches, epochs=1, verbose=0, callbacks=[ticker]).history["loss"][0]
        if not np.isfinite(loss):
            raise TrainingError(
                f"the loss became {loss} in epoch {epoch + 1}: take a lower --learning-rate than "
                f"{options.learning_rate:g}, or train without --mixed-precision"
            )
        row = {
            "epoch": epoch + 1,
            "image_size": options.image_size(epoch),
            "loss": round(float(loss), 6),
            **_watch(alone(), network.encoder, watched, options.image_size(epoch)),
            "seconds": round(time.monotonic() - started, 1),
        }
        saved = manager.save()
        state["history"].append(row)
        state["checkpoint"] = Path(saved).name
        # Last, so that state.json never names a checkpoint that is not there.
        write_json(own / "state.json", state)
        _scalars(summary, row)
        _log.info("%s", "  ".join(f"{key} {value}" for key, value in row.items()))

    probability = predict(alone(), network.encoder, held_back.images, progress=progress)
    report = evaluate(held_back, probability)
    # The weights are handed over in FP32, whatever they were trained in.
    keras.mixed_precision.set_global_policy("float32")
    final = build_network(network)
    final.set_weights(model.get_weights())
    run_folder.write(
        own,
        model=final,
        network=network,
        dataset_fingerprint=fingerprint,
        training={**dataclasses.asdict(options), "images": len(train.samples)},
        report=report,
        history=state["history"],
        held_back=held_back,
        probability=probability,
        data_licence=data_licence,
    )
    shutil.rmtree(own / "checkpoints" if own == run else own, ignore_errors=True)
    return dict(run_folder.json_ready(report))


def _take_up(run: Path, identity: dict[str, Any]) -> dict[str, Any]:
    path = run / "state.json"
    if not path.exists():
        return {"identity": identity, "history": [], "checkpoint": ""}
    state = read_json(path)
    before = state.get("identity")
    if before != identity:
        raise TrainingError(
            f"{run} holds a run with other options or data: take the same ones to go on, or "
            "another folder"
        )
    _log.info("taking up %s after epoch %d", run, len(state["history"]))
    return state


def _restore(checkpoint: Any, path: Path) -> None:
    try:
        checkpoint.restore(str(path)).assert_consumed()
    except (tf.errors.OpError, AssertionError) as error:
        raise TrainingError(
            f"the checkpoint {path} cannot be read: remove {path.parent.parent} and begin again"
        ) from error


def _scalars(writer: Any, row: dict[str, Any]) -> None:
    """Write one epoch for TensorBoard, which need not be installed for that."""
    plugin = tf.compat.v1.SummaryMetadata.PluginData(plugin_name="scalars")
    metadata = tf.compat.v1.SummaryMetadata(plugin_data=plugin)
    with writer.as_default(step=row["epoch"]):
        for name in ("loss", "watched_f1", "watched_sensitivity", "watched_specificity"):
            tf.summary.write(name, tf.constant(row[name], tf.float32), metadata=metadata)
    writer.flush()


def _learning_rate(options: FitOptions, steps: int) -> Any:
    if options.schedule == "constant":
        return options.learning_rate
    return keras.optimizers.schedules.CosineDecay(
        0.0,
        decay_steps=max(1, (options.epochs - 1) * steps),
        warmup_target=options.learning_rate,
        warmup_steps=steps,
    )


def _watch(model: Any, encoder: Encoder, pictures: data.Pictures, size: int) -> dict[str, float]:
    """How training goes, on pictures of the size that is trained on."""
    images, masks = resize(pictures.images, pictures.masks, size)
    probability = predict(model, encoder, images.numpy()[..., 0])
    truth = masks.numpy()[..., 0].astype(np.uint8)
    detection = metrics.detection_confusion(pictures.covid, probability)
    return {
        "watched_f1": round(metrics.pixel_confusion(truth, probability).f_score(1), 4),
        "watched_sensitivity": round(detection.sensitivity, 4),
        "watched_specificity": round(detection.specificity, 4),
    }


class _Ticker(tf.keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Hands Keras' batches to a progress function."""

    def __init__(self, description: str, steps: int, progress: Progress) -> None:
        super().__init__()
        self._description, self._steps, self._progress = description, steps, progress

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        loss = (logs or {}).get("loss", float("nan"))
        self._progress(f"{self._description}  loss {loss:.4f}", batch + 1, self._steps)
