"""Train one segmentation network: data in, run folder out; interrupted, it can be taken up again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from infmap_kit.errors import TrainingError
from infmap_kit.model.spec import Anatomy, NetworkSpec
from infmap_kit.progress import Progress, no_progress
from infmap_train.data import dataset as data
from infmap_train.data.batches import resize
from infmap_train.evaluation import metrics, plots
from infmap_train.evaluation.evaluate import figures_of, predict
from infmap_train.options import FitOptions
from infmap_train.training.loop import Task, train
from infmap_train.training.losses import make_hybrid_loss


def fit(
    network: NetworkSpec,
    pictures: data.Pictures,
    run: Path,
    options: FitOptions,
    *,
    data_licence: str = "not stated",
    progress: Progress = no_progress,
) -> dict[str, Any]:
    """Train ``network`` by :func:`infmap_train.training.loop.train`, with the paper's hybrid loss.

    Parameters
    ----------
    network
        One of the 24, or the edge network.
    pictures
        All data, with the masks of ``options.anatomy``.

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
    losses = {
        per_image: make_hybrid_loss(per_image=per_image, smooth_pixels=options.dice_smooth_pixels)
        for per_image in (False, True)
    }

    def watch(model: Any, watched: data.Pictures, size: int) -> dict[str, float]:
        images, masks = resize(watched.images, watched.masks, size)
        probability = predict(model, network.encoder, images.numpy()[..., 0])
        truth = masks.numpy()[..., 0].astype(np.uint8)
        f1 = metrics.pixel_confusion(truth, probability).f_score(1)
        if watched.anatomy is Anatomy.LUNGS:
            dice = metrics.dice_per_image(truth, probability).mean()
            return {"watched_f1": round(f1, 4), "watched_dice": round(float(dice), 4)}
        detection = metrics.detection_confusion(watched.covid, probability)
        return {
            "watched_f1": round(f1, 4),
            "watched_sensitivity": round(detection.sensitivity, 4),
            "watched_specificity": round(detection.specificity, 4),
        }

    def measure(
        model: Any, held_back: data.Pictures, progress: Progress
    ) -> tuple[dict[str, Any], Mapping[str, Figure]]:
        probability = predict(model, network.encoder, held_back.images, progress=progress)
        curve = metrics.precision_recall(held_back.masks, probability)
        figures = {
            "precision_recall.png": plots.draw_precision_recall(curve),
            "dice.png": plots.draw_dice(held_back, probability),
        }
        return figures_of(held_back, probability), figures

    task = Task(
        network=network,
        loss=lambda epoch: losses[options.dice_per_image(epoch)],
        watch=watch,
        best_by="watched_dice" if options.anatomy is Anatomy.LUNGS else "watched_f1",
        evaluate=measure,
    )
    return train(task, pictures, run, options, data_licence=data_licence, progress=progress)
