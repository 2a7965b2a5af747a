"""Evaluation tables in the paper's shape, with its own figures and the difference beside."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from infmap_kit import paper
from infmap_kit.model.files import write_bytes
from infmap_kit.model.spec import ClassifierSpec, NetworkSpec
from infmap_kit.report.table import Table
from infmap_train.evaluation.metrics import Confusion, half_width

_METRICS = {
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "precision": "Precision",
    "f1": "F1-Score",
    "f2": "F2-Score",
    "accuracy": "Accuracy",
}


def evaluation_tables(network: NetworkSpec, report: Mapping[str, Any]) -> list[Table]:
    """Make the tables of one report, or of a cross-validation's summary."""
    pixels = Confusion.from_dict(report["pixels"])
    auc = report["pixels"]["auc"]
    if "detection" not in report:
        return [lung_table(network, report)]
    images = Confusion.from_dict(report["detection"])
    return [
        segmentation_table(network, [("measured", pixels, math.nan if auc is None else auc)]),
        detection_table(network, [("measured", images)]),
        confusion_table(network, images),
    ]


def classifier_tables(classifier: ClassifierSpec, report: Mapping[str, Any]) -> list[Table]:
    """Make the tables of a classifier's report, or of a cross-validation's summary."""
    parts = [(f"fold {n}", fold) for n, fold in enumerate(report.get("by_fold", ()), start=1)]
    rows = []
    for label, part in [*parts, ("all folds" if parts else "measured", report)]:
        confusion = Confusion.from_dict(part["detection"])
        auc = part["detection"]["auc"]
        rows.append(
            (
                label,
                *_shares(confusion, scientific=False),
                "-" if auc is None or math.isnan(auc) else f"{auc:.4f}",
            )
        )
    return [
        Table(
            f"COVID-19 detection (%), {classifier.label}",
            ("", *_METRICS.values(), "AUC"),
            tuple(rows),
        ),
        confusion_table(classifier, Confusion.from_dict(report["detection"])),
    ]


def lung_table(network: NetworkSpec, report: Mapping[str, Any]) -> Table:
    """Lungs, over all pictures and by source (or fold); the paper has no such table."""
    parts = [
        *report.get("by_source", {}).items(),
        *((f"fold {n}", fold) for n, fold in enumerate(report.get("by_fold", ()), start=1)),
    ]
    rows = [
        (
            label,
            str(_images(part)),
            *_shares(Confusion.from_dict(part["pixels"]), scientific=True),
            f"{100 * part.get('dice_mean', part.get('dice', {}).get('mean')):.2f}",
        )
        for label, part in [*parts, ("all", report)]
    ]
    return Table(
        f"Lung segmentation (%), {network.label}",
        ("", "images", *_METRICS.values(), "mean Dice of an image"),
        tuple(rows),
    )


def _images(part: Mapping[str, Any]) -> int:
    count = part["images"]
    return count if isinstance(count, int) else int(sum(count.values()))


def write(tables: Sequence[Table], folder: Path, stem: str) -> list[Path]:
    """Write tables as ``stem.md``, ``stem.csv`` and ``stem.tex``, one below the other."""
    texts = {
        ".md": "\n".join(table.markdown() for table in tables),
        ".csv": "\n".join(f"{table.title}\n{table.csv()}" for table in tables),
        ".tex": "\n".join(table.latex() for table in tables),
    }
    for suffix, text in texts.items():
        write_bytes(folder / f"{stem}{suffix}", text.encode())
    return [folder / f"{stem}{suffix}" for suffix in texts]


def segmentation_table(
    network: NetworkSpec, measured: Sequence[tuple[str, Confusion, float]]
) -> Table:
    """Pixels, as in the paper's Table I.

    Parameters
    ----------
    network
        Whose row of the paper stands beside.
    measured
        Label, pixel confusion and AUC of each row; the difference is the last one's.
    """
    columns = ("", *_METRICS.values(), "AUC")
    rows = [
        (
            label,
            *_shares(confusion, scientific=True),
            _cell(auc, half_width(auc, confusion.positives + confusion.negatives), scientific=True),
        )
        for label, confusion, auc in measured
    ]
    if rows:
        _, confusion, auc = measured[-1]
        values = {**confusion.as_dict(), "auc": auc}
        rows += _paper_rows(paper.SEGMENTATION, network, values)
    return Table(
        f"COVID-19 infected region segmentation (%), {network.label}; paper: Table I",
        columns,
        tuple(rows),
    )


def detection_table(network: NetworkSpec, measured: Sequence[tuple[str, Confusion]]) -> Table:
    """Images by the any-pixel rule, as in the paper's Table III; ``measured`` as above."""
    rows = [(label, *_shares(confusion, scientific=False)) for label, confusion in measured]
    if rows:
        rows += _paper_rows(paper.DETECTION, network, measured[-1][1].as_dict())
    return Table(
        f"COVID-19 detection (%), {network.label}; paper: Table III",
        ("", *_METRICS.values()),
        tuple(rows),
    )


def confusion_table(network: NetworkSpec | ClassifierSpec, confusion: Confusion) -> Table:
    """Show the cumulative confusion matrix of the images, as in the paper's Table IV."""
    printed, of_paper = None, ""
    if isinstance(network, NetworkSpec):
        printed, of_paper = paper.row_of(paper.CONFUSION, network), "; paper: Table IV"
    ours = dataclasses.asdict(confusion)

    def cell(name: str) -> str:
        beside = (
            f" (paper {printed[name]}, {ours[name] - int(printed[name]):+d})" if printed else ""
        )
        return f"{ours[name]}{beside}"

    return Table(
        f"Cumulative confusion matrix, {network.label}{of_paper}",
        ("truth", "predicted normal", "predicted COVID-19"),
        (
            ("normal", cell("true_negative"), cell("false_positive")),
            ("COVID-19", cell("false_negative"), cell("true_positive")),
        ),
    )


def _shares(confusion: Confusion, *, scientific: bool) -> list[str]:
    return [
        _cell(value, confusion.ci95(name), scientific=scientific)
        for name, value in confusion.as_dict().items()
    ]


def _cell(value: float, half: float, *, scientific: bool) -> str:
    """Percent, and the interval as a share, as the paper prints them."""
    if math.isnan(value):
        return "-"
    if not scientific:
        return f"{100 * value:.2f} ± {half:.4f}"
    digits, _, exponent = f"{half:.1e}".partition("e")
    return f"{100 * value:.2f} ± {digits}e{int(exponent)}"


def _paper_rows(
    table: str, network: NetworkSpec, values: dict[str, float]
) -> list[tuple[str, ...]]:
    printed = paper.row_of(table, network)
    if printed is None:
        return []
    figures = {name: float(printed[f"{name}_percent"]) for name in values}
    return [
        ("paper", *(f"{figure:.2f} ± {printed[f'{n}_ci95']}" for n, figure in figures.items())),
        ("difference", *(_difference(100 * values[n] - f) for n, f in figures.items())),
    ]


def _difference(points: float) -> str:
    return "-" if math.isnan(points) else f"{points:+.2f}"
