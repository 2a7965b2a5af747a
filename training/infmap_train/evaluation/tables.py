"""Evaluation tables in the paper's shape, with its own figures and the difference beside."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from infmap_kit import paper
from infmap_kit.model.files import write_bytes
from infmap_kit.model.spec import IMAGE_SIZE, ClassifierSpec, NetworkSpec
from infmap_kit.report.table import Table
from infmap_train.evaluation.metrics import Confusion, half_width

_PAPER_SET = (2951, 12544)
"""COVID-19 and normal images of the paper's set (Table II)."""
_PAPER_FOLD = (590, 2509)
"""Those that a fold is tested on."""
_PAPER_FOLD_PIXELS = sum(_PAPER_FOLD) * IMAGE_SIZE**2
_TOO_SMALL = (
    "No difference to the paper: the set is smaller than a fifth of the paper's, 590 COVID-19 and 2,509 normal "
    "images, with which its folds are tested."
)
_NOT_IN_PAPER = "a network that the paper does not have"
_CHANCE = 0.5

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
        segmentation_table(
            network,
            [("measured", pixels, math.nan if auc is None else auc)],
            by_patient=report["pixels"].get("ci95_by_patient"),
        ),
        detection_table(
            network,
            [("measured", images)],
            by_patient=report["detection"].get("ci95_by_patient"),
            auc=report["detection"]["auc"],
        ),
        confusion_table(network, images),
        *([outside_table(network, found)] if (found := report.get("outside_lungs")) else []),
        *([subgroup_table(network, groups)] if (groups := report.get("by_subgroup")) else []),
    ]


def outside_table(network: NetworkSpec, found: Mapping[str, Any]) -> Table:
    """Pixels called infected outside the lungs, as ``evaluate.outside_lungs`` counts them."""
    share = found["share"]
    return Table(
        f"Outside the lungs, {network.label}",
        (
            "images with a lung mask",
            "pixels called infected",
            "outside the lungs",
            "%",
            "images with any",
        ),
        (
            (
                *(str(found[name]) for name in ("images", "pixels", "outside")),
                "-" if share is None or math.isnan(share) else f"{100 * share:.2f}",
                str(found["images_outside"]),
            ),
        ),
    )


def subgroup_table(network: NetworkSpec, groups: Sequence[Mapping[str, Any]]) -> Table:
    """Figures by sex, age and view, as :func:`~infmap_train.evaluation.subgroups.subgroups` gives them."""
    figures = ("detection_sensitivity", "detection_specificity", "pixel_f1")

    def cell(figure: Mapping[str, float | None]) -> str:
        value, low, high = (figure[name] for name in ("value", "low", "high"))
        # A report that was read from its file has null for what is no number.
        if value is None or math.isnan(value):
            return "-"
        if low is None or high is None or math.isnan(low):
            return f"{100 * value:.1f}"
        return f"{100 * value:.1f} ({100 * low:.1f} to {100 * high:.1f})"

    return Table(
        f"Subgroups (%), {network.label}; 95 % intervals by drawing patients anew",
        ("", "", "images", "COVID-19", *("sensitivity", "specificity", "pixel F1 of COVID-19")),
        tuple(
            (
                group["attribute"],
                group["value"],
                str(group["images"]),
                str(group["covid"]),
                *(cell(group[name]) for name in figures),
            )
            for group in groups
        ),
    )


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
                "-" if auc is None or math.isnan(auc) else f"{100 * auc:.2f}",
            )
        )
    return [
        Table(
            f"COVID-19 detection (%), {classifier.label}",
            ("", *_METRICS.values(), "AUC"),
            tuple(rows),
            notes=[_worse_than_chance(report["detection"]["auc"])],
        ),
        confusion_table(classifier, Confusion.from_dict(report["detection"])),
    ]


