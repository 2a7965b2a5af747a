"""Train one segmentation network: data in, run folder out; interrupted, it can be taken up again."""

from __future__ import annotations

import dataclasses
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from infmap_kit.errors import TrainingError
from infmap_kit.model.spec import Anatomy, Encoder, NetworkSpec
from infmap_kit.progress import Progress, no_progress
from infmap_train import run_folder
from infmap_train.data import dataset as data
from infmap_train.data.batches import resize, training_batches
from infmap_train.evaluation import metrics, plots
from infmap_train.evaluation.evaluate import evaluate, predict
from infmap_train.networks.encoder_weights import build_initialised
from infmap_train.networks.segmentation import build_network
from infmap_train.options import FitOptions
from infmap_train.training.loop import Task, train
from infmap_train.training.losses import hybrid_loss, hybrid_loss_per_image

__all__ = ["FitOptions", "fit"]


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
        All data, with the masks of ``options.anatomy``; the held-back part is taken from it.
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
        When the folder belongs to a run with other options or data, or the pictures' masks are of
        another anatomy.
    """
    if pictures.anatomy is not options.anatomy:
        raise TrainingError(
            f"expected pictures with masks of the {options.anatomy}, found {pictures.anatomy}: open "
            "the data for the same anatomy"
        )
    build = partial(_build, network)
    per_image_from = options.epochs - options.image_dice_epochs
    task = Task(
        network=network,
        initial=partial(_initial, network, options),
        build=build,
        loss=lambda epoch: hybrid_loss if epoch < per_image_from else hybrid_loss_per_image,
        batches=lambda learnt, epoch: training_batches(learnt, network.encoder, options, epoch),
        watch=partial(_watch, network.encoder),
    )
    trained = train(task, pictures, run, options, progress=progress)
    if trained is None:
        return run_folder.read(run).metrics
    held_back = trained.held_back
    probability = predict(trained.model, network.encoder, held_back.images, progress=progress)
    report = evaluate(held_back, probability)
    run_folder.write(
        trained.folder,
        model=trained.in_fp32(build),
        network=network,
        dataset_fingerprint=trained.fingerprint,
        training={**dataclasses.asdict(options), "images": len(trained.train.samples)},
        report=report,
        history=trained.history,
        draw=partial(
            plots.draw, history=trained.history, held_back=held_back, probability=probability
        ),
        data_licence=data_licence,
    )
    trained.clear(run)
    return dict(run_folder.json_ready(report))


def _initial(network: NetworkSpec, options: FitOptions) -> Any:
    if options.start_from:
        return run_folder.start_from(Path(options.start_from), network)
    return build_initialised(network, options.encoder_weights, image_size=None)


def _build(network: NetworkSpec, image_size: int | None) -> Any:
    return build_network(network, image_size=image_size)


def _watch(encoder: Encoder, model: Any, pictures: data.Pictures, size: int) -> dict[str, float]:
    """How training goes, on pictures of the size that is trained on."""
    images, masks = resize(pictures.images, pictures.masks, size)
    probability = predict(model, encoder, images.numpy()[..., 0])
    truth = masks.numpy()[..., 0].astype(np.uint8)
    f1 = metrics.pixel_confusion(truth, probability).f_score(1)
    if pictures.anatomy is Anatomy.LUNGS:
        dice = metrics.dice_per_image(truth, probability).mean()
        return {"watched_f1": round(f1, 4), "watched_dice": round(float(dice), 4)}
    detection = metrics.detection_confusion(pictures.covid, probability)
    return {
        "watched_f1": round(f1, 4),
        "watched_sensitivity": round(detection.sensitivity, 4),
        "watched_specificity": round(detection.specificity, 4),
    }
