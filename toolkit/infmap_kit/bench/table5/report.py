"""The paper's Table V with our columns: terminal, Markdown, CSV, JSON, and a page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from infmap_kit.bench.machine import machine_summary
from infmap_kit.bench.records.record import compact_json
from infmap_kit.bench.scopes import ENGINE_ALONE, FILE_TO_MAP, SERVED_ENSEMBLE
from infmap_kit.bench.table5.run import RowOutcome
from infmap_kit.model.files import write_bytes
from infmap_kit.paper.table5 import MACHINE
from infmap_kit.report.charts import Bar, bars
from infmap_kit.report.page import render
from infmap_kit.report.table import Table

_SCOPES = (ENGINE_ALONE, SERVED_ENSEMBLE, FILE_TO_MAP)
HEADER = (
    "network", "paper ms", *(f"{scope} ms" for scope in _SCOPES), "engine / paper",
    "trainable", "non-trainable", "as printed", "Dice in the gate", "note",
)  # fmt: skip


def cells(outcome: RowOutcome) -> tuple[str, ...]:
    """One row as text; times are p50s."""
    row, record, counted = outcome.row, outcome.record, outcome.parameters
    times = [
        f"{record.scopes[scope].p50_ms:.2f}" if record and scope in record.scopes else "-"
        for scope in _SCOPES
    ]
    ratio = dice = "-"
    if record is not None and ENGINE_ALONE in record.scopes:
        ratio = f"{record.scopes[ENGINE_ALONE].p50_ms / row.time_ms:.1f}"
        dice = f"{record.accuracy['gate']['dice']:.5f}" if record.accuracy.get("gate") else "-"
    return (
        row.network.label,
        f"{row.time_ms:.2f}",
        *times,
        ratio,
        f"{counted.get('trainable', row.trainable):,}",
        f"{counted.get('non_trainable', row.non_trainable):,}",
        f"{row.trainable_as_printed} + {row.non_trainable_as_printed}",
        dice,
        _note(outcome),
    )


def sentences(outcomes: Sequence[RowOutcome]) -> list[str]:
    """The conditions of the table, and the limits of its figures."""
    records = [outcome.record for outcome in outcomes if outcome.record is not None]
    here = "a machine on which nothing could be measured"
    if records:
        here = machine_summary(records[0].machine)
    precision = outcomes[0].precision if outcomes else "fp32"
    hardware = (
        f"The paper measured on an {MACHINE}; this is {here}, precision {precision}. The ratio to the "
        "paper's figure compares two machines as much as two programs."
    )
    weights = (
        "Times are medians of one picture a request. The weights are random, which changes no latency: "
        "Dice is that of the engine against its own FP32 reference, and says nothing of a trained network."
    )
    state = (
        f"{len(records)} of {len(outcomes)} networks were measured, "
        f"{sum(outcome.stable for outcome in outcomes)} of them stable by the rule in their records."
    )
    return [hardware, weights, state]


def table5_table(outcomes: Sequence[RowOutcome]) -> Table:
    """The table for the terminal, with the columns that fit."""
    notes = [
        f"{outcome.row.network.label}: {_note(outcome)}" for outcome in outcomes if _note(outcome)
    ]
    return Table(
        "",
        ("network", "paper ms", "engine ms", "served ms", "to map ms", "ratio"),
        [cells(outcome)[:6] for outcome in outcomes],
        notes=[*sentences(outcomes), *notes],
    )


def full_table(outcomes: Sequence[RowOutcome]) -> Table:
    """Table V with our columns."""
    return Table("", HEADER, [cells(outcome) for outcome in outcomes], words=("note",))


def markdown(outcomes: Sequence[RowOutcome]) -> str:
    """The table under its sentences."""
    parts = ["# The paper's Table V, measured here", *sentences(outcomes)]
    return "\n\n".join([*parts, full_table(outcomes).markdown()])


def csv_table(outcomes: Sequence[RowOutcome]) -> str:
    """The table for a spreadsheet, numbers without separators."""
    rows = []
    for outcome in outcomes:
        first, *rest, note = cells(outcome)
        rows.append((first, *(cell.replace(",", "") for cell in rest), note))
    return Table("", HEADER, rows).csv()


def page(outcomes: Sequence[RowOutcome]) -> str:
    """The table as a page."""
    rows = []
    for outcome in outcomes:
        row, record = outcome.row, outcome.record
        if record is not None and ENGINE_ALONE in record.scopes:
            p50 = record.scopes[ENGINE_ALONE].p50_ms
            rows.append(Bar(label=row.network.label, value=p50, note=f"{p50:.1f} ms"))
        note = f"{row.time_ms:.2f} ms"
        label = "Table V" if record is not None else f"{row.network.label}: Table V alone"
        rows.append(Bar(label=label, value=row.time_ms, note=note, colour="c1"))
    return render(
        "table5.html",
        Path(__file__).parent / "templates",
        title="The paper's Table V, measured here",
        subtitle="24 networks, one picture a request",
        sentences=sentences(outcomes),
        table=full_table(outcomes),
        chart=bars("Engine alone beside Table V", rows, unit="ms"),
        machine=MACHINE,
    )


def write_table5(outcomes: Sequence[RowOutcome], folder: Path) -> tuple[Path, ...]:
    """Write the table as JSON, Markdown, CSV and HTML; the rows' own records stay where they are."""
    paths = tuple(folder / f"table5.{kind}" for kind in ("json", "md", "csv", "html"))
    rows = [dict(zip(HEADER, cells(outcome), strict=True)) for outcome in outcomes]
    texts = (
        compact_json({"sentences": sentences(outcomes), "rows": rows}),
        markdown(outcomes),
        csv_table(outcomes),
        page(outcomes),
    )
    for path, text in zip(paths, texts, strict=True):
        write_bytes(path, text.encode())
    return paths


def _note(outcome: RowOutcome) -> str:
    if outcome.failure:
        return f"failed: {outcome.failure}"
    if outcome.record is None:
        return "not measured"
    if outcome.record.doubts:
        return f"not stable: {', '.join(outcome.record.doubts)}"
    return "; ".join(outcome.record.warnings)
