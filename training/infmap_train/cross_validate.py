"""The paper's stratified cross-validation (III-A): every fold trained, one summary."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

from infmap_kit.progress import Progress, no_progress
from infmap_kit.spec import NetworkSpec, write_json
from infmap_train import tables
from infmap_train.data import Pictures
from infmap_train.evaluate import figures
from infmap_train.fit import fit
from infmap_train.metrics import Confusion
from infmap_train.options import FitOptions
from infmap_train.run_folder import json_ready


def cross_validate(
    network: NetworkSpec,
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
        ``fold`` is not looked at.

    Returns
    -------
    dict
        The summary, as in ``summary.json``.

    Raises
    ------
    TrainingError
        As ``fit`` does.
    """
    reports = []
    for fold in range(options.folds):

        def told(description: str, done: int, total: int, fold: int = fold) -> None:
            progress(f"fold {fold + 1}/{options.folds}  {description}", done, total)

        reports.append(
            fit(
                network,
                pictures,
                folder / f"fold-{fold + 1}",
                dataclasses.replace(options, fold=fold),
                data_licence=data_licence,
                progress=told,
            )
        )
    return summarise(network, reports, folder)


def summarise(network: NetworkSpec, reports: list[dict[str, Any]], folder: Path) -> dict[str, Any]:
    """Cumulate the folds' reports and write the summary; the AUC is the folds' mean."""
    pixels = [Confusion.from_dict(report["pixels"]) for report in reports]
    images = [Confusion.from_dict(report["detection"]) for report in reports]
    all_pixels, all_images = (sum(c[1:], start=c[0]) for c in (pixels, images))
    pixel_auc = _mean([report["pixels"]["auc"] for report in reports])
    summary = json_ready(
        {
            "network": dataclasses.asdict(network),
            "folds": len(reports),
            "pixels": {**_with_intervals(all_pixels), "auc": pixel_auc},
            "detection": {
                **_with_intervals(all_images),
                "auc": _mean([report["detection"]["auc"] for report in reports]),
            },
            "by_fold": reports,
        }
    )
    labels = [f"fold {number}" for number in range(1, len(reports) + 1)]
    aucs = [_number(report["pixels"]["auc"]) for report in reports]
    segmentation = tables.segmentation_table(
        network,
        [*zip(labels, pixels, aucs, strict=True), ("all folds", all_pixels, pixel_auc)],
    )
    detection = tables.detection_table(
        network, [*zip(labels, images, strict=True), ("all folds", all_images)]
    )
    made = (segmentation, detection, tables.confusion_table(network, all_images))
    write_json(folder / "summary.json", summary)
    tables.write(made, folder, "summary")
    return dict(summary)


def _with_intervals(confusion: Confusion) -> dict[str, Any]:
    return {
        **figures(confusion),
        "ci95": {name: confusion.ci95(name) for name in confusion.as_dict()},
    }


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _mean(values: list[float | None]) -> float:
    known = [value for value in map(_number, values) if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan
