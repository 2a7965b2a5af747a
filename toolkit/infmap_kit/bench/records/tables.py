"""A record's tables, for its page, its Markdown, its spreadsheet and the terminal."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from infmap_kit.bench.records.record import BenchRecord
from infmap_kit.bench.records.sentences import (
    judged_ratios,
    meaning_sentences,
    state_sentences,
    verdict,
)
from infmap_kit.bench.records.waterfall import stages_of
from infmap_kit.bench.scopes import APART, BASELINES, ENGINE_ALONE, FILE_TO_MAP, MEANINGS, SCOPES
from infmap_kit.bench.statistics import PairedRatio
from infmap_kit.bench.steps import PARTS
from infmap_kit.report.table import Table

_COLUMNS = ("p50_ms", "p90_ms", "p95_ms", "p99_ms", "max_ms", "mean_ms", "sd_ms")
_LOAD_COLUMNS = ("p50_ms", "p90_ms", "p99_ms", "max_ms")


def latency_table(record: BenchRecord) -> Table:
    """The latencies for the terminal, 80 columns wide."""
    columns = ("p50_ms", "p90_ms", "p99_ms", "mean_ms")
    rows: list[Sequence[str]] = []
    for group in (SCOPES, APART, BASELINES):
        rows += [*_scope_rows(record, group, columns, ".2f"), ()]
    return Table(
        f"Per-sample latency, batch 1, {record.precision}, target {record.target}",
        ("scope", *map(_spaced, columns), "n"),
        rows,
        notes=[*meaning_sentences(record), *state_sentences(record)],
    )


def ratios_table(record: BenchRecord) -> Table:
    """The ratios by which a record is judged, each with its interval."""
    judged = judged_ratios(record)
    rows: list[Sequence[str]] = []
    if (paper := record.paper_ratio) is not None:
        rows.append((f"{ENGINE_ALONE} / Table V", *_interval_cells(paper), "-", "-"))
    rows += [
        (
            name,
            *_interval_cells(found),
            *(("-", "-") if goal is None else (_cell(goal), verdict(found, goal))),
        )
        for name, found, goal in judged
    ]
    note = (
        "Goals are for two cores, at the fastest precision that passes the gate; those beside another model "
        "are for U-Net with DenseNet-121 in FP32."
    )
    columns = ("ratio", "value", "95 % interval", "goal", "verdict")
    has_goals = any(goal is not None for _, _, goal in judged)
    return Table("", columns, rows, notes=[note] if has_goals else [])


def _interval_cells(found: PairedRatio) -> tuple[str, str]:
    return _cell(found.ratio), f"{_cell(found.low)} to {_cell(found.high)}"


def _cell(ratio: float) -> str:
    """A ratio; of less than a tenth, as of a small network to a large one, with a digit more."""
    return f"{ratio:.{2 if ratio >= 0.1 else 3}f}"


def scopes_table(record: BenchRecord) -> Table:
    """The latencies of everything that has samples."""
    rows = [*_scope_rows(record, MEANINGS, _COLUMNS, ".2f")]
    return Table("", ("scope", *map(_spaced, _COLUMNS), "n"), rows)


def csv_table(record: BenchRecord) -> str:
    """The table of the scopes, a row each, as CSV."""
    columns = (*_COLUMNS, "p50_low_ms", "p50_high_ms")
    rows = [
        (*row, "no" if row[0] in record.doubts else "yes")
        for row in _scope_rows(record, MEANINGS, columns, ".4f")
    ]
    return Table("", ("scope", *columns, "n", "stable"), rows).csv()


def waterfall_table(record: BenchRecord) -> Table | None:
    """The stages of file to map; ``None`` where a scope is missing."""
    stages = stages_of(record)
    if not stages:
        return None
    total = record.scopes[FILE_TO_MAP].p50_ms
    rows = [(stage.name, f"{stage.ms:.2f}", f"{100 * stage.ms / total:.0f}") for stage in stages]
    return Table("", ("stage", "ms", "%"), [*rows, (FILE_TO_MAP, f"{total:.2f}", "100")])


def steps_table(record: BenchRecord) -> Table | None:
    """The parts of a request in Triton's own statistics; ``None`` where they were not read."""
    rows = [
        (step, *(f"{parts[part]:.3f}" for part in ("total", *PARTS)), f"{parts['requests']:.0f}")
        for step, parts in record.server.items()
    ]
    if not rows:
        return None
    columns = ("step", "total", *(part.replace("_", " ") for part in PARTS), "requests")
    notes = ["Mean ms a request, of those in the scope served ensemble."]
    return Table("", columns, rows, notes=notes)


def throughput_table(record: BenchRecord) -> Table | None:
    """The closed loop; ``None`` where it was not measured."""
    rows = [
        (str(p["batch"]), str(p["concurrency"]), f"{p['images_per_s']:.1f}", *_load_cells(p))
        for p in record.throughput
    ]
    if not rows:
        return None
    latencies = (f"request {_spaced(column)}" for column in _LOAD_COLUMNS)
    columns = ("batch", "clients", "images a second", *latencies)
    return Table("", columns, rows, notes=["Under load: no latency of a request at rest."])


def open_loop_table(record: BenchRecord) -> Table | None:
    """Poisson arrivals; ``None`` where they were not measured."""
    rows = [
        (
            f"{p['offered_per_s']:.1f}",
            f"{100 * p['offered_share']:.0f}",
            f"{p['answered_per_s']:.1f}",
            *_load_cells(p),
            str(p["requests"]),
        )
        for p in record.open_loop
    ]
    if not rows:
        return None
    columns = ("offered a second", "% of the highest", "answered a second")
    return Table(
        "",
        (*columns, *map(_spaced, _LOAD_COLUMNS), "n"),
        rows,
        notes=["Latency from when each request was due."],
    )


def _scope_rows(
    record: BenchRecord, names: Iterable[str], columns: Sequence[str], form: str
) -> Iterable[tuple[str, ...]]:
    for name in names:
        if name in record.scopes:
            figures = dataclasses.asdict(record.scopes[name].summary())
            yield (name, *(format(figures[key], form) for key in columns), str(figures["n"]))


def _load_cells(point: Mapping[str, Any]) -> Iterable[str]:
    return (f"{point[column]:.1f}" for column in _LOAD_COLUMNS)


def _spaced(name: str) -> str:
    return name.replace("_", " ")
