"""The paper's stratified cross-validation (III-A): every fold trained, one summary."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from infmap_kit.model.files import write_json
from infmap_kit.model.spec import ClassifierSpec, NetworkSpec
from infmap_kit.progress import Progress, no_progress
from infmap_kit.report.table import Table
from infmap_train.data.dataset import Pictures
from infmap_train.data.output import json_ready
from infmap_train.evaluation import tables
from infmap_train.evaluation.metrics import Confusion
from infmap_train.options import FitOptions
from infmap_train.training.classify import classify
from infmap_train.training.fit import fit


def cross_validate(
    network: NetworkSpec | ClassifierSpec,
    pictures: Pictures,
    folder: Path,
    options: FitOptions,
    *,
    data_licence: str = "not stated",
    progress: Progress = no_progress,
) -> dict[str, Any]:
    """Train on all folds, one run folder each, and cumulate the held-back parts' figures.

    Folds that are finished are read, and one that was interrupted is taken up.

    Parameters
    ----------
    folder
        Gets ``fold-1`` and so on, ``summary.json``, ``summary.csv`` and ``summary.md``.
    options
        Options of every fold; ``fold`` is ignored.

    Returns
    -------
    dict
        The summary, as in ``summary.json``.

    Raises
    ------
    TrainingError
        Whatever ``fit`` raises.
    """
    learn: Callable[..., dict[str, Any]] = classify if isinstance(network, ClassifierSpec) else fit

    def train(fold: int) -> dict[str, Any]:
        def progress_of_fold(description: str, done: int, total: int) -> None:
            progress(f"fold {fold + 1}/{options.folds}  {description}", done, total)

        return learn(
            network,
            pictures,
            folder / f"fold-{fold + 1}",
            dataclasses.replace(options, fold=fold),
            data_licence=data_licence,
            progress=progress_of_fold,
        )

    return summarise(network, [train(fold) for fold in range(options.folds)], folder)


def summarise(
    network: NetworkSpec | ClassifierSpec, reports: list[dict[str, Any]], folder: Path
) -> dict[str, Any]:
    """Cumulate the folds' reports and write the summary; the AUC is the folds' mean."""
    parts = [part for part in ("pixels", "detection") if part in reports[0]]
    lungs = {} if "detection" in parts else _lungs(reports)
    summary = json_ready(
        {
            "network": dataclasses.asdict(network),
            "folds": len(reports),
            **{part: _cumulated(reports, part) for part in parts},
            **lungs,
            "by_fold": reports,
        }
    )
    if isinstance(network, ClassifierSpec):
        made = tables.classifier_tables(network, summary)
    elif "detection" in parts:
        made = _detection_tables(network, reports)
    else:
        made = [tables.lung_table(network, summary)]
    write_json(folder / "summary.json", summary)
    tables.write(made, folder, "summary")
    return dict(summary)


def _confusions(reports: list[dict[str, Any]], part: str) -> tuple[list[Confusion], Confusion]:
    """Every fold's confusion matrix, and their sum."""
    folds = [Confusion.from_dict(report[part]) for report in reports]
    return folds, sum(folds[1:], start=folds[0])


def _cumulated(reports: list[dict[str, Any]], part: str) -> dict[str, Any]:
    _, together = _confusions(reports, part)
    return {
        **together.figures(intervals=True),
        "auc": _mean([_number(report[part]["auc"]) for report in reports]),
    }


def _lungs(reports: list[dict[str, Any]]) -> dict[str, Any]:
    """All folds' images, and the mean of their Dice coefficients; a fold has as many votes as images."""
    images = {kind: sum(r["images"][kind] for r in reports) for kind in reports[0]["images"]}
    weighted = sum(r["dice"]["mean"] * sum(r["images"].values()) for r in reports)
    return {"images": images, "dice": {"mean": weighted / sum(images.values())}}


def _detection_tables(network: NetworkSpec, reports: list[dict[str, Any]]) -> list[Table]:
    labels = [f"fold {number}" for number in range(1, len(reports) + 1)]
    pixels, all_pixels = _confusions(reports, "pixels")
    images, all_images = _confusions(reports, "detection")
    aucs = [_number(report["pixels"]["auc"]) for report in reports]
    return [
        tables.segmentation_table(
            network,
            [*zip(labels, pixels, aucs, strict=True), ("all folds", all_pixels, _mean(aucs))],
        ),
        tables.detection_table(
            network, [*zip(labels, images, strict=True), ("all folds", all_images)]
        ),
        tables.confusion_table(network, all_images),
    ]


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _mean(values: list[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan
