"""The page of a record."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from infmap_kit.bench.records.record import BenchRecord
from infmap_kit.bench.records.sentences import (
    accuracy_sentence,
    cold_start_sentence,
    independent_sentence,
    limit_sentence,
    overhead_sentence,
    paper_sentence,
    state_sentences,
)
from infmap_kit.bench.records.tables import (
    open_loop_table,
    ratios_table,
    scopes_table,
    steps_table,
    throughput_table,
)
from infmap_kit.bench.records.waterfall import stages_of
from infmap_kit.bench.scopes import (
    BASELINES,
    ENGINE_ALONE,
    FILE_TO_MAP,
    MEANINGS,
    SCOPES,
    SERVED_ENSEMBLE,
)
from infmap_kit.report.charts import Bar, Curve, bars, curves
from infmap_kit.report.drawing import Drawing
from infmap_kit.report.page import render
from infmap_kit.report.table import Table

_TEMPLATES = Path(__file__).parent / "templates"


def page(record: BenchRecord) -> str:
    """The record as one self-contained HTML file."""
    machine = record.machine
    return render(
        "record.html",
        _TEMPLATES,
        title=f"Latency of {record.model['name']} {record.model['version']}",
        subtitle=f"{record.precision} on target {record.target}, one picture a request; measured "
        f"{record.started} on {machine.get('processor')}, {machine.get('cores')} cores, in "
        f"{record.duration_s:.0f} s",
        state=state_sentences(record),
        facts=_facts(record),
        meaning=[
            overhead_sentence(record),
            accuracy_sentence(record),
            cold_start_sentence(record),
        ],
        ratios=ratios_table(record),
        latencies=_latency_chart(record),
        paper=paper_sentence(record),
        waterfall=_waterfall(record),
        distribution=_distribution(record),
        scopes=scopes_table(record),
        scope_notes=[*_scope_notes(record), record.rule],
        load=_load_chart(record),
        throughput=throughput_table(record),
        limit=limit_sentence(record),
        open_loop=open_loop_table(record),
        steps=steps_table(record),
        independent=independent_sentence(record),
        conditions=_conditions(record),
    )


def _facts(record: BenchRecord) -> list[tuple[str, str]]:
    facts = [
        (f"{name}, p50", f"{record.scopes[name].p50_ms:.1f} ms")
        for name in (ENGINE_ALONE, SERVED_ENSEMBLE, FILE_TO_MAP)
        if name in record.scopes
    ]
    if FILE_TO_MAP in record.scopes:
        slowest_ms = record.scopes[FILE_TO_MAP].quantile_ms(0.99)
        facts.append((f"{FILE_TO_MAP}, p99", f"{slowest_ms:.1f} ms"))
    if record.throughput:
        fastest = max(point["images_per_s"] for point in record.throughput)
        facts.append(("highest throughput", f"{fastest:.0f} / s"))
    if (pixels := record.accuracy.get("held_back", {}).get("pixels F1")) is not None:
        facts.append(("pixel F1, held back, FP32", f"{pixels:.3f}"))
    return facts


def _latency_chart(record: BenchRecord) -> Drawing | None:
    rows = []
    colours = {**dict.fromkeys(SCOPES, "c0"), **dict.fromkeys(BASELINES, "baseline")}
    for name, colour in colours.items():
        if name in record.scopes:
            summary = record.scopes[name].summary()
            rows.append(
                Bar(label=name, value=summary.p50_ms, note=f"{summary.p50_ms:.2f} ms", colour=colour,
                    low=summary.p50_low_ms, high=summary.p50_high_ms)
            )  # fmt: skip
    if (row := record.paper_row) is not None:
        label, note = "Table V, on an RTX 2080 Ti", f"{row.time_ms:.2f} ms"
        rows.append(Bar(label=label, value=row.time_ms, note=note, colour="c1"))
    return bars("Median latency by scope", rows, unit="ms") if rows else None


def _waterfall(record: BenchRecord) -> Drawing | None:
    rows, start = [], 0.0
    for stage in stages_of(record):
        begin, end = sorted((start, start + stage.ms))
        rows.append(
            Bar(label=stage.name, value=end - begin, start=max(begin, 0.0),
                note=f"{stage.ms:.2f} ms", colour="c2")
        )  # fmt: skip
        start += stage.ms
    return bars("Stages of file to map", rows, unit="ms") if rows else None


def _distribution(record: BenchRecord) -> Drawing | None:
    names = [name for name in (ENGINE_ALONE, SERVED_ENSEMBLE, FILE_TO_MAP) if name in record.scopes]
    lines = [
        Curve(
            label=name,
            colour=f"c{number}",
            points=[
                (record.scopes[name].quantile_ms(share), 100 * share)
                for share in np.linspace(0, 0.99, 100).tolist()
            ],
        )
        for number, name in enumerate(names)
    ]
    if not lines:
        return None
    title, unit = "Share of requests by latency", "% of requests within"
    return curves(title, lines, x_unit="ms", y_unit=unit, x_from_zero=False)


def _load_chart(record: BenchRecord) -> Drawing | None:
    single = [point for point in record.throughput if point["batch"] == 1]
    series: dict[str, tuple[Sequence[dict[str, Any]], str, str]] = {
        "p50": (single, "images_per_s", "p50_ms"),
        "p99": (single, "images_per_s", "p99_ms"),
        "open loop, p99": (record.open_loop, "offered_per_s", "p99_ms"),
        "open loop, p50": (record.open_loop, "offered_per_s", "p50_ms"),
    }
    lines = [
        Curve(
            label=label, colour=f"c{number}", points=[(p[x], p[y]) for p in points], has_marks=True
        )
        for number, (label, (points, x, y)) in enumerate(series.items())
        if points
    ]
    title = "Latency under load by throughput"
    return curves(title, lines, x_unit="images a second", y_unit="ms") if lines else None


def _scope_notes(record: BenchRecord) -> list[str]:
    return [
        f"{name}: {meaning}."
        if name in record.scopes
        else f"{name}: not measured, since {record.not_measured[name]}."
        for name, meaning in MEANINGS.items()
        if name in record.scopes or name in record.not_measured
    ]


def _conditions(record: BenchRecord) -> Table:
    facts: dict[str, object] = {
        **{key.replace("_", " "): value for key, value in record.machine.items()},
        **{f"version of {name}": version for name, version in record.versions.items()},
        "convolutions by type, as inspected": ", ".join(
            f"{count} {kind}" for kind, count in record.inspected.items()
        ),
        "ONNX graph, SHA-256": record.model.get("onnx_sha256", "not stated"),
        "pictures": "; ".join(record.pictures),
    }
    rows = [
        (key, ", ".join(map(str, value)) if isinstance(value, list) else str(value))
        for key, value in facts.items()
    ]
    return Table("", ("what", "value"), rows, words=("value",))
