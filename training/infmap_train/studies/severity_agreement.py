"""Agreement of a network's severity, of true masks and of experts' scores with each other."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infmap_kit.answer.severity import lung_answer
from infmap_kit.errors import TrainingError
from infmap_kit.model.spec import DETECTION_THRESHOLD, Anatomy
from infmap_kit.progress import Progress, no_progress
from infmap_train import run_folder
from infmap_train.data.dataset import load
from infmap_train.data.layouts import read_dataset
from infmap_train.data.output import json_ready
from infmap_train.data.scores import ZONES, Rating, read_scores
from infmap_train.evaluation.agreement import agreement
from infmap_train.evaluation.evaluate import Evaluation, predict_run

NETWORK = "network"
MASKS = "masks"


@dataclasses.dataclass(frozen=True)
class SeverityAgreement:
    """The raters' scores of pictures, and how well they agree.

    Parameters
    ----------
    names
        (N,) names of all scored pictures in the data.
    ratings
        The network's first (NaN where it was not measured), the true masks', then the experts'.
    measured
        Rows on which the network is measured.
    report
        JSON-ready figures.
    """

    names: tuple[str, ...]
    ratings: tuple[Rating, ...]
    measured: NDArray[np.intp]
    report: dict[str, Any]


def severity_agreement(
    evaluation: Evaluation,
    run: Path,
    folder: Path,
    scores: Path,
    *,
    lung_run: Path | None = None,
    everything: bool = False,
    resamples: int = 1000,
    progress: Progress = no_progress,
) -> SeverityAgreement:
    """Compare severity with experts, on the pictures of an evaluation that they scored.

    Severity is infected over lung area (:mod:`infmap_kit.answer.severity`). Masks and experts, which need
    no network, are also compared on all scored pictures.

    Parameters
    ----------
    evaluation
        Evaluation of an infection run.
    run
        That run's folder.
    folder
        The data, with lung masks.
    scores
        CSV file for :func:`infmap_train.data.scores.read_scores`.
    lung_run
        Run folder of a lung network; without one the network's infection is held against the true lungs.
        Pictures that it was trained on are left out, unless ``everything``.
    everything
        Whether the evaluation is of all pictures.
    resamples
        Number of the bootstrap's draws.

    Raises
    ------
    UnfitData
        When scores are no numbers or out of range.
    TrainingError
        When the runs are of other anatomies, no scored picture was evaluated, or the lung run does not say what
        it was trained on and not everything is taken.
    SpecError
        When the lung run is not finished or damaged.
    """
    if evaluation.pictures.anatomy is not Anatomy.INFECTION:
        raise TrainingError(f"expected a run of the infection, found {run} of the lungs: swap them")
    scored, experts = read_scores(scores)
    by_name = {sample.name: sample for sample in read_dataset(folder, evaluation.reading)}
    rows = [row for row, name in enumerate(scored) if name in by_name]
    samples = [by_name[scored[row]] for row in rows]
    seen = run_folder.seen_names(run)
    seen_by_lungs = run_folder.seen_names(lung_run) if lung_run else set()
    if seen_by_lungs is None and not everything:
        raise TrainingError(
            f"{lung_run} does not say what it was trained on: pass --all to take all pictures, which flatters "
            "where it was trained on them"
        )
    left_out = set() if everything else seen_by_lungs or set()
    evaluated = {s.name: row for row, s in enumerate(evaluation.pictures.samples)}
    measured = np.flatnonzero([s.name in evaluated and s.name not in left_out for s in samples])
    if not measured.size:
        raise TrainingError(
            f"not one of the {len(scored)} pictures scored in {scores} is among the {len(evaluated)} that "
            "were evaluated: pass --all to take those too that the network was trained on"
        )
    infections = load(samples)
    lungs = load(samples, anatomy=Anatomy.LUNGS)
    truth = _rating(MASKS, infections.masks, lungs.masks > 0)
    probability = np.zeros(infections.masks.shape, np.float32)
    probability[measured] = evaluation.probability[
        [evaluated[samples[row].name] for row in measured]
    ]
    # No lung anywhere else: where the network is not measured, it has no score.
    measured_lungs = np.zeros(lungs.masks.shape, bool)
    measured_lungs[measured] = (
        _predicted_lungs(lung_run, lungs.images[measured], progress)
        if lung_run
        else lungs.masks[measured] > 0
    )
    network = _rating(NETWORK, probability, measured_lungs)
    ratings = (network, truth, *(expert.take(rows) for expert in experts))
    patients = infections.groups
    names = tuple(sample.name for sample in samples)
    trained_on = None
    if seen is not None and seen_by_lungs is not None:
        trained_on = len((seen | seen_by_lungs) & {names[row] for row in measured})

    def pairs(who: Sequence[Rating], rows: NDArray[np.intp]) -> list[dict[str, Any]]:
        return list(_pairs(who, patients, rows, resamples=resamples, progress=progress))

    report = {
        "scored": len(samples),
        "measured": len(measured),
        "of_those_trained_on": trained_on,
        "lungs": f"of the network {run_folder.read(lung_run).version}"
        if lung_run
        else "true masks",
        "resamples": resamples,
        "pairs": pairs(ratings, measured),
        "pairs_without_network": pairs(ratings[1:], np.arange(len(samples))),
    }
    return SeverityAgreement(names, ratings, measured, json_ready(report))


def _pairs(
    ratings: Sequence[Rating],
    patients: Sequence[str],
    rows: NDArray[np.intp],
    *,
    resamples: int,
    progress: Progress,
) -> Iterator[dict[str, Any]]:
    """Compare every two raters: whole pictures, the zones together, and zone by zone."""
    chosen = [patients[row] for row in rows]
    pairs = list(itertools.combinations([rating.take(rows) for rating in ratings], 2))
    for number, (first, second) in enumerate(pairs):
        progress("comparing raters", number + 1, len(pairs))
        parts = {"whole": (first.total, second.total)}
        if first.zones is not None and second.zones is not None:
            parts["zones"] = (first.zones, second.zones)
            zoned = zip(ZONES, first.zones.T, second.zones.T, strict=True)
            parts |= {zone: (a, b) for zone, a, b in zoned}
        for part, (a, b) in parts.items():
            figures = dataclasses.asdict(agreement(a, b, chosen, resamples=resamples))
            yield {"first": first.label, "second": second.label, "part": part, **figures}


def _rating(label: str, infection: NDArray[Any], lungs: NDArray[np.bool_]) -> Rating:
    """Severity of pictures by the definition; no score where there is no lung."""
    total = np.full(len(lungs), np.nan)
    zones = np.full((len(lungs), len(ZONES)), np.nan)
    for row in np.flatnonzero(lungs.any(axis=(1, 2))):
        figures = lung_answer(
            infection[row].astype(np.float32), lungs[row], threshold=DETECTION_THRESHOLD
        )
        total[row], zones[row] = figures.severity_percent, figures.zones
    return Rating(label, total, zones)


def _predicted_lungs(
    lung_run: Path, images: NDArray[np.uint8], progress: Progress
) -> NDArray[np.bool_]:
    if run_folder.read(lung_run).anatomy is not Anatomy.LUNGS:
        raise TrainingError(f"expected a run of the lungs, found {lung_run} of the infection")
    probability = predict_run(lung_run, images, progress=progress)
    return np.asarray(probability >= DETECTION_THRESHOLD)
