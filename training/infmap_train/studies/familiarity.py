"""Fit a finished run's familiarity: whether a picture is like those that the network learnt from."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infmap_kit.errors import SpecError, TrainingError
from infmap_kit.gate.engines import OnnxRuntimeEngine
from infmap_kit.graphs.familiarity import (
    Gaussian,
    deepest_features,
    familiarity_graph,
    with_features,
)
from infmap_kit.graphs.preparation import prepare_segmentation, read_graph
from infmap_kit.model.files import sha256_of, write_bytes, write_json
from infmap_kit.model.run_folder import FAMILIARITY, FAMILIARITY_GRAPH, SEGMENTATION_GRAPH
from infmap_kit.model.spec import Anatomy
from infmap_kit.model.tensors import FEATURES, IMAGE
from infmap_kit.progress import Progress, no_progress
from infmap_kit.report.table import Table
from infmap_train import run_folder
from infmap_train.data.dataset import Pictures, Sample, load, split_by_group
from infmap_train.data.layouts import read_dataset
from infmap_train.data.output import json_ready
from infmap_train.options import ReadOptions

FLAGGED = 0.01
"""Share of the held-back radiographs whose distance is beyond the threshold."""

DIRECTIONS = 64
"""Most directions of the features that have a variance of their own; see EXPERIMENTS.md."""

_BATCH_SIZE = 16


class FeatureExtractor:
    """The network of a finished run, asked for features of pictures: the means over a tensor, one a channel.

    Parameters
    ----------
    run
        The run folder.
    tensor
        Name of the tensor in the run's graph; the encoder's last one if empty.

    Raises
    ------
    SpecError
        When the run is not finished, damaged, or no network of the infection.
    ExportError
        When the network enlarges nothing, so that it has no encoder, or has no such tensor.
    """

    def __init__(self, run: Path, tensor: str = "") -> None:
        spec = run_folder.read(run)
        if SEGMENTATION_GRAPH not in spec.files or spec.anatomy is not Anatomy.INFECTION:
            raise SpecError(
                f"{run} holds {spec.name}, and familiarity is of networks that segment the infection: name "
                "such a run"
            )
        self.version = spec.version
        self.reading = ReadOptions.of_training(spec.training)
        graph = prepare_segmentation(read_graph(run / SEGMENTATION_GRAPH))
        self.tensor = tensor or deepest_features(graph)
        shown = with_features(graph, self.tensor)
        self._engine = OnnxRuntimeEngine(shown.SerializeToString())

    def features(
        self, images: NDArray[np.uint8], *, progress: Progress = no_progress
    ) -> NDArray[np.float32]:
        """Features of gray pictures, (N, 224, 224) uint8: (N, C) float32."""
        parts = []
        for start in range(0, len(images), _BATCH_SIZE):
            batch = images[start : start + _BATCH_SIZE]
            parts.append(self._engine.run({IMAGE.name: batch}, [FEATURES.name])[FEATURES.name])
            progress("features", start + len(batch), len(images))
        return np.concatenate(parts)


def fit_familiarity(
    run: Path,
    folder: Path,
    *,
    tensor: str = "",
    seed: int = 0,
    progress: Progress = no_progress,
) -> dict[str, Any]:
    """Fit a run's familiarity, measure it fairly, and write ``familiarity.onnx`` and ``familiarity.json``.

    The Gaussian is of the pictures that the network learnt from. The threshold is the distance beyond which 1 %
    of the held-back radiographs lie. How many are flagged is measured on pictures that did not set it: the
    held-back patients are parted in two halves, and each half is measured at the threshold that the other asks
    for. The threshold that is handed on is that of all of them.

    Parameters
    ----------
    run
        The run folder; gets both files, of which the JSON is written last.
    folder
        The data that it was trained on.
    tensor
        As for :class:`FeatureExtractor`.
    seed
        Seed by which the patients are split into halves.

    Returns
    -------
    dict
        The content of ``familiarity.json``.

    Raises
    ------
    SpecError
        When the run is not finished or damaged, or does not say what it was trained on.
    TrainingError
        When the data lack its pictures, or have too few patients.
    ExportError
        When the network has no such tensor.
    """
    extractor = FeatureExtractor(run, tensor)
    split = run_folder.read_split(run)
    listed = {sample.name: sample for sample in read_dataset(folder, extractor.reading)}
    learnt = _pictures(listed, split.train, run, folder, progress)
    held_back = _pictures(listed, split.held_back, run, folder, progress)
    features = extractor.features(learnt.images, progress=progress)
    gaussian = Gaussian.fit(features, min(DIRECTIONS, *(n // 2 for n in features.shape)))
    distance = gaussian.distance(extractor.features(held_back.images, progress=progress))
    threshold = threshold_of(distance)
    graph = familiarity_graph(gaussian, threshold)
    write_bytes(run / FAMILIARITY_GRAPH, graph.SerializeToString(deterministic=True))
    document = json_ready(
        {
            "tensor": extractor.tensor,
            "graph_sha256": sha256_of(run / FAMILIARITY_GRAPH),
            "spec_version": extractor.version,
            "features": len(gaussian.mean),
            "directions": len(gaussian.variances),
            "distance_at_0": threshold,
            "fitted_on": _described("the training part", learnt),
            "threshold_of": {
                **_described("all held-back pictures", held_back),
                "flagged_percent": 100 * FLAGGED,
            },
            **measure(held_back, distance, seed=seed),
        }
    )
    write_json(run / FAMILIARITY, document)
    return dict(document)


def threshold_of(distance: NDArray[np.float64]) -> float:
    """The distance beyond which 1 % of those given lie."""
    return float(np.quantile(distance, 1 - FLAGGED))


def measure(pictures: Pictures, distance: NDArray[np.float64], *, seed: int = 0) -> dict[str, Any]:
    """Share of each half of the patients that is flagged at the threshold of the other half, and of both.

    Parameters
    ----------
    pictures, distance
        Held-back pictures, and the (N,) distance of each.
    seed
        Seed of the halves.
    """
    flagged = np.zeros(len(distance), np.bool_)
    halves = []
    for chosen, measured in split_by_group(pictures.samples, folds=2, seed=seed):
        threshold = threshold_of(distance[chosen])
        flagged[measured] = distance[measured] > threshold
        halves.append(
            {
                "distance_at_0": threshold,
                "fitted_on": len(chosen),
                "told_on": len(measured),
                "flagged_percent": 100 * float(flagged[measured].mean()),
            }
        )
    by_source = {
        source: 100 * float(flagged[pictures.sources == source].mean())
        for source in sorted(set(pictures.sources.tolist()))
    }
    return {
        "flagged_percent": 100 * float(flagged.mean()),
        "halves": halves,
        "flagged_percent_by_source": by_source,
    }


def familiarity_table(document: Mapping[str, Any]) -> Table:
    """Make a row for each half and for both, on pictures that did not set their threshold."""
    rows = [
        (f"half {number}, threshold of {half['fitted_on']} others", half)
        for number, half in enumerate(document["halves"], start=1)
    ]
    return Table(
        f"Held-back radiographs flagged as unlike the {document['fitted_on']['pictures']} that the network "
        "learnt from; 'both' is served with the threshold of all",
        ("", "distance at 0", "flagged %"),
        [
            (label, f"{part['distance_at_0']:.3f}", f"{part['flagged_percent']:.2f}")
            for label, part in (*rows, ("both", document))
        ],
    )


def _pictures(
    listed: Mapping[str, Sample],
    names: Collection[str],
    run: Path,
    folder: Path,
    progress: Progress,
) -> Pictures:
    found = [listed[name] for name in names if name in listed]
    if len(found) < len(names):
        raise TrainingError(
            f"{run} names {len(names)} pictures of a part, and {folder} has {len(found)} of them: pass the "
            "data that it was trained on"
        )
    return load(found, progress=progress)


def _described(what: str, pictures: Pictures) -> dict[str, Any]:
    return {
        "what": what,
        "pictures": len(pictures.samples),
        "patient_groups": len(set(pictures.groups)),
        "dataset_fingerprint": pictures.fingerprint(),
    }
