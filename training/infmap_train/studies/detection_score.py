"""Choose a finished run's detection score and its operating points; measure it against each control group.

The paper's any-pixel rule (II-D) decides by the largest probability. Whether another score puts radiographs in
a better order is measured here, and against whom: what tells COVID-19 from normal radiographs well may not tell
it from another pneumonia.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infmap_kit.graphs.detection_score import PIXELS, detection_score_graph, score_of
from infmap_kit.graphs.temperature import read_temperature
from infmap_kit.model.files import sha256_of, write_bytes, write_json
from infmap_kit.model.run_folder import DETECTION_SCORE, DETECTION_SCORE_GRAPH, RunFolder
from infmap_kit.model.spec import DETECTION_THRESHOLD
from infmap_kit.progress import Progress, no_progress
from infmap_kit.report.table import Table
from infmap_train import run_folder
from infmap_train.data.dataset import OTHER, Sample, load, read_index, split_by_group
from infmap_train.data.output import json_ready
from infmap_train.evaluation import weighted
from infmap_train.evaluation.bootstrap import DRAWS, Interval, Resamples
from infmap_train.evaluation.calibration import tempered
from infmap_train.evaluation.evaluate import Evaluation, evaluate, predict_run

ANY_PIXEL = "any pixel"
"""The paper's rule: the largest probability, which decides at 0.5."""

_SHARE = 0.95

Scores = Mapping[str, NDArray[np.float64]]


def choose_detection_score(
    run: Path, folder: Path, *, seed: int = 0, draws: int = DRAWS, progress: Progress = no_progress
) -> dict[str, Any]:
    """Choose a run's rule, measure it fairly, and write ``detection_score.onnx`` and ``detection_score.json``.

    The held-back patients are parted in two halves. The rule of the largest area under the ROC curve, and its
    operating points, are chosen on one half and told on the other; what is handed on is chosen on both. Scores
    are of calibrated probabilities, where the run is calibrated.

    Parameters
    ----------
    run
        The run folder; gets both files, of which the JSON is written last.
    folder
        The data that it was trained on. What is of the class ``other`` there is a control group too, where the
        network did not learn from it.
    seed
        Seed of the halves.
    draws
        Number of the bootstrap's draws.

    Returns
    -------
    dict
        The content of ``detection_score.json``.

    Raises
    ------
    SpecError
        When the run is not finished or damaged, or does not say what it held back.
    TrainingError
        When the data are unfit, or lack the pictures that were held back.
    """
    spec = run_folder.read(run)
    temperature = read_temperature(RunFolder(run))
    evaluation = evaluate(run, folder, progress=progress)
    others = _others(run, folder)
    of_others = predict_run(run, load(others).images, progress=progress) if others else None
    samples = [*evaluation.pictures.samples, *others]
    parts = [evaluation.probability, *([] if of_others is None else [of_others])]
    probability = np.concatenate(parts)
    scores = scores_of(probability if temperature == 1 else tempered(probability, temperature))
    covid = evaluation.pictures.covid
    own = {name: score[: len(covid)] for name, score in scores.items()}
    halves = []
    for chosen, told in split_by_group(evaluation.pictures.samples, folds=2, seed=seed):
        rule = best_rule(covid[chosen], {name: score[chosen] for name, score in own.items()})
        points = operating_points(covid[chosen], own[rule][chosen])
        halves.append(
            {
                "rule": rule,
                **points,
                "chosen_on": len(chosen),
                "told_on": len(told),
                "told": _decisions(covid[told], own[rule][told], points),
            }
        )
    rule = best_rule(covid, own)
    write_bytes(
        run / DETECTION_SCORE_GRAPH,
        detection_score_graph(rule).SerializeToString(deterministic=True),
    )
    document = json_ready(
        {
            "rule": rule,
            "operating_points": operating_points(covid, own[rule]),
            "temperature": temperature,
            "spec_version": spec.version,
            "graph_sha256": sha256_of(run / DETECTION_SCORE_GRAPH),
            "chosen_on": "all held-back pictures",
            "halves": halves,
            "against": against_groups(samples, scores, draws=draws),
        }
    )
    write_json(run / DETECTION_SCORE, document)
    return dict(document)


def scores_of(probability: NDArray[np.float32]) -> dict[str, NDArray[np.float64]]:
    """Each rule's score of each radiograph, (N,), of probabilities, (N, 224, 224)."""
    largest = probability.max(axis=(1, 2)).astype(np.float64)
    return {ANY_PIXEL: largest, **{rule: score_of(probability, rule) for rule in PIXELS}}


