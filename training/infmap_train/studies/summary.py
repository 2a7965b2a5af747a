"""The paper's Tables I and III as 24 rows, and its Fig. 6, from whatever finished runs there are.

What ran of the edge network, which the paper does not have, stands below the 24.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from infmap_kit import paper
from infmap_kit.errors import TrainingError
from infmap_kit.model.files import write_json
from infmap_kit.model.run_folder import SPEC
from infmap_kit.model.spec import Anatomy, ModelSpec, NetworkSpec
from infmap_kit.progress import Progress, no_progress
from infmap_kit.report.table import Table
from infmap_train import run_folder
from infmap_train.data.output import json_ready
from infmap_train.evaluation import metrics, plots, tables
from infmap_train.evaluation.evaluate import evaluate
from infmap_train.evaluation.metrics import Confusion

_HEADINGS = {
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "precision": "Precision",
    "f1": "F1",
    "f2": "F2",
    "accuracy": "Accuracy",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class NetworkRuns:
    """The runs of one network, a fold each.

    Parameters
    ----------
    network
        One of the 24, or the edge network.
    folds
        How many parts the data were split into.
    runs
        By fold, counted from 0, the run folder and its record.
    """

    network: NetworkSpec
    folds: int
    runs: Mapping[int, tuple[Path, ModelSpec]]

    def cumulated(self, part: str) -> Confusion:
        """The folds' counts of ``pixels`` or ``detection``, added up."""
        first, *others = (Confusion.from_dict(spec.metrics[part]) for _, spec in self.runs.values())
        return sum(others, start=first)

    @property
    def auc(self) -> float:
        """Mean of the folds' areas under the pixels' ROC curve; NaN where none is known."""
        known = [spec.metrics["pixels"]["auc"] for _, spec in self.runs.values()]
        areas = [area for area in known if area is not None]
        return float(np.mean(areas)) if areas else math.nan


def collect(folders: Iterable[Path]) -> list[NetworkRuns]:
    """Find the finished runs of infection networks in folders, or below them.

    Parameters
    ----------
    folders
        Run folders, those of ``cross-validate``, or what holds them. Lungs and classifiers are left out.

    Raises
    ------
    TrainingError
        When there is no such run, or two runs of a network cannot be added up: of one fold, of other data, or
        of other folds.
    SpecError
        When a run is damaged.
    """
    found = dict.fromkeys(
        path.parent.resolve() for folder in folders for path in sorted(folder.rglob(SPEC))
    )
    by_network: dict[NetworkSpec, dict[int, tuple[Path, ModelSpec]]] = {}
    for run in found:
        spec = run_folder.read(run)
        if not isinstance(spec.network, NetworkSpec) or spec.anatomy is not Anatomy.INFECTION:
            continue
        beside = by_network.setdefault(spec.network, {})
        fold = spec.training.get("fold", 0)
        other, known = next(iter(beside.values()), (run, spec))
        if fold in beside:
            raise TrainingError(
                f"{beside[fold][0]} and {run} are both fold {fold + 1} of {spec.network.label}: name one"
            )
        if _split_of(known) != _split_of(spec):
            raise TrainingError(
                f"{other} and {run} are of {spec.network.label} on other data, folds or seed, and cannot be "
                "added up: name the runs of one cross-validation"
            )
        beside[fold] = run, spec
    if not by_network:
        raise TrainingError(
            "expected finished runs of an infection network in the folders that were named, found none: "
            "`infmap-train fit` writes them"
        )
    return [
        NetworkRuns(network=network, folds=_split_of(runs[min(runs)][1])[1], runs=runs)
        for network, runs in by_network.items()
    ]


def _split_of(spec: ModelSpec) -> tuple[str, int, int]:
    options = spec.training
    return spec.dataset_fingerprint, options.get("folds", 5), options.get("seed", 0)


def summary(networks: Iterable[NetworkRuns]) -> dict[str, Any]:
    """Cumulate the runs of each network; JSON-ready."""
    return dict(
        json_ready(
            {
                "networks": [
                    {
                        "network": dataclasses.asdict(of.network),
                        "runs": {str(fold + 1): str(run) for fold, (run, _) in of.runs.items()},
                        "folds": of.folds,
                        "pixels": {
                            **of.cumulated("pixels").figures(intervals=True),
                            "auc": of.auc,
                        },
                        "detection": of.cumulated("detection").figures(intervals=True),
                    }
                    for of in networks
                ]
            }
        )
    )


