"""A network's severity beside experts' scores, beside what masks reach, and experts beside each other."""

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
from infmap_kit.model.files import read_json
from infmap_kit.model.spec import DETECTION_THRESHOLD, Anatomy
from infmap_kit.progress import Progress, no_progress
from infmap_train import run_folder
from infmap_train.data.dataset import Pictures, Sample, load
from infmap_train.data.layouts import read_dataset
from infmap_train.data.scores import ZONES, Rating, read_scores
from infmap_train.evaluation.agreement import agreement
from infmap_train.evaluation.evaluate import Evaluation, predict

NETWORK = "network"
MASKS = "masks"


@dataclasses.dataclass(frozen=True)
class SeverityAgreement:
    """Who said what of the scored pictures, and how well they agree.

    Parameters
    ----------
    names
        (N,) of all scored pictures in the data.
    ratings
        The network's first (NaN where it was not asked), the truth masks', then the experts'.
    measured
        Rows that the network was asked about.
    report
        As JSON.
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

    Severity is infected over lung area (:mod:`infmap_kit.answer.severity`). What needs no network, masks
    and experts, is also compared on all scored pictures.

    Parameters
    ----------
    evaluation
        Of an infection run.
    run
        That run's folder.
    folder
        The data, with lung masks.
    scores
        As :func:`infmap_train.data.scores.read_scores` reads it.
    lung_run
        Run folder of a lung network; without one the network's infection is held against the true lungs.
        Pictures that it was trained on are left out, unless ``everything``.
    everything
        Whether the evaluation is of all pictures.
    resamples
        Of the bootstrap.

    Raises
    ------
    UnfitData
        When scores are no numbers or out of range.
    TrainingError
        When the runs are of other anatomies, or no scored picture was evaluated.
    SpecError
        When the lung run is not finished or damaged.
    """
    if evaluation.pictures.anatomy is not Anatomy.INFECTION:
        raise TrainingError(f"expected a run of the infection, found {run} of the lungs: swap them")
    scored, experts = read_scores(scores)
    by_name = {sample.name: sample for sample in read_dataset(folder)}
    rows = [row for row, name in enumerate(scored) if name in by_name]
    samples = [by_name[scored[row]] for row in rows]
    lungs_trained_on = _trained_on(lung_run) if lung_run else set()
    asked = {s.name: row for row, s in enumerate(evaluation.pictures.samples)}
    fresh = [s.name in asked and (everything or s.name not in lungs_trained_on) for s in samples]
    measured = np.flatnonzero(fresh)
    if not measured.size:
        raise TrainingError(
            f"not one of the {len(scored)} pictures scored in {scores} is among the {len(asked)} that were "
            "evaluated: pass --all to take those too that the network was trained on"
        )
    infections = load(samples)
    lungs = load(samples, anatomy=Anatomy.LUNGS)
    truth = _rating(MASKS, infections.masks.astype(np.float32), _known_lungs(lungs))
    probability = evaluation.probability[[asked[samples[row].name] for row in measured]]
    if lung_run:
        found: Sequence[NDArray[np.bool_] | None] = _found_lungs(
            lung_run, lungs.images[measured], progress
        )
    else:
        known = _known_lungs(lungs)
        found = [known[row] for row in measured]
    network = _spread_over(_rating(NETWORK, probability, found), measured, len(samples))
    ratings = (network, truth, *(expert.take(rows) for expert in experts))
    patients = [sample.group for sample in samples]
    names = tuple(sample.name for sample in samples)
    trained_on = (_trained_on(run) | lungs_trained_on) & {names[row] for row in measured}

    def pairs(who: Sequence[Rating], rows: NDArray[np.intp]) -> list[dict[str, Any]]:
        return list(_pairs(who, patients, rows, resamples=resamples, progress=progress))

    report = {
        "scored": len(samples),
        "measured": len(measured),
        "of_those_trained_on": len(trained_on),
        "lungs": f"of the network {run_folder.read(lung_run).version}"
        if lung_run
        else "true masks",
        "resamples": resamples,
        "pairs": pairs(ratings, measured),
        "pairs_without_network": pairs(ratings[1:], np.arange(len(samples))),
    }
    return SeverityAgreement(names, ratings, measured, run_folder.json_ready(report))


def _pairs(
    ratings: Sequence[Rating],
    patients: Sequence[str],
    rows: NDArray[np.intp],
    *,
    resamples: int,
    progress: Progress,
) -> Iterator[dict[str, Any]]:
    """Every two raters, in all, over the zones together, and zone by zone."""
    chosen = [patients[row] for row in rows]
    pairs = list(itertools.combinations([rating.take(rows) for rating in ratings], 2))
    for number, (one, other) in enumerate(pairs):
        progress("comparing raters", number + 1, len(pairs))
        who = {"first": one.label, "second": other.label}

        def told(
            part: str, a: NDArray[np.float64], b: NDArray[np.float64], who: dict[str, str] = who
        ) -> dict[str, Any]:
            figures = agreement(a, b, chosen, resamples=resamples)
            return {**who, "part": part, **dataclasses.asdict(figures)}

        yield told("whole", one.total, other.total)
        if one.zones is None or other.zones is None:
            continue
        yield told("zones", one.zones, other.zones)
        for column, zone in enumerate(ZONES):
            yield told(zone, one.zones[:, column], other.zones[:, column])


def _rating(
    label: str, probability: NDArray[np.float32], lungs: Sequence[NDArray[np.bool_] | None]
) -> Rating:
    """Severity of pictures by the definition; nothing where no lung is known."""
    total = np.full(len(probability), np.nan)
    zones = np.full((len(probability), len(ZONES)), np.nan)
    for row, lung in enumerate(lungs):
        if lung is None or not lung.any():
            continue
        figures = lung_answer(probability[row], lung, threshold=DETECTION_THRESHOLD)
        total[row], zones[row] = figures.severity_percent, figures.zones
    return Rating(label, total, zones)


def _spread_over(rating: Rating, rows: NDArray[np.intp], count: int) -> Rating:
    total = np.full(count, np.nan)
    zones = np.full((count, len(ZONES)), np.nan)
    total[rows], zones[rows] = rating.total, rating.zones
    return Rating(rating.label, total, zones)


def _known_lungs(lungs: Pictures) -> list[NDArray[np.bool_] | None]:
    def known(sample: Sample) -> bool:
        return sample.has_truth(Anatomy.LUNGS)

    return [
        mask > 0 if known(sample) else None
        for sample, mask in zip(lungs.samples, lungs.masks, strict=True)
    ]


def _found_lungs(
    lung_run: Path, images: NDArray[np.uint8], progress: Progress
) -> list[NDArray[np.bool_]]:
    model, spec = run_folder.load_network(lung_run)
    if spec.anatomy is not Anatomy.LUNGS:
        raise TrainingError(f"expected a run of the lungs, found {lung_run} of the infection")
    probability = predict(model, spec.network.encoder, images, progress=progress)
    return list(probability >= DETECTION_THRESHOLD)


def _trained_on(run: Path) -> set[str]:
    return set(read_json(run / run_folder.SPLIT)["train"])