def best_rule(covid: NDArray[np.bool_], scores: Scores) -> str:
    """The rule besides the paper's of the largest area under the ROC curve; of several the first."""
    ones = np.ones((1, len(covid)), np.int32)
    return max(PIXELS, key=lambda rule: float(weighted.auc(covid, scores[rule])(ones)[0]))


def operating_points(covid: NDArray[np.bool_], score: NDArray[np.float64]) -> dict[str, float]:
    """The scores from which on at least 95 % of COVID-19 are detected, and at most 5 % of the others."""
    ill, well = np.sort(score[covid]), np.sort(score[~covid])
    # The score of the last that has to be detected; and just above that of the last that must not be.
    highest_missed = well[int(np.ceil(_SHARE * len(well))) - 1]
    return {
        "at_95_sensitivity": float(ill[int(np.floor((1 - _SHARE) * len(ill) + 1e-9))]),
        "at_95_specificity": float(np.nextafter(np.float32(highest_missed), np.float32(2))),
    }


def against_groups(
    samples: Sequence[Sample], scores: Scores, *, draws: int = DRAWS
) -> dict[str, dict[str, Any]]:
    """AUC and operating points of each rule for COVID-19 against each group of controls.

    Groups are the controls' classes and sources, as the data name them; the operating points are those that
    each group itself would ask for, so that groups can be compared.

    Returns
    -------
    dict
        By group: ``controls``, and by rule ``auc``, ``specificity_at_95_sensitivity`` and
        ``sensitivity_at_95_specificity`` with intervals by patient; and ``called_covid_by_any_pixel``, the
        share of the group that the paper's rule calls COVID-19.
    """
    kinds = np.array([f"{sample.kind}: {sample.source}" for sample in samples])
    covid = np.array([sample.covid for sample in samples])
    groups = np.array([sample.group for sample in samples])
    report: dict[str, dict[str, Any]] = {}
    for kind in sorted(set(kinds[~covid])):
        rows = np.flatnonzero(covid | (kinds == kind))
        drawn = Resamples([str(name) for name in groups[rows]], draws=draws)
        of_group: dict[str, Any] = {"controls": int((kinds == kind).sum())}
        for rule, score in scores.items():
            is_ill, values = covid[rows], score[rows]
            points = operating_points(is_ill, values)
            of_group[rule] = {
                "auc": drawn.interval(weighted.auc(is_ill, values)).as_dict(),
                **_decisions(is_ill, values, points, drawn),
            }
        called = scores[ANY_PIXEL][kinds == kind] >= DETECTION_THRESHOLD
        of_group["called_covid_by_any_pixel"] = float(called.mean())
        report[kind] = of_group
    return report


def _decisions(
    covid: NDArray[np.bool_],
    score: NDArray[np.float64],
    points: Mapping[str, float],
    drawn: Resamples | None = None,
) -> dict[str, Any]:
    """Specificity at the point of 95 % sensitivity, and sensitivity at that of 95 % specificity."""
    figures: dict[str, Any] = {}
    for name, point in (("specificity", "at_95_sensitivity"), ("sensitivity", "at_95_specificity")):
        statistic = weighted.confusion_metric(
            weighted.counts_of(covid, score >= points[point]), name
        )
        value = float(statistic(np.ones((1, len(covid)), np.int32))[0])
        figures[f"{name}_{point}"] = value if drawn is None else drawn.interval(statistic).as_dict()
    return figures


def _others(run: Path, folder: Path) -> list[Sample]:
    if not (folder / "index.csv").is_file():
        return []
    seen = run_folder.seen_names(run) or set()
    listed = read_index(folder, to_train=False)
    return [sample for sample in listed if sample.kind == OTHER and sample.name not in seen]


def score_tables(against: Mapping[str, Mapping[str, Any]]) -> list[Table]:
    """A table with a row for each group and rule."""
    rows = [
        (
            group,
            str(report["controls"]),
            rule,
            *(
                Interval(**report[rule][key]).text()
                for key in ("auc", "specificity_at_95_sensitivity", "sensitivity_at_95_specificity")
            ),
        )
        for group, report in against.items()
        for rule in (ANY_PIXEL, *PIXELS)
    ]
    columns = (
        *("against", "pictures", "rule", "AUC"),
        *("specificity at 95 % sensitivity", "sensitivity at 95 % specificity"),
    )
    title = "COVID-19 against each group of controls (95 % interval by patient)"
    return [Table(title, columns, rows)]


def evaluation_scores(evaluation: Evaluation) -> dict[str, dict[str, Any]]:
    """Compute what ``evaluate`` reports of every rule against the controls that were measured."""
    return against_groups(evaluation.pictures.samples, scores_of(evaluation.probability))
