"""Train one of the paper's classifiers (III-C): whether a radiograph shows COVID-19."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure
from numpy.typing import NDArray

from infmap_kit.model.spec import ClassifierSpec, Encoder
from infmap_kit.progress import Progress, no_progress
from infmap_train.data import dataset as data
from infmap_train.data.batches import resize
from infmap_train.evaluation import detection_plots, metrics, weighted
from infmap_train.evaluation.bootstrap import Resamples
from infmap_train.evaluation.evaluate import answers
from infmap_train.networks.classifiers import COVID
from infmap_train.options import FitOptions
from infmap_train.training.loop import Task, train


def classify(
    classifier: ClassifierSpec,
    pictures: data.Pictures,
    run: Path,
    options: FitOptions,
    *,
    data_licence: str = "not stated",
    progress: Progress = no_progress,
) -> dict[str, Any]:
    """Train ``classifier`` by :func:`infmap_train.training.loop.train`, with categorical cross-entropy.

    The folds are those of a segmentation with the same seed: the same patients are held back.
    """
    encoder = classifier.encoder
    entropy = tf.keras.losses.CategoricalCrossentropy()

    def watch(model: Any, watched: data.Pictures, size: int) -> dict[str, float]:
        images, _ = resize(watched.images, watched.masks, size)
        probability = predict_classes(model, encoder, images.numpy()[..., 0])
        detection = metrics.image_confusion(watched.covid, probability)
        return {
            "watched_auc": round(metrics.image_auc(watched.covid, probability), 4),
            "watched_accuracy": round(detection.accuracy, 4),
            "watched_sensitivity": round(detection.sensitivity, 4),
            "watched_specificity": round(detection.specificity, 4),
        }

    def measure(
        model: Any, held_back: data.Pictures, progress: Progress
    ) -> tuple[dict[str, Any], Mapping[str, Figure]]:
        probability = predict_classes(model, encoder, held_back.images, progress=progress)
        report = evaluate_classes(held_back, probability)
        label = f"{classifier.label}, AUC {report['detection']['auc']:.3f}"
        roc = detection_plots.draw_roc(held_back.covid, {label: probability})
        return report, {"roc.png": roc}

    task = Task(
        network=classifier,
        loss=lambda _epoch: entropy,
        watch=watch,
        best_by="watched_auc",
        evaluate=measure,
    )
    return train(task, pictures, run, options, data_licence=data_licence, progress=progress)


def predict_classes(
    model: Any, encoder: Encoder, images: NDArray[Any], *, progress: Progress = no_progress
) -> NDArray[np.float32]:
    """Probability of COVID-19 by a classifier, (N,) float32 in [0, 1], for (N, H, W) images from 0 to 255."""
    probability = np.empty(len(images), np.float32)
    for rows, answer in answers(model, encoder, images, progress=progress):
        probability[rows] = answer[:, COVID]
    return probability


def evaluate_classes(pictures: data.Pictures, probability: NDArray[np.float32]) -> dict[str, Any]:
    """Detection metrics of a classifier, and the share that it detects in each source.

    Parameters
    ----------
    pictures
        Pictures that were classified.
    probability
        (N,) float32 in [0, 1]; COVID-19 from 0.5 on, the larger of the two neurons.

    Returns
    -------
    dict
        ``detection``: the six metrics with their intervals (eq. 8 to 13), counts, and the AUC with
        its bootstrap interval by patient group; ``images``; ``by_source``.
    """
    covid = pictures.covid
    confusion = metrics.image_confusion(covid, probability)
    area = Resamples(pictures.groups).interval(weighted.auc(covid, probability))
    sources = pictures.sources
    return {
        "detection": {
            **confusion.figures(intervals=True),
            "auc": area.value,
            "auc_ci95": [area.low, area.high],
        },
        "images": pictures.counts(),
        "by_source": {
            str(source): {
                "images": int((sources == source).sum()),
                "covid": int(covid[sources == source].sum()),
                "detected": int((probability[sources == source] >= 0.5).sum()),
            }
            for source in sorted(set(sources))
        },
    }
