"""Agreement on severity as tables and plots; no radiograph."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from infmap_kit.model.files import write_bytes, write_json
from infmap_kit.report.table import Table
from infmap_train.data.scores import ZONES, Rating
from infmap_train.evaluation import plots, tables
from infmap_train.studies.severity_agreement import MASKS, NETWORK, SeverityAgreement

_Pair = Mapping[str, Any]

_STYLES: dict[str, dict[str, Any]] = {
    NETWORK: {"marker": "o", "color": "firebrick"},
    MASKS: {"marker": "x", "color": "black"},
}


def write_severity(found: SeverityAgreement, folder: Path) -> list[Path]:
    """Write ``severity.json``, ``.md``, ``.csv`` and ``.tex``, the ratings, and two plots.

    Parameters
    ----------
    found
        What was compared.
    folder
        Made when missing.

    Returns
    -------
    list
        The files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "severity.json", found.report)
    write_bytes(folder / "severity_ratings.csv", _ratings_csv(found))
    figures = {
        "severity_scatter.png": draw_scatter(found),
        "severity_bland_altman.png": draw_bland_altman(found),
    }
    return [
        folder / "severity.json",
        folder / "severity_ratings.csv",
        *tables.write(severity_tables(found.report), folder, "severity"),
        *plots.save(figures, folder),
    ]


def severity_tables(report: Mapping[str, Any]) -> list[Table]:
    """Make the tables: whole pictures and zones, on the measured pictures and on all that were scored."""
    on = f"{report['measured']} of {report['scored']} scored pictures"
    if report["of_those_trained_on"]:
        on += f", {report['of_those_trained_on']} of them TRAINED ON"
    lungs = f"lungs: {report['lungs']}"
    return [
        _whole(f"Severity in percent of the lungs, beside experts: {on}; {lungs}", report["pairs"]),
        _whole(
            f"Masks and experts, all {report['scored']} scored pictures",
            report["pairs_without_network"],
        ),
        _by_zone(f"Zones, Spearman: {on}; {lungs}", report["pairs"]),
        _by_zone(
            f"Zones, Spearman: all {report['scored']} scored pictures",
            report["pairs_without_network"],
        ),
    ]


def _whole(title: str, pairs: Sequence[_Pair]) -> Table:
    return Table(
        title,
        (
            *("", "pictures", "patients", "Spearman [95 %]", "Kendall [95 %]"),
            *("difference, points", "limits of agreement"),
        ),
        tuple(
            (
                f"{pair['first']} - {pair['second']}",
                str(pair["pictures"]),
                str(pair["patients"]),
                _with_interval(pair, "spearman"),
                _with_interval(pair, "kendall"),
                _number(pair["bias"], "+.1f"),
                " to ".join(_number(limit, "+.1f") for limit in pair["limits"]),
            )
            for pair in pairs
            if pair["part"] == "whole"
        ),
    )


def _by_zone(title: str, pairs: Sequence[_Pair]) -> Table:
    zoned = [pair for pair in pairs if pair["part"] != "whole"]
    who = list(dict.fromkeys(f"{pair['first']} - {pair['second']}" for pair in zoned))
    cells = {
        (pair["part"], f"{pair['first']} - {pair['second']}"): _with_interval(pair, "spearman")
        for pair in zoned
    }
    return Table(
        title,
        ("zone", *who),
        tuple(
            (label, *(cells[part, one] for one in who))
            for part, label in (("zones", "all six"), *((zone, zone) for zone in ZONES))
            if zoned
        ),
    )


def draw_scatter(found: SeverityAgreement) -> Figure:
    """Severity against each expert's score: of the network, and of the masks on the same pictures."""
    figure, panels = _panels(found)
    for axes, expert in panels:
        axes.plot((0, 100), (0, 100), color="lightgray", linewidth=1)
        for rating in found.ratings[:2]:
            said, scored = rating.total[found.measured], expert.total[found.measured]
            axes.scatter(scored, said, s=22, label=rating.label, **_STYLES[rating.label])
        axes.set(xlabel=f"{expert.label}, % of its range", ylabel="severity, % of the lungs")
        axes.set(xlim=(-3, 103), ylim=(-3, 103))
    figure.axes[0].legend(loc="upper left", fontsize=8)
    return figure


def draw_bland_altman(found: SeverityAgreement) -> Figure:
    """Difference against mean (Bland and Altman, Lancet 1986), with bias and limits of agreement."""
    figure, panels = _panels(found)
    pairs = {(p["first"], p["second"]): p for p in found.report["pairs"] if p["part"] == "whole"}
    for axes, expert in panels:
        axes.axhline(0, color="lightgray", linewidth=1)
        for rating in found.ratings[:2]:
            said, scored = rating.total[found.measured], expert.total[found.measured]
            style = _STYLES[rating.label]
            axes.scatter((said + scored) / 2, said - scored, s=22, label=rating.label, **style)
            pair = pairs[rating.label, expert.label]
            for level, dashes in ((pair["bias"], "-"), *((x, ":") for x in pair["limits"])):
                if level is not None:
                    axes.axhline(level, color=style["color"], linestyle=dashes, linewidth=1)
        axes.set(
            xlabel=f"mean of severity and {expert.label}, %", ylabel="severity - score, points"
        )
        axes.set(xlim=(-3, 103), ylim=(-103, 103))
    figure.axes[0].legend(loc="upper left", fontsize=8)
    return figure


def _panels(found: SeverityAgreement) -> tuple[Figure, list[tuple[Axes, Rating]]]:
    experts = found.ratings[2:]
    columns = min(2, len(experts))
    lines = -(-len(experts) // columns)
    figure = plots.new_figure(width=0.75 * columns, height=0.95 * lines)
    axes = np.ravel(figure.subplots(lines, columns, squeeze=False))
    for empty in axes[len(experts) :]:
        empty.set_axis_off()
    return figure, list(zip(axes, experts, strict=False))


def _ratings_csv(found: SeverityAgreement) -> bytes:
    measured = set(found.measured.tolist())
    rows = []
    for row, name in enumerate(found.names):
        values = ("" if math.isnan(r.total[row]) else f"{r.total[row]:.2f}" for r in found.ratings)
        rows.append((name, str(int(row in measured)), *values))
    columns = (f"{rating.label} percent" for rating in found.ratings)
    return Table("", ("name", "measured", *columns), rows).csv().encode()


def _with_interval(pair: _Pair, name: str) -> str:
    low, high = pair[f"{name}_ci95"]
    if pair[name] is None:
        return "-"
    return f"{pair[name]:.2f} [{_number(low, '.2f')}, {_number(high, '.2f')}]"


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
