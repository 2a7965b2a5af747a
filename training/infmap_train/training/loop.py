"""The epochs of a training; killed, it is continued after its last one."""

from __future__ import annotations

import dataclasses
import logging
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure

from infmap_kit.errors import TrainingError
from infmap_kit.model.files import sha256_of, write_json
from infmap_kit.model.finding import FindingSpec
from infmap_kit.model.spec import IMAGE_SIZE, ClassifierSpec, NetworkSpec
from infmap_kit.progress import Progress, no_progress
from infmap_train import run_folder
from infmap_train.data import dataset as data
from infmap_train.data.batches import steps_per_epoch, training_batches
from infmap_train.data.output import json_ready
from infmap_train.evaluation import plots
from infmap_train.networks.classifiers import build
from infmap_train.networks.weights.encoder_weights import build_initialised, weights_file
from infmap_train.options import FitOptions
from infmap_train.run_state import STATE, WEIGHTS_SHA256, take_up
from infmap_train.training.distribution import find_strategy, on_one_device, own_folder
from infmap_train.training.parts import draw_parts, watched_rows
from infmap_train.training.precision import choose_policy, gpu_capabilities, make_optimizer

keras = tf.keras
_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Task:
    """A kind of training: of segmentation networks, or of classifiers.

    Parameters
    ----------
    network
        The network that is trained.
    loss
        Keras' loss in an epoch, counted from 0.
    watch
        Figures of a model on pictures brought to a size, named ``watched_...``, after each epoch.
    best_by
        The watched figure by which early stopping chooses; higher is better.
    evaluate
        Report and plots of the trained model on the held-back pictures.
    """

    network: NetworkSpec | ClassifierSpec
    loss: Callable[[int], Any]
    watch: Callable[[Any, data.Pictures, int], dict[str, float]]
    best_by: str
    evaluate: Callable[[Any, data.Pictures, Progress], tuple[dict[str, Any], Mapping[str, Figure]]]


