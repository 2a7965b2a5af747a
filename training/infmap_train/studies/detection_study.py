"""The best detector of COVID-19: the mask's peak, its area, or a classifier; and from which score on.

The paper's rule (II-D) is one point among them: any pixel of 0.5 or more.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infmap_kit.model.files import write_json
from infmap_kit.model.spec import DETECTION_THRESHOLD
from infmap_kit.progress import Progress, no_progress
from infmap_kit.report.table import Table
from infmap_train.data.dataset import Pictures, split_by_group
from infmap_train.data.output import json_ready
from infmap_train.evaluation import detection_plots, metrics, plots, tables, weighted
from infmap_train.evaluation.bootstrap import DRAWS, Interval, Resamples
from infmap_train.studies.predictions import Predictions

PEAK, AREA, MEAN = "largest probability", "infected area (%)", "mean probability (%)"
CLASSIFIER = "classifier"
BOTH = "mean of largest probability and classifier"
ANY_PIXEL = "any pixel of 0.5 (the paper's rule)"

Scores = dict[str, NDArray[np.float64]]


def scores_of(predictions: Predictions) -> Scores:
    """Every score of every radiograph, (N,) float64 each; higher is more like COVID-19."""
    probability = predictions.infection.astype(np.float64)
    peak = probability.max(axis=(1, 2))
    return {
        PEAK: peak,
        AREA: 100 * (probability >= DETECTION_THRESHOLD).mean(axis=(1, 2)),
        MEAN: 100 * probability.mean(axis=(1, 2)),
        CLASSIFIER: predictions.probability.astype(np.float64),
        BOTH: (peak + predictions.probability) / 2,
    }


def best_threshold(covid: NDArray[np.bool_], score: NDArray[np.float64], beta: float = 2) -> float:
    """Find the score from which on an image is COVID-19, for the highest F-score; among equals the highest.

    Parameters
    ----------
    covid
        (N,) bool.
    score
        (N,) float64. Every value that occurs is tried.
    beta
        2 weighs sensitivity above precision (eq. 12).
    """
    candidates, place = np.unique(score, return_inverse=True)
    detected, hits = (
        np.bincount(place, weights=of, minlength=candidates.size)[::-1].cumsum()
        for of in (np.ones(covid.size), covid)
    )
    # F = (1 + b) TP / (TP + FP + b (TP + FN)), where the first two are all that is detected (eq. 12).
    f_scores = (1 + beta**2) * hits / np.maximum(detected + beta**2 * covid.sum(), 1)
    return float(candidates[::-1][int(np.argmax(f_scores))])


def study(
    predictions: Predictions,
    *,
    draws: int = DRAWS,
    seed: int = 0,
    progress: Progress = no_progress,
) -> dict[str, Any]:
    """Measure the curves' areas of every score, and thresholds chosen on one half and reported on the other.

    Parameters
    ----------
    predictions
        Predictions on COVID-19 and normal radiographs.
    draws
        Number of the bootstrap's draws.
    seed
        Seed of the halves (by patient group, stratified) and of the bootstrap.

    Returns
    -------
    dict
        ``scores``: by score the area under the ROC curve and the average precision, with intervals.
        ``rules``: by rule the threshold, and on the other half sensitivity, specificity, precision,
        F1 and F2 with intervals, and the counts; then the same with the halves exchanged.

    Raises
    ------
    UnfitData
        When a class has fewer than two patient groups.
    """
    pictures, scores = predictions.pictures, scores_of(predictions)
    drawn = partial(Resamples, draws=draws, seed=seed)
    chosen_on, reported_on = split_by_group(pictures.samples, folds=2, seed=seed)[0]
    over_all, areas = drawn(pictures.groups), {}
    for number, (name, score) in enumerate(scores.items(), start=1):
        areas[name] = _areas(pictures.covid, score, over_all)
        progress("intervals of the scores", number, len(scores))
    return {
        **predictions.identity(),
        "images": pictures.counts(),
        "patient_groups": len(set(pictures.groups)),
        "scores": areas,
        "rules": _rules(pictures, scores, chosen_on, reported_on, drawn, progress),
        "rules_with_halves_exchanged": _rules(
            pictures, scores, reported_on, chosen_on, drawn, progress
        ),
    }


def _areas(
    covid: NDArray[np.bool_], score: NDArray[np.float64], drawn: Resamples
) -> dict[str, Any]:
    return {
        "auc": drawn.interval(weighted.auc(covid, score)).as_dict(),
        "average_precision": drawn.interval(weighted.average_precision(covid, score)).as_dict(),
    }


def _rules(
    pictures: Pictures,
    scores: Scores,
    chosen_on: NDArray[np.intp],
    reported_on: NDArray[np.intp],
    draw: Callable[..., Resamples],
    progress: Progress,
) -> dict[str, Any]:
    covid = pictures.covid
    rules = {
        ANY_PIXEL: (PEAK, DETECTION_THRESHOLD),
        f"{CLASSIFIER}, 0.5": (CLASSIFIER, DETECTION_THRESHOLD),
        **{
            f"{name}, best F2": (name, best_threshold(covid[chosen_on], score[chosen_on]))
            for name, score in scores.items()
        },
    }
    drawn = draw([pictures.groups[row] for row in reported_on])
    reported = {}
    for number, (label, (name, threshold)) in enumerate(rules.items(), start=1):
        detected = scores[name][reported_on] >= threshold
        figures = _decisions(covid[reported_on], detected, drawn)
        reported[label] = {"score": name, "threshold": threshold, **figures}
        progress("intervals of the rules", number, len(rules))
    return reported


def _decisions(
    covid: NDArray[np.bool_], detected: NDArray[np.bool_], drawn: Resamples
) -> dict[str, Any]:
    counts = weighted.counts_of(covid, detected)
    confusion = metrics.Confusion.count(covid, detected)
    return {
        **{
            name: drawn.interval(weighted.confusion_metric(counts, name)).as_dict()
            for name in ("sensitivity", "specificity", "precision", "f1", "f2")
        },
        "covid": confusion.positives,
        "normal": confusion.negatives,
        "missed": confusion.false_negative,
        "false_alarms": confusion.false_positive,
    }


def study_tables(report: dict[str, Any]) -> list[Table]:
    """Make two tables: the scores' curves, and the rules on the other half."""
    images = report["images"]
    half = next(iter(report["rules"].values()))
    other_way = report["rules_with_halves_exchanged"]
    return [
        Table(
            f"Detection scores over {images['covid']} COVID-19 and {images['normal']} normal "
            "radiographs (95 % interval by patient group)",
            ("score", "AUC", "average precision"),
            tuple(
                (name, *(Interval(**areas[key]).text() for key in ("auc", "average_precision")))
                for name, areas in report["scores"].items()
            ),
        ),
        Table(
            f"Rules on the half that no threshold was chosen on: {half['covid']} COVID-19, "
            f"{half['normal']} normal (95 % interval by patient group)",
            (
                *("rule", "threshold", "sensitivity", "specificity", "F2"),
                *("with the halves exchanged: threshold", "F2"),
            ),
            tuple(
                (
                    label,
                    f"{rule['threshold']:.3g}",
                    *(Interval(**rule[key]).text() for key in ("sensitivity", "specificity", "f2")),
                    f"{other_way[label]['threshold']:.3g}",
                    f"{other_way[label]['f2']['value']:.3f}",
                )
                for label, rule in report["rules"].items()
            ),
        ),
    ]


def write_study(predictions: Predictions, report: dict[str, Any], folder: Path) -> list[Path]:
    """Write ``detection.json``, ``.md``, ``.csv``, ``.tex``, ``roc.png`` and ``precision_recall.png``.

    None of it shows a radiograph. The marked point is the paper's rule over all pictures.
    """
    covid, scores = predictions.pictures.covid, scores_of(predictions)
    rule = metrics.image_confusion(covid, scores[PEAK])
    labelled = {
        f"{name}: {report['scores'][name]['auc']['value']:.3f}": score
        for name, score in scores.items()
    }
    figures = {
        "roc.png": detection_plots.draw_roc(
            covid, labelled, {ANY_PIXEL: (1 - rule.specificity, rule.sensitivity)}
        ),
        "precision_recall.png": detection_plots.draw_precision_recall(
            covid, dict(scores), {ANY_PIXEL: (rule.sensitivity, rule.precision)}
        ),
    }
    write_json(folder / "detection.json", json_ready(report))
    return [
        folder / "detection.json",
        *tables.write(study_tables(report), folder, "detection"),
        *plots.save(figures, folder),
    ]
