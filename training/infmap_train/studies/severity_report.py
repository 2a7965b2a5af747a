"""Agreement on severity as tables and plots; no radiograph."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from infmap_kit.model.files import write_json
from infmap_kit.report.table import Table
from infmap_train.data.output import write_csv
from infmap_train.data.scores import ZONES, Rating
from infmap_train.evaluation import plots, tables
from infmap_train.studies.severity_agreement import MASKS, NETWORK, SeverityAgreement

_Pair = Mapping[str, Any]

_STYLES: dict[str, dict[str, Any]] = {
    NETWORK: {"marker": "o", "color": "firebrick"},
    MASKS: {"marker": "x", "color": "black"},
}


def write_severity(compared: SeverityAgreement, folder: Path) -> list[Path]:
    """Write ``severity.json``, ``.md``, ``.csv`` and ``.tex``, the ratings, and two plots."""
    write_json(folder / "severity.json", compared.report)
    _write_ratings(compared, folder / "severity_ratings.csv")
    figures = {
        "severity_scatter.png": draw_scatter(compared),
        "severity_bland_altman.png": draw_bland_altman(compared),
    }
    return [
        folder / "severity.json",
        folder / "severity_ratings.csv",
        *tables.write(severity_tables(compared.report), folder, "severity"),
        *plots.save(figures, folder),
    ]


def severity_tables(report: Mapping[str, Any]) -> list[Table]:
    """Make the tables: whole pictures and zones, on the measured pictures and on all that were scored."""
    on = f"{report['measured']} of {report['scored']} scored pictures"
    if report["of_those_trained_on"] is None:
        on += ", and whether TRAINED ON is not known"
    elif report["of_those_trained_on"]:
        on += f", {report['of_those_trained_on']} of them TRAINED ON"
    lungs = f"lungs: {report['lungs']}"
    made = [
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
    # Without an expert's zones there is nobody to compare the masks' with.
    return [table for table in made if table.rows]


def _whole(title: str, pairs: Sequence[_Pair]) -> Table:
    return Table(
        title,
        (
            *("", "pictures", "patients", "Spearman [95 %]", "Kendall [95 %]"),
            *("difference, points", "limits of agreement"),
        ),
        tuple(
            (
                _raters(pair),
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
    raters = list(dict.fromkeys(_raters(pair) for pair in zoned))
    cells = {(pair["part"], _raters(pair)): _with_interval(pair, "spearman") for pair in zoned}
    return Table(
        title,
        ("zone", *raters),
        tuple(
            (label, *(cells[part, two] for two in raters))
            for part, label in (("zones", "all six"), *((zone, zone) for zone in ZONES))
            if zoned
        ),
    )


def draw_scatter(compared: SeverityAgreement) -> Figure:
    """Draw the network's and the masks' severity against each expert's score."""
    figure, panels = _panels(compared)
    for axes, expert in panels:
        axes.plot((0, 100), (0, 100), color="lightgray", linewidth=1)
        for rating in compared.ratings[:2]:
            severity, scored = rating.total[compared.measured], expert.total[compared.measured]
            axes.scatter(scored, severity, s=22, label=rating.label, **_STYLES[rating.label])
        axes.set(xlabel=f"{expert.label}, % of its range", ylabel="severity, % of the lungs")
        axes.set(xlim=(-3, 103), ylim=(-3, 103))
    figure.axes[0].legend(loc="upper left", fontsize=8)
    return figure


def draw_bland_altman(compared: SeverityAgreement) -> Figure:
    """Draw difference against mean (Bland and Altman, Lancet 1986), with bias and limits of agreement."""
    figure, panels = _panels(compared)
    pairs = {(p["first"], p["second"]): p for p in compared.report["pairs"] if p["part"] == "whole"}
    for axes, expert in panels:
        axes.axhline(0, color="lightgray", linewidth=1)
        for rating in compared.ratings[:2]:
            severity, scored = rating.total[compared.measured], expert.total[compared.measured]
            style = _STYLES[rating.label]
            axes.scatter(
                (severity + scored) / 2, severity - scored, s=22, label=rating.label, **style
            )
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


def _panels(compared: SeverityAgreement) -> tuple[Figure, list[tuple[Axes, Rating]]]:
    experts = compared.ratings[2:]
    columns = min(2, len(experts))
    lines = -(-len(experts) // columns)
    figure = plots.new_figure(width=0.75 * columns, height=0.95 * lines)
    axes = np.ravel(figure.subplots(lines, columns, squeeze=False))
    for empty in axes[len(experts) :]:
        empty.set_axis_off()
    return figure, list(zip(axes, experts, strict=False))


def _write_ratings(compared: SeverityAgreement, path: Path) -> None:
    measured = set(compared.measured.tolist())
    rows = []
    for row, name in enumerate(compared.names):
        values = (
            "" if math.isnan(r.total[row]) else f"{r.total[row]:.2f}" for r in compared.ratings
        )
        rows.append((name, int(row in measured), *values))
    columns = (f"{rating.label} percent" for rating in compared.ratings)
    write_csv(path, ("name", "measured", *columns), rows)


def _raters(pair: _Pair) -> str:
    return f"{pair['first']} - {pair['second']}"


def _with_interval(pair: _Pair, name: str) -> str:
    low, high = pair[f"{name}_ci95"]
    if pair[name] is None:
        return "-"
    return f"{pair[name]:.2f} [{_number(low, '.2f')}, {_number(high, '.2f')}]"


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