def train(
    task: Task,
    pictures: data.Pictures,
    run: Path,
    options: FitOptions,
    *,
    data_licence: str = "not stated",
    progress: Progress = no_progress,
) -> dict[str, Any]:
    """Train, and fill the run folder with weights, history and held-back metrics.

    An interrupted run with the same options is continued after its last epoch; a finished one is
    only read.

    Parameters
    ----------
    task
        The kind of training.
    pictures
        All data; the held-back part is taken from it.
    run
        The run folder.
    options
        Options of the training.
    data_licence
        Licence of the data, for the run's record.
    progress
        Called after every batch.

    Returns
    -------
    dict
        The held-back metrics, as in ``metrics.json``.

    Raises
    ------
    TrainingError
        When the folder belongs to a run with other options, data or initial weights, or nobody chose those.
    """
    options.refuse_undecided()
    refuse_early(task.network, options)
    # Before anything is computed: several machines must have found each other by then.
    strategy = find_strategy()
    own = own_folder(run)
    own.mkdir(parents=True, exist_ok=True)
    fingerprint = pictures.fingerprint()
    identity = {
        "network": dataclasses.asdict(task.network),
        "options": dataclasses.asdict(options),
        "dataset": fingerprint,
        **_weights_record(task.network, options),
    }
    state = take_up(run, identity)
    if state["history"]:
        _log.info("taking up %s after epoch %d", run, len(state["history"]))
    if run_folder.is_finished(run):
        return run_folder.read(run).metrics
    keras.utils.set_random_seed(options.seed)
    if not tf.config.list_physical_devices("GPU"):
        # On CPUs it costs little, and a resumed run equals an unbroken one to the last digit.
        tf.config.experimental.enable_op_determinism()
    policy = choose_policy(options.mixed_precision, gpu_capabilities())
    keras.mixed_precision.set_global_policy(policy)
    # A run that is taken up again goes on with what it held back, whatever a later version would draw.
    rows = run_folder.split_rows(own, pictures) or draw_parts(pictures, options)
    # The folds are of all pictures, so that every anatomy holds back the same patients.
    parts = learnt, validation, held_back = [pictures.take(part).with_truth() for part in rows]
    without = len(pictures.samples) - sum(len(part.samples) for part in parts)
    if without:
        _log.info(
            "%d radiographs have no mask of the %s and are left out", without, options.anatomy
        )
    if options.start_from:
        _refuse_known(Path(options.start_from), held_back)
    run_folder.write_split(own, train=learnt, validation=validation, held_back=held_back)
    run_folder.write_gate_images(own, held_back)
    if options.finding:
        run_folder.write_finding(own, Path(options.finding))
    watched = (
        validation
        if options.validation_percent
        else learnt.take(watched_rows(learnt, options.seed))
    )

    steps = steps_per_epoch(learnt.covid, options.batch_size)
    if steps == 0:
        raise TrainingError(
            f"expected at least one batch of {options.batch_size}, found {len(learnt.samples)} "
            "pictures to train on: pass a smaller --batch-size"
        )
    if not held_back.samples:
        raise TrainingError(
            f"expected held-back pictures with a mask of the {options.anatomy}, found none: take data with "
            "more masks, or other --folds"
        )
    first = len(state["history"])
    loss_function = task.loss(first)
    with strategy.scope():
        model = _initial(task.network, options)
        optimizer = make_optimizer(_learning_rate(options, steps), policy, options.ema_momentum)
        model.compile(optimizer, loss=loss_function)
        # Slots exist before the first step only if asked for; a checkpoint restores into them.
        optimizer.build(model.trainable_variables)
    checkpoint = tf.train.Checkpoint(model=model, optimizer=optimizer)
    manager = tf.train.CheckpointManager(checkpoint, str(own / "checkpoints"), max_to_keep=2)
    summary = tf.summary.create_file_writer(str(own / "tensorboard"))
    if state["checkpoint"]:
        _restore(checkpoint, run / "checkpoints" / state["checkpoint"])

    def alone() -> Any:
        return on_one_device(strategy, model, lambda: build(task.network, image_size=None))

    classes = isinstance(task.network, ClassifierSpec)
    history = state["history"]
    for epoch in range(first, options.epochs):
        if has_stopped(history, task.best_by, options):
            break
        started = time.monotonic()
        if task.loss(epoch) is not loss_function:
            loss_function = task.loss(epoch)
            model.compile(optimizer, loss=loss_function)
        ticker = _Ticker(f"epoch {epoch + 1}/{options.epochs}", steps, progress)
        batches = training_batches(learnt, task.network.encoder, options, epoch, classes=classes)
        loss = model.fit(batches, epochs=1, verbose=0, callbacks=[ticker]).history["loss"][0]
        if not (np.isfinite(loss) and all(np.isfinite(w).all() for w in model.get_weights())):
            # The loss is the epoch's mean: its last step may have spoilt the weights behind it.
            raise TrainingError(
                f"the loss became {loss}, or a weight no number, in epoch {epoch + 1}: take a lower "
                f"--learning-rate than {options.learning_rate:g}, or train without --mixed-precision"
            )
        row = json_ready(
            {
                "epoch": epoch + 1,
                "image_size": options.image_size(epoch),
                "loss": round(float(loss), 6),
                **task.watch(alone(), watched, options.image_size(epoch)),
                "seconds": round(time.monotonic() - started, 1),
            }
        )
        saved = manager.save()
        history.append(row)
        state["checkpoint"] = Path(saved).name
        if best_epoch(history, task.best_by, options) == epoch + 1:
            model.save_weights(str(_best_weights(own, epoch + 1)))
        # Last, so that state.json never names a checkpoint that is not there.
        write_json(own / STATE, state)
        _remove_weights(own, but=best_epoch(history, task.best_by, options))
        _scalars(summary, row)
        _log.info("%s", "  ".join(f"{key} {value}" for key, value in row.items()))
    best = best_epoch(history, task.best_by, options)
    trained = alone()
    # Networks are handed over, and measured, in FP32, whatever they were trained in.
    keras.mixed_precision.set_global_policy("float32")
    final = build(task.network, image_size=IMAGE_SIZE)
    final.set_weights(trained.get_weights())
    if best:
        # What another machine wrote lies in the run folder alone.
        beside = _best_weights(own, best)
        run_folder.load_weights(final, beside if beside.is_file() else _best_weights(run, best))
        _log.info("the weights of epoch %d are handed over", best)
    report, figures = task.evaluate(final, held_back, progress)
    watched_by = "validation" if options.validation_percent else "a tenth of what is learnt"
    figures = {"history.png": plots.draw_history(history, watched_by), **figures}
    run_folder.write(
        own,
        model=final,
        network=task.network,
        dataset_fingerprint=fingerprint,
        training={
            **dataclasses.asdict(options),
            **{name: value for name, value in identity.items() if name == WEIGHTS_SHA256},
            "images": len(learnt.samples),
            "validation_images": len(validation.samples),
            "epochs_run": len(history),
            "best_epoch": best,
            "computed_in": policy,
            "replicas": strategy.num_replicas_in_sync,
        },
        report=report,
        history=history,
        draw=lambda folder: plots.save(figures, folder),
        data_licence=data_licence,
    )
    shutil.rmtree(own / "checkpoints" if own == run else own, ignore_errors=True)
    _remove_weights(own)
    return dict(json_ready(report))


