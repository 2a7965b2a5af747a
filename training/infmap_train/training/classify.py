"""Train one of the paper's classifiers (III-C): whether a radiograph shows COVID-19."""

from __future__ import annotations

import dataclasses
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from infmap_kit.model.spec import ClassifierSpec, Encoder
from infmap_kit.progress import Progress, no_progress
from infmap_train import run_folder
from infmap_train.data import dataset as data
from infmap_train.data.batches import resize, training_batches
from infmap_train.evaluation import detection_plots, metrics
from infmap_train.evaluation.bootstrap import bootstrap
from infmap_train.evaluation.evaluate import answers, figures
from infmap_train.evaluation.plots import draw_history
from infmap_train.networks.classifiers import COVID, build_classifier
from infmap_train.networks.encoder_weights import build_initialised
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
    """Train ``classifier`` and fill the run folder; as :func:`infmap_train.training.fit.fit` does.

    The folds are those of a segmentation with the same seed: the same patients are held back. The
    loss is categorical cross-entropy.

    Returns
    -------
    dict
        The held-back metrics, as in ``metrics.json``.

    Raises
    ------
    TrainingError
        When the folder belongs to a run with other options or data.
    """
    encoder = classifier.encoder
    build = partial(_build, classifier)
    entropy = tf.keras.losses.CategoricalCrossentropy()
    task = Task(
        network=classifier,
        initial=partial(build_initialised, classifier, options.encoder_weights, image_size=None),
        build=build,
        loss=lambda _epoch: entropy,
        batches=lambda learnt, epoch: training_batches(
            learnt, encoder, options, epoch, classes=True
        ),
        watch=partial(_watch, encoder),
    )
    trained = train(task, pictures, run, options, progress=progress)
    if trained is None:
        return run_folder.read(run).metrics
    held_back = trained.held_back
    probability = predict_classes(trained.model, encoder, held_back.images, progress=progress)
    report = evaluate_classes(held_back, probability)

    def draw(folder: Path) -> list[Path]:
        folder.mkdir(parents=True, exist_ok=True)
        label = f"{classifier.label}, AUC {report['detection']['auc']:.3f}"
        plots = {
            "history.png": draw_history(trained.history),
            "roc.png": detection_plots.draw_roc(held_back.covid, {label: probability}),
        }
        for name, figure in plots.items():
            figure.savefig(folder / name, dpi=110)
        return [folder / name for name in plots]

    run_folder.write(
        trained.folder,
        model=trained.in_fp32(build),
        network=classifier,
        dataset_fingerprint=trained.fingerprint,
        training={**dataclasses.asdict(options), "images": len(trained.train.samples)},
        report=report,
        history=trained.history,
        draw=draw,
        data_licence=data_licence,
    )
    trained.clear(run)
    return dict(run_folder.json_ready(report))


def predict_classes(
    model: Any, encoder: Encoder, images: NDArray[Any], *, progress: Progress = no_progress
) -> NDArray[np.float32]:
    """Probability of COVID-19 by a classifier.

    Parameters
    ----------
    images
        (N, H, W), 0 to 255.

    Returns
    -------
    NDArray
        (N,) float32 in [0, 1].
    """
    probability = np.empty(len(images), np.float32)
    for rows, answer in answers(model, encoder, images, progress=progress):
        probability[rows] = answer[:, COVID]
    return probability


def evaluate_classes(pictures: data.Pictures, probability: NDArray[np.float32]) -> dict[str, Any]:
    """Detection metrics of a classifier, and the share that it detects in each source.

    Parameters
    ----------
    pictures
        What was classified.
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
    area = bootstrap(
        lambda rows: metrics.image_auc(covid[rows], probability[rows]),
        [sample.group for sample in pictures.samples],
    )
    sources = np.array([sample.source for sample in pictures.samples])
    return {
        "detection": {
            **figures(confusion),
            "ci95": {name: confusion.ci95(name) for name in confusion.as_dict()},
            "auc": area.value,
            "auc_ci95": [area.low, area.high],
        },
        "images": {"covid": int(covid.sum()), "normal": int((~covid).sum())},
        "by_source": {
            str(source): {
                "images": int((sources == source).sum()),
                "covid": int(covid[sources == source].sum()),
                "detected": int((probability[sources == source] >= 0.5).sum()),
            }
            for source in sorted(set(sources))
        },
    }


def _build(classifier: ClassifierSpec, image_size: int | None) -> Any:
    return build_classifier(classifier, image_size=image_size)


def _watch(encoder: Encoder, model: Any, pictures: data.Pictures, size: int) -> dict[str, float]:
    """How training goes, on pictures of the size that is trained on."""
    images, _ = resize(pictures.images, pictures.masks, size)
    probability = predict_classes(model, encoder, images.numpy()[..., 0])
    detection = metrics.image_confusion(pictures.covid, probability)
    return {
        "watched_accuracy": round(detection.accuracy, 4),
        "watched_sensitivity": round(detection.sensitivity, 4),
        "watched_specificity": round(detection.specificity, 4),
    }