def summary_tables(networks: Iterable[NetworkRuns]) -> list[Table]:
    """Make Tables I and III as the paper's 24 rows, each with the paper's figure and the difference beside.

    Below them, without such figures, stand runs of the edge network. A difference is shown where a network's
    runs hold back as many radiographs as a fold of the paper's.
    """
    by_network = {of.network: of for of in networks}
    made = []
    for table, part, title in (
        (paper.SEGMENTATION, "pixels", "COVID-19 infected region segmentation (%), Table I"),
        (paper.DETECTION, "detection", "COVID-19 detection (%), Table III"),
    ):
        headings = _HEADINGS | ({"auc": "AUC"} if part == "pixels" else {})
        rows = [
            _row(printed, by_network.get(paper.network_of(printed)), part, list(headings))
            for printed in paper.rows(table)
        ]
        rows += [
            _outside_row(of, part, list(headings))
            for network, of in by_network.items()
            if not network.in_paper
        ]
        made.append(
            Table(
                f"{title}: measured (paper, difference)",
                ("network", *headings.values()),
                rows,
                notes=[
                    "All folds of a network are added up; without a difference, they are too few."
                ],
            )
        )
    return made


def _row(
    printed: Mapping[str, str], of: NetworkRuns | None, part: str, names: list[str]
) -> tuple[str, ...]:
    label = paper.network_of(dict(printed)).label
    if of is None:
        return (label, *(f"- ({float(printed[f'{name}_percent']):.2f})" for name in names))
    values = _values(of, part)
    comparable = tables.is_comparable(of.cumulated("detection"))

    def cell(name: str) -> str:
        theirs, ours = float(printed[f"{name}_percent"]), 100 * values[name]
        apart = f", {ours - theirs:+.2f}" if comparable and not math.isnan(ours) else ""
        return f"{_figure(ours)} ({theirs:.2f}{apart})"

    return (f"{label}{_folds(of)}", *map(cell, names))


def _outside_row(of: NetworkRuns, part: str, names: list[str]) -> tuple[str, ...]:
    values = _values(of, part)
    label = f"not in the paper: {of.network.label}{_folds(of)}"
    return (label, *(_figure(100 * values[name]) for name in names))


def _values(of: NetworkRuns, part: str) -> dict[str, float]:
    return {**of.cumulated(part).as_dict(), "auc": of.auc}


def _folds(of: NetworkRuns) -> str:
    return f" ({len(of.runs)} of {of.folds} folds)"


def _figure(percent: float) -> str:
    return "-" if math.isnan(percent) else f"{percent:.2f}"


def write_summary(
    networks: list[NetworkRuns],
    folder: Path,
    *,
    data: Path | None = None,
    progress: Progress = no_progress,
) -> list[Path]:
    """Write ``summary.json``, the tables as Markdown, CSV and LaTeX, and with the data Fig. 6.

    Parameters
    ----------
    data
        The data that all runs were trained on: each run answers what it held back, and a network's curve is
        over all its folds. Without it there is no ``precision_recall.png``.
    """
    write_json(folder / "summary.json", summary(networks))
    written = [folder / "summary.json", *tables.write(summary_tables(networks), folder, "summary")]
    if data:
        curves = {of.network.label: _curve(of, data, progress) for of in networks}
        figures = {"precision_recall.png": plots.draw_precision_recalls(curves)}
        written += plots.save(figures, folder)
    return written


def _curve(of: NetworkRuns, data: Path, progress: Progress) -> metrics.PrecisionRecall:
    counts = []
    for run, _ in of.runs.values():
        evaluation = evaluate(run, data, progress=progress)
        counts.append(metrics.pixel_histograms(evaluation.pictures.masks, evaluation.probability))
    infected, healthy = (sum(part[1:], start=part[0]) for part in zip(*counts, strict=True))
    return metrics.curve_of(infected, healthy)