def best_epoch(
    history: Sequence[Mapping[str, Any]], best_by: str, options: FitOptions
) -> int | None:
    """Number of the epoch, counted from 1, whose weights early stopping hands over; ``None`` without it."""
    known = {
        row["epoch"]: row[best_by]
        for row in history
        if row[best_by] is not None and options.comparable_epoch(row["epoch"] - 1)
    }
    # Of equals the first.
    return max(known, key=lambda epoch: known[epoch]) if options.early_stopping and known else None


def has_stopped(history: Sequence[Mapping[str, Any]], best_by: str, options: FitOptions) -> bool:
    """Whether the watched figure has not risen for as many epochs as early stopping allows."""
    best = best_epoch(history, best_by, options)
    return best is not None and len(history) - best >= options.early_stopping


def _best_weights(own: Path, epoch: int) -> Path:
    return own / f"best-{epoch}.weights.h5"


def _remove_weights(own: Path, *, but: int | None = None) -> None:
    for path in own.glob("best-*.weights.h5"):
        if but is None or path != _best_weights(own, but):
            path.unlink(missing_ok=True)


def refuse_early(network: NetworkSpec | ClassifierSpec, options: FitOptions) -> None:
    """Refuse what can be known to be wrong before any picture is decoded.

    Raises
    ------
    SpecError
        When the run to start from cannot be started from, or the finding's file is none.
    TrainingError
        When the encoder's initial weights are another network's, or not there.
    MissingDependency
        When the package that has them is not installed.
    """
    weights_file(network, options.encoder_weights)
    if options.start_from and isinstance(network, NetworkSpec):
        run_folder.require_start(Path(options.start_from), network)
    if options.finding:
        FindingSpec.read(Path(options.finding))


def _initial(network: NetworkSpec | ClassifierSpec, options: FitOptions) -> Any:
    if options.start_from and isinstance(network, NetworkSpec):
        return run_folder.start_from(Path(options.start_from), network)
    return build_initialised(network, options.encoder_weights, image_size=None)


def _weights_record(network: NetworkSpec | ClassifierSpec, options: FitOptions) -> dict[str, str]:
    """The file that the encoder's weights come from, by its hash; empty where they come from none."""
    path = weights_file(network, options.encoder_weights)
    # A missing file is named by its reader, with the ways to weights.
    return {WEIGHTS_SHA256: sha256_of(path)} if path and path.is_file() else {}


def _refuse_known(earlier: Path, held_back: data.Pictures) -> None:
    """Figures on pictures that the weights were learnt from would be worth nothing."""
    learnt_from = run_folder.train_names(earlier)
    known = [sample.name for sample in held_back.samples if sample.name in learnt_from]
    if known:
        raise TrainingError(
            f"{earlier} was trained on {len(known)} of the pictures that are to be held back "
            f"({known[0]} among them): take its seed, folds and fold"
        )


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
        for name, value in row.items():
            # A share of nothing has no figure.
            if value is not None and (name == "loss" or name.startswith("watched_")):
                tf.summary.write(name, tf.constant(value, tf.float32), metadata=metadata)
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


class _Ticker(tf.keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Hands Keras' batches to a progress function."""

    def __init__(self, description: str, steps: int, progress: Progress) -> None:
        super().__init__()
        self._description, self._steps, self._progress = description, steps, progress

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        loss = (logs or {}).get("loss", float("nan"))
        self._progress(f"{self._description}  loss {loss:.4f}", batch + 1, self._steps)
