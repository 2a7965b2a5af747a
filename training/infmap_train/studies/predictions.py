"""Predictions of a segmentation network and a classifier on the same radiographs, held back by both."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from infmap_kit.errors import SpecError, TrainingError
from infmap_kit.model.run_folder import CLASSIFIER_GRAPH
from infmap_kit.model.spec import Anatomy, ClassifierSpec, ModelSpec
from infmap_kit.progress import Progress, no_progress
from infmap_train import run_folder
from infmap_train.data.dataset import Pictures, load
from infmap_train.data.layouts import read_dataset
from infmap_train.evaluation.evaluate import ask_graph, predict_run
from infmap_train.options import ReadOptions


@dataclasses.dataclass(frozen=True, kw_only=True)
class Predictions:
    """Both networks' predictions, row by row with the pictures.

    Parameters
    ----------
    network, classifier
        The two runs' records.
    pictures
        Radiographs with infection masks.
    lungs
        (N, 224, 224) uint8, 0 or 1; empty where no lung mask is known.
    infection
        (N, 224, 224) float32 in [0, 1]: the segmentation's probability.
    activation
        (N, 224, 224) float32 in [0, 1]: the classifier's Grad-CAM, relative to its own peak.
    probability
        (N,) float32 in [0, 1]: the classifier's probability of COVID-19.
    others
        Maps of further networks and classifiers, (N, 224, 224) float32 in [0, 1], by what they are.
    """

    network: ModelSpec
    classifier: ModelSpec
    pictures: Pictures
    lungs: NDArray[np.uint8]
    infection: NDArray[np.float32]
    activation: NDArray[np.float32]
    probability: NDArray[np.float32]
    others: Mapping[str, NDArray[np.float32]] = dataclasses.field(default_factory=dict)

    def identity(self) -> dict[str, dict[str, str]]:
        """Name and version of both, as reports have them."""
        return {
            "network": {"name": self.network.name, "version": self.network.version},
            "classifier": {"name": self.classifier.name, "version": self.classifier.version},
        }


def explain_run(
    run: Path, images: NDArray[np.uint8], *, progress: Progress = no_progress
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A classifier's probabilities (N,) and activation maps (N, 224, 224).

    By Grad-CAM of its weights, or without them by its graph, whose map is the same without a gradient (see
    :mod:`infmap_train.networks.gradcam`).
    """
    spec = run_folder.read(run)
    if not run_folder.has_weights(spec):
        outputs = ["CLASSIFIER_PROBABILITY", "ACTIVATION_MAP"]
        probability, activation = ask_graph(
            run / CLASSIFIER_GRAPH, outputs, images, progress=progress
        )
        return probability, activation
    from infmap_train.networks.gradcam import activation_maps

    model, _ = run_folder.load_network(run)
    return activation_maps(model, spec.network.encoder, images, progress=progress)


def predict_both(
    run: Path,
    classifier_run: Path,
    folder: Path,
    *,
    also: Sequence[Path] = (),
    everything: bool = False,
    covid_only: bool = False,
    progress: Progress = no_progress,
) -> Predictions:
    """Run both networks over the pictures that neither was trained on.

    Parameters
    ----------
    run, classifier_run
        Finished run folders of `infmap-train fit` and `infmap-train classify`.
    folder
        The data, as for training.
    also
        Further finished runs of either kind, whose maps are taken too.
    everything
        Take all pictures; for data of others.
    covid_only
        Leave normal radiographs out.

    Raises
    ------
    SpecError
        When a run is not finished, damaged, or of the other kind.
    TrainingError
        When the data are unfit, or lack pictures that both held back.
    """
    spec, classifier_spec = run_folder.read(run), run_folder.read(classifier_run)
    if isinstance(spec.network, ClassifierSpec) or spec.anatomy is Anatomy.LUNGS:
        raise SpecError(
            f"{run} holds {spec.name}: expected a network that segments the infection, "
            "of `infmap-train fit`"
        )
    if not isinstance(classifier_spec.network, ClassifierSpec):
        raise SpecError(
            f"{classifier_run} holds {classifier_spec.name}: expected a classifier, "
            "of `infmap-train classify`"
        )
    for further in also:
        if run_folder.read(further).anatomy is Anatomy.LUNGS:
            raise SpecError(
                f"expected runs of the infection, found {further} of the lungs: leave it out"
            )
    samples = read_dataset(folder, ReadOptions.of_training(spec.training))
    if not everything:
        runs = (run, classifier_run, *also)
        names = set.intersection(*map(run_folder.held_back_names, runs))
        samples = [sample for sample in samples if sample.name in names]
        if not names or len(samples) < len(names):
            raise TrainingError(
                f"{', '.join(map(str, runs))} held back {len(names)} pictures in common, and {folder} "
                f"has {len(samples)} of them: pass the data that all were trained on, with the same "
                "folds and seed, or --all for other data"
            )
    samples = [sample for sample in samples if sample.covid or not covid_only]
    if not samples:
        raise TrainingError(
            f"expected radiographs of COVID-19 in {folder} to compare maps on, found none: pass other data"
        )
    pictures = load(samples, progress=progress)
    infection = predict_run(run, pictures.images, progress=progress)
    probability, activation = explain_run(classifier_run, pictures.images, progress=progress)
    return Predictions(
        network=spec,
        classifier=classifier_spec,
        pictures=pictures,
        lungs=load(samples, anatomy=Anatomy.LUNGS).masks,
        infection=infection,
        activation=activation,
        probability=probability,
        others={
            label: _maps_of(further, pictures.images, progress)
            for label, further in _labelled(also).items()
        },
    )


def _labelled(runs: Sequence[Path]) -> dict[str, Path]:
    """Further runs by what their maps are; two trainings of one network by their versions too."""
    specs = [run_folder.read(run) for run in runs]
    labels = [
        f"{'activation' if isinstance(spec.network, ClassifierSpec) else 'infection'} map, {spec.network.label}"
        for spec in specs
    ]
    return {
        label if labels.count(label) == 1 else f"{label} {spec.version}": run
        for label, spec, run in zip(labels, specs, runs, strict=True)
    }


def _maps_of(run: Path, images: NDArray[np.uint8], progress: Progress) -> NDArray[np.float32]:
    if isinstance(run_folder.read(run).network, ClassifierSpec):
        return explain_run(run, images, progress=progress)[1]
    return predict_run(run, images, progress=progress)
