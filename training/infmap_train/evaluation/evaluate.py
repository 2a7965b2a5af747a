"""A network's predictions on pictures, and how good they are."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infmap_kit.errors import ServerError, SpecError, TrainingError
from infmap_kit.model.run_folder import SEGMENTATION_GRAPH
from infmap_kit.model.spec import (
    DETECTION_THRESHOLD,
    Anatomy,
    ClassifierSpec,
    Encoder,
    ModelSpec,
    NetworkSpec,
    member,
)
from infmap_kit.progress import Progress, no_progress
from infmap_kit.triton.client import InfmapClient
from infmap_train import run_folder
from infmap_train.data.dataset import Pictures, load
from infmap_train.data.layouts import read_dataset
from infmap_train.evaluation import metrics, weighted
from infmap_train.evaluation.bootstrap import Resamples
from infmap_train.evaluation.subgroups import subgroups
from infmap_train.options import ReadOptions

_BATCH_SIZE = 16


def predict(
    model: Any, encoder: Encoder, images: NDArray[Any], *, progress: Progress = no_progress
) -> NDArray[np.float32]:
    """Probabilities of a network over gray pictures.

    Parameters
    ----------
    images
        (N, H, W), 0 to 255.

    Returns
    -------
    NDArray
        (N, H, W) float32 in [0, 1].
    """
    probability = np.empty(images.shape, np.float32)
    for rows, answer in answers(model, encoder, images, progress=progress):
        probability[rows] = answer[..., 0]
    return probability


def answers(
    model: Any, encoder: Encoder, images: NDArray[Any], *, progress: Progress = no_progress
) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Give the answers of a network or a classifier to gray pictures, batch by batch.

    Parameters as of ``predict``.

    Yields
    ------
    tuple
        The rows of a batch, and the model's answer to them as float32.
    """
    import tensorflow as tf

    from infmap_train.networks.normalisation import normalise

    for rows in _batches(len(images)):
        # predict_on_batch keeps its traced function with the model, from epoch to epoch. bfloat16
        # comes back when the network was trained in it; NumPy is handed FP32.
        batch = normalise(images[rows], encoder)
        yield rows, tf.cast(model.predict_on_batch(batch), tf.float32).numpy()
        progress("held-back", rows.stop, len(images))


def _batches(count: int) -> Iterator[slice]:
    for start in range(0, count, _BATCH_SIZE):
        yield slice(start, min(start + _BATCH_SIZE, count))


def predict_run(
    run: Path, images: NDArray[np.uint8], *, progress: Progress = no_progress
) -> NDArray[np.float32]:
    """Probabilities of a finished run's network, by its weights, or without them by its graph.

    Parameters
    ----------
    images
        (N, 224, 224) uint8.

    Returns
    -------
    NDArray
        (N, 224, 224) float32 in [0, 1].

    Raises
    ------
    SpecError
        When the run is not finished or damaged.
    """
    spec = run_folder.read(run)
    if not run_folder.has_weights(spec):
        (probability,) = ask_graph(
            run / SEGMENTATION_GRAPH, ["PROBABILITY"], images, progress=progress
        )
        return probability
    model, _ = run_folder.load_network(run)
    return predict(model, spec.network.encoder, images, progress=progress)