def lung_table(network: NetworkSpec, report: Mapping[str, Any]) -> Table:
    """Lungs, over all pictures and by source (or fold); the paper has no such table."""
    sources = report.get("by_source", {})
    parts = [
        # One source is all of them.
        *(sources.items() if len(sources) > 1 else ()),
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
    network: NetworkSpec,
    measured: Sequence[tuple[str, Confusion, float]],
    *,
    by_patient: Mapping[str, Sequence[float | None]] | None = None,
) -> Table:
    """Pixels, as in the paper's Table I.

    Parameters
    ----------
    network
        Whose row of the paper stands beside.
    measured
        Label, pixel confusion and AUC of each row; the difference is the last one's.
    by_patient
        Intervals of the last one from drawing patients anew, where there are any.
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
    notes = []
    if rows:
        _, confusion, auc = measured[-1]
        values = {**confusion.as_dict(), "auc": auc}
        rows += _patient_row(by_patient, values)
        as_large = confusion.positives + confusion.negatives >= _PAPER_FOLD_PIXELS
        rows += _paper_rows(paper.SEGMENTATION, network, values, comparable=as_large)
        notes = [_worse_than_chance(auc), "" if as_large or not network.in_paper else _TOO_SMALL]
    of_paper = "paper: Table I" if network.in_paper else _NOT_IN_PAPER
    return Table(
        f"COVID-19 infected region segmentation (%), {network.label}; {of_paper}",
        columns,
        tuple(rows),
        notes=notes,
    )


def detection_table(
    network: NetworkSpec,
    measured: Sequence[tuple[str, Confusion]],
    *,
    by_patient: Mapping[str, Sequence[float | None]] | None = None,
    auc: float | None = None,
) -> Table:
    """Images by the any-pixel rule, as in the paper's Table III; parameters as above."""
    rows = [(label, *_shares(confusion, scientific=False)) for label, confusion in measured]
    notes = []
    if rows:
        confusion = measured[-1][1]
        rows += _patient_row(by_patient, confusion.as_dict())
        as_large = is_comparable(confusion)
        rows += _paper_rows(paper.DETECTION, network, confusion.as_dict(), comparable=as_large)
        notes = [_worse_than_chance(auc), "" if as_large or not network.in_paper else _TOO_SMALL]
    of_paper = "paper: Table III" if network.in_paper else _NOT_IN_PAPER
    return Table(
        f"COVID-19 detection (%), {network.label}; {of_paper}",
        ("", *_METRICS.values()),
        tuple(rows),
        notes=notes,
    )


def is_comparable(images: Confusion) -> bool:
    """Whether a set of images is as large as the part that the paper's folds are tested on (Table II)."""
    return images.positives >= _PAPER_FOLD[0] and images.negatives >= _PAPER_FOLD[1]


def confusion_table(network: NetworkSpec | ClassifierSpec, confusion: Confusion) -> Table:
    """Show the cumulative confusion matrix of the images, as in the paper's Table IV."""
    printed, of_paper = None, ""
    # Counts are only worth comparing over as many images: the paper's, all folds together.
    if isinstance(network, NetworkSpec) and network.in_paper and is_whole(confusion):
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


def is_whole(images: Confusion) -> bool:
    """Whether a set has as many images of each class as the paper's, within a hundredth."""
    counts = zip((images.positives, images.negatives), _PAPER_SET, strict=True)
    return all(abs(ours - theirs) <= theirs / 100 for ours, theirs in counts)


def _worse_than_chance(auc: float | None) -> str:
    if auc is None or not auc < _CHANCE:
        return ""
    return f"An AUC of {auc:.3f} is worse than chance: what is infected is ranked below what is healthy."


def _patient_row(
    intervals: Mapping[str, Sequence[float | None]] | None, values: Mapping[str, float]
) -> list[tuple[str, ...]]:
    """95 % intervals from drawing patients anew, beneath eq. 13's."""
    if not intervals:
        return []

    def cell(name: str) -> str:
        low, high = intervals.get(name, (None, None))
        if low is None or high is None or math.isnan(low):
            return "-"
        return f"{100 * low:.1f} to {100 * high:.1f}"

    return [("by patient", *map(cell, values))]


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
    table: str, network: NetworkSpec, values: dict[str, float], *, comparable: bool
) -> list[tuple[str, ...]]:
    """The paper's row, and the difference where the set is large enough for one."""
    printed = paper.row_of(table, network)
    if printed is None:
        return []
    figures = {name: float(printed[f"{name}_percent"]) for name in values}
    rows = [("paper", *(f"{f:.2f} ± {printed[f'{n}_ci95']}" for n, f in figures.items()))]
    if comparable:
        rows.append(("difference", *(_difference(100 * values[n] - f) for n, f in figures.items())))
    return rows


def _difference(points: float) -> str:
    return "-" if math.isnan(points) else f"{points:+.2f}"
