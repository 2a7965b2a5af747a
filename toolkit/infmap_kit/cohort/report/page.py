"""A cohort's report as one HTML file without requests."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from infmap_kit.cohort.plan import read_plan
from infmap_kit.cohort.report.figures import GROUPS, CohortFigures, Group, odd_pictures
from infmap_kit.cohort.report.flow import flow
from infmap_kit.errors import InfmapError, SpecError
from infmap_kit.model.files import write_bytes, writing_to
from infmap_kit.report.charts import Bar, Curve, bars, curves
from infmap_kit.report.drawing import Drawing
from infmap_kit.report.page import render
from infmap_kit.report.table import Table

_MOST_BARS = 12
SMALLEST = 10
"""Groups of fewer radiographs are left out, unless another size is given."""


def write_report(folder: Path, output: Path, *, smallest: int = SMALLEST) -> CohortFigures:
    """Write the page of a run, whether it has ended or not.

    Parameters
    ----------
    folder
        Folder of the run.
    output
        The HTML file.
    smallest
        Groups of fewer radiographs are left out.

    Raises
    ------
    InfmapError
        When there is no row yet, or the page cannot be written.
    SpecError
        When there is no run, or a part is damaged.
    """
    try:
        figures = CohortFigures.of(folder, read_plan(folder), smallest=smallest)
    except OSError as error:
        raise SpecError(f"cannot read the rows in {folder}: {error}") from error
    if not figures.rows:
        raise InfmapError(f"expected rows in {folder}, found none: give `cohort run` first")
    with writing_to(output.parent):
        write_bytes(output, page(figures).encode(), private=True)
    return figures


def page(figures: CohortFigures) -> str:
    """The page of a cohort's figures."""
    plan = figures.plan
    known = [tag for tag in (*GROUPS, "year") if figures.has(tag)]
    models = [pair for pair in plan.model.items() if not pair[0].endswith("notice")]
    return render(
        "cohort.html",
        Path(__file__).parent / "templates",
        title="Cohort",
        subtitle=f"{figures.rows:,} of {plan.radiographs:,} radiographs, as they were listed at "
        f"{plan.made_at[:16].replace('T', ' ')} UTC · infmap-kit {plan.version}",
        tiles=_tiles(figures),
        flow=flow(figures),
        groups=[_section(figures, tag) for tag in known],
        unknown=_unknown(figures, known),
        drift=_drift(figures),
        months=_months(figures),
        smallest=figures.smallest,
        warnings=_warnings(figures),
        worst=_worst(figures),
        odd=_odd(figures),
        models=Table("", ("what", "value"), models, words=("value",)),
    )


def _tiles(figures: CohortFigures) -> list[tuple[str, str]]:
    tiles = [
        ("answered", f"{figures.all.answered:,}"),
        ("rejected", f"{figures.rejected.total():,}"),
    ]
    if figures.all.answered:
        tiles += [
            ("with a finding", f"{figures.all.detected_percent:.1f} %"),
            ("mean severity", f"{figures.all.severity_percent:.1f} %"),
        ]
    return tiles


def _section(figures: CohortFigures, tag: str) -> dict[str, Any]:
    shown, hidden = figures.groups(tag)
    name = GROUPS.get(tag, tag)
    if tag in ("year", "AgeBand"):
        # Bands such as 0-9, 60-69 and 90+, by their first number, and what is not stated last.
        shown = sorted(shown, key=lambda pair: int(re.split(r"\D", pair[0])[0] or 10_000))
    rows = [
        Bar(label=value[:40], value=group.answered, note=f"{group.answered:,}")
        for value, group in shown[:_MOST_BARS]
    ]
    return {
        "name": f"By {name}",
        "chart": bars(f"Radiographs by {name}", rows, unit="") if rows else None,
        "table": Table("", (name, *_COLUMNS), [(value, *_cells(group)) for value, group in shown],
                       words=(name,)) if shown else None,
        "hidden": _left_out(hidden, figures.smallest),
    }  # fmt: skip


_COLUMNS = ("radiographs", "finding %", "severity %", "± s.e.", "pixel mean", "pixel std")


def _cells(group: Group) -> tuple[str, ...]:
    return (
        f"{group.answered:,}",
        f"{group.detected_percent:.1f}",
        f"{group.severity_percent:.2f}",
        f"{group.severity_error:.2f}",
        f"{group.mean / group.answered:.1f}",
        f"{group.std / group.answered:.1f}",
    )


def _left_out(hidden: int, smallest: int) -> str:
    if not hidden:
        return ""
    groups = "1 group is" if hidden == 1 else f"{hidden:,} groups are"
    return f"{groups} left out: of fewer than {smallest} radiographs, or beside such a one."


def _unknown(figures: CohortFigures, known: list[str]) -> str:
    asked = [GROUPS.get(tag, tag) for tag in figures.plan.options["tags"] if tag in GROUPS]
    lacking = [name for name in asked if name not in (GROUPS.get(tag, tag) for tag in known)]
    return f"No radiograph states its {', '.join(lacking)}." if lacking else ""


def _drift(figures: CohortFigures) -> list[tuple[Drawing, str]]:
    months = figures.months()
    if len(months) < 2:
        return []
    first = months[0][0]
    since = [_months_between(first, month) for month, _ in months]
    groups = [group for _, group in months]
    severity = list(zip(since, (one.severity_percent for one in groups), strict=True))
    mean = list(zip(since, (one.mean / one.answered for one in groups), strict=True))
    std = list(zip(since, (one.std / one.answered for one in groups), strict=True))
    unit = f"months since {first}"
    return [
        (
            curves(
                "Mean severity by month",
                [Curve(label="mean severity", points=severity, colour="c1", has_marks=True)],
                x_unit=unit, y_unit="severity, %", x_from_zero=False,
            ),
            "Mean severity of the radiographs of each month.",
        ),
        (
            curves(
                "Pixels by month",
                [
                    Curve(label="mean", points=mean, colour="c0", has_marks=True),
                    Curve(label="standard deviation", points=std, colour="c2", has_marks=True),
                ],
                x_unit=unit, y_unit="gray, 0-255", x_from_zero=False,
            ),
            "Mean and standard deviation of the pixels: a step is another device, or another export.",
        ),
    ]  # fmt: skip


def _months_between(first: str, month: str) -> float:
    return 12.0 * (int(month[:4]) - int(first[:4])) + int(month[5:]) - int(first[5:])


def _months(figures: CohortFigures) -> Table | None:
    rows = [(month, *_cells(group)) for month, group in figures.months()]
    return Table("", ("month", *_COLUMNS), rows) if rows else None


def _warnings(figures: CohortFigures) -> Table | None:
    rows = [(code, f"{n:,}") for code, n in figures.warned.most_common() if n >= figures.smallest]
    return Table("", ("warning", "radiographs"), rows, words=("warning",)) if rows else None


def _worst(figures: CohortFigures) -> Table:
    rows = [(f"{value:.1f}", content) for value, content in figures.worst.listed()]
    return Table("", ("severity %", "content"), rows, words=("content",))


def _odd(figures: CohortFigures) -> Table:
    rows = [(name, f"{value:.1f}", content) for name, value, content in odd_pictures(figures)]
    return Table("", ("odd by", "value", "content"), rows, words=("content",))