def ask_graph(
    graph: Path, outputs: list[str], images: NDArray[np.uint8], *, progress: Progress = no_progress
) -> list[NDArray[np.float32]]:
    """Outputs of a run's ONNX graph over gray pictures, (N, ...) float32 each.

    Parameters
    ----------
    graph
        ``segmentation.onnx`` or ``classifier.onnx``, whose hash was checked.
    images
        (N, 224, 224) uint8.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
    answered: list[list[NDArray[np.float32]]] = []
    for rows in _batches(len(images)):
        answered.append(session.run(outputs, {"IMAGE": images[rows]}))
        progress("held-back", rows.stop, len(images))
    return [np.concatenate(parts) for parts in zip(*answered, strict=True)]


def ask_server(
    url: str,
    images: NDArray[np.uint8],
    *,
    spec: ModelSpec | None = None,
    progress: Progress = no_progress,
) -> NDArray[np.float32]:
    """Probabilities of the engine that a Triton server runs, over gray pictures.

    Parameters
    ----------
    url
        ``host:port`` of the server's gRPC endpoint.
    images
        (N, 224, 224) uint8.
    spec
        Record of the run whose network has to be the one that answers; ``None``: any of this size.

    Returns
    -------
    NDArray
        (N, 224, 224) float32 in [0, 1].

    Raises
    ------
    ServerError
        When the server cannot be reached, refuses, or serves another network than the run's.
    """
    probability = np.empty(images.shape, np.float32)
    with InfmapClient(url) as client:
        for row, image in enumerate(images):
            # Before the first question, and again, since a release may be exchanged on the way.
            _refuse_other_network(client, spec)
            probability[row] = client.infer(image, outputs=["PROBABILITY"])["PROBABILITY"]
            progress(f"asking {url}", row + 1, len(images))
        _refuse_other_network(client, spec)
    return probability


def _refuse_other_network(client: InfmapClient, spec: ModelSpec | None) -> None:
    """Figures of one network under the name of another would be wrong without a word."""
    if spec is None:
        return
    served = client.model()
    if served.version == spec.version:
        return
    size = client.image_size()
    raise ServerError(
        f"{client.url} serves {served.name} {served.version} ({size}x{size} pixels), and the run is "
        f"{spec.name} {spec.version}: export this run, or pass the run folder of what is served"
    )


def figures_of(pictures: Pictures, probability: NDArray[np.float32]) -> dict[str, Any]:
    """Pixel metrics over all pictures and by source; for the infection, detection metrics too.

    Sources are measured apart because their masks were drawn by different doctors to different
    habits. For the infection, a source's figures are over its COVID-19 pictures alone; lungs are on
    every picture, and nothing is detected by them.

    ``ci95`` are the paper's intervals (eq. 13), which take pixels, and pictures of one patient, for
    independent; ``ci95_by_patient`` come from drawing patients anew, and are as a rule much wider.

    Parameters
    ----------
    pictures
        Pictures with a known mask each.
    probability
        (N, 224, 224) float32 in [0, 1], row by row with ``pictures``.
    """
    covid, masked, sources = pictures.covid, pictures.masked, pictures.sources
    drawn = Resamples(pictures.groups)
    truth = pictures.masks > 0
    infected = np.asarray(probability >= DETECTION_THRESHOLD)
    report: dict[str, Any] = {
        "pixels": {
            **metrics.pixel_confusion(pictures.masks, probability).figures(intervals=True),
            "auc": metrics.pixel_auc(pictures.masks, probability),
            "ci95_by_patient": _by_patient(weighted.counts_of(truth, infected), drawn),
        }
    }
    if pictures.anatomy is Anatomy.LUNGS:
        report["dice"] = _spread(metrics.dice_per_image(pictures.masks, probability))
    else:
        peak, detected = probability.max(axis=(1, 2)), np.asarray(infected.any(axis=(1, 2)))
        area = drawn.interval(weighted.auc(covid, peak))
        report["detection"] = {
            **metrics.detection_confusion(covid, probability).figures(intervals=True),
            "auc": area.value,
            "ci95_by_patient": {
                **_by_patient(weighted.counts_of(covid, detected), drawn),
                "auc": [area.low, area.high],
            },
        }
        report["by_subgroup"] = subgroups(pictures, probability)
    report["images"] = pictures.counts()
    report["by_source"] = {}
    for source in sorted(set(sources[masked])):
        chosen = masked & (sources == source)
        masks, answers = pictures.masks[chosen], probability[chosen]
        report["by_source"][source] = {
            "images": int(chosen.sum()),
            "pixels": metrics.pixel_confusion(masks, answers).figures(),
            "dice_mean": float(metrics.dice_per_image(masks, answers).mean()),
        }
    return report


def _by_patient(counts: NDArray[np.int64], drawn: Resamples) -> dict[str, list[float]]:
    """Percentiles 2.5 and 97.5 of the six metrics when patients are drawn anew."""
    intervals = {
        name: drawn.interval(weighted.confusion_metric(counts, name))
        for name in weighted.CONFUSION_METRICS
    }
    return {name: [found.low, found.high] for name, found in intervals.items()}


def _spread(dice: NDArray[np.float64]) -> dict[str, float]:
    """Mean, lowest, 5th percentile and median; a mean alone hides the images that were lost."""
    lowest, p05, median = np.quantile(dice, (0, 0.05, 0.5)).tolist()
    return {"mean": float(dice.mean()), "min": lowest, "p05": p05, "median": median}


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """A network measured on pictures.

    Parameters
    ----------
    network
        The network that was measured.
    pictures
        Pictures that it was measured on.
    probability
        (N, 224, 224) float32 in [0, 1], row by row with ``pictures``.
    report
        As ``figures_of`` gives it.
    reading
        Options by which the pictures' folder was read: those of the run's own data.
    """

    network: NetworkSpec
    pictures: Pictures
    probability: NDArray[np.float32]
    report: dict[str, Any]
    reading: ReadOptions = dataclasses.field(default_factory=ReadOptions)


def evaluate(
    run: Path,
    folder: Path,
    *,
    everything: bool = False,
    url: str | None = None,
    progress: Progress = no_progress,
) -> Evaluation:
    """Measure a finished run on its held-back pictures, or on all that are in a folder.

    Parameters
    ----------
    run
        The run folder.
    folder
        The data, as for training.
    everything
        Take all pictures. On the training data this flatters; it is meant for data of others.
    url
        Ask the engine that is served there (gRPC, ``host:port``) instead of the run's own weights.

    Raises
    ------
    SpecError
        When the run is not finished or damaged.
    TrainingError
        When the data are unfit, or do not hold the pictures that the run held back.
    ServerError
        When the server cannot be reached, refuses, or serves another network than the run's.
    """
    spec = run_folder.read(run)
    if isinstance(spec.network, ClassifierSpec):
        raise SpecError(
            f"{run} holds a {spec.network.label}, which has no masks to measure: see its metrics.json, "
            "or compare it with a segmentation by `infmap-train compare-maps` and `detection-study`"
        )
    anatomy = member(Anatomy, spec.anatomy)
    names = None if everything else run_folder.held_back_names(run)
    reading = ReadOptions.of_training(spec.training)
    listed = read_dataset(folder, reading)
    samples = [sample for sample in listed if sample.has_truth(anatomy)]
    if not samples:
        raise TrainingError(
            f"expected masks of the {anatomy} in {folder}, which {run} was trained on, found none: pass data "
            "with them"
        )
    if names is not None:
        samples = [sample for sample in samples if sample.name in names]
        if len(samples) < len(names):
            raise TrainingError(
                f"{run} held back {len(names)} pictures, and {folder} has {len(samples)} of them: "
                "pass the data that it was trained on, or --all to measure on other data"
            )
    pictures = load(samples, anatomy=anatomy)
    if url:
        probability = ask_server(url, pictures.images, spec=spec, progress=progress)
    else:
        probability = predict_run(run, pictures.images, progress=progress)
    report = figures_of(pictures, probability)
    with_lungs = [row for row, sample in enumerate(samples) if sample.lung_mask]
    if anatomy is Anatomy.INFECTION and with_lungs:
        lungs = load([samples[row] for row in with_lungs], anatomy=Anatomy.LUNGS).masks
        report["outside_lungs"] = outside_lungs(lungs, probability[with_lungs])
    return Evaluation(spec.network, pictures, probability, report, reading)


def outside_lungs(lungs: NDArray[np.uint8], probability: NDArray[np.float32]) -> dict[str, Any]:
    """The share of the predicted infection that lies outside the lungs, where it must be wrong.

    Parameters
    ----------
    lungs
        (N, 224, 224) uint8, 0 or 1.
    probability
        (N, 224, 224) float32 in [0, 1].

    Returns
    -------
    dict
        ``images``; ``pixels`` of 0.5 and more, and ``outside``, those of them outside the lungs; their
        ``share``, not a number where there are none; and ``images_outside``, the pictures that have any.
    """
    infected = probability >= DETECTION_THRESHOLD
    beyond = infected & (lungs == 0)
    pixels, outside = int(infected.sum()), int(beyond.sum())
    return {
        "images": len(lungs),
        "pixels": pixels,
        "outside": outside,
        "share": outside / pixels if pixels else float("nan"),
        "images_outside": int(beyond.any(axis=(1, 2)).sum()),
    }
