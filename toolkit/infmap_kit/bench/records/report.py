"""A measurement as people read it: terminal, Markdown, CSV; the page is in :mod:`.page`."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Iterable, Iterator
from pathlib import Path

from rich.table import Table

from infmap_kit.bench.records.page import page
from infmap_kit.bench.records.record import BenchRecord
from infmap_kit.bench.records.sentences import (
    accuracy_sentence,
    cold_start_sentence,
    independent_sentence,
    overhead_sentence,
    paper_sentence,
    ratio_sentences,
    state_sentences,
)
from infmap_kit.bench.records.waterfall import stages_of
from infmap_kit.bench.scopes import (
    APART,
    BASELINES,
    FILE_TO_MAP,
    SCOPES,
    STAGES,
)
from infmap_kit.bench.steps import PARTS
from infmap_kit.model.files import write_bytes

_COLUMNS = ("p50_ms", "p90_ms", "p95_ms", "p99_ms", "max_ms", "mean_ms", "sd_ms")
_HEADER = ("scope", *(column.replace("_", " ") for column in _COLUMNS), "n")

MEANINGS = {**SCOPES, **APART, **BASELINES, **STAGES}
"""Everything that has samples, in the order of a report."""


def latency_table(record: BenchRecord) -> Table:
    """The latencies as a table for the terminal, 80 columns wide."""
    caption = [overhead_sentence(record), *ratio_sentences(record), paper_sentence(record)]
    caption += [
        accuracy_sentence(record),
        cold_start_sentence(record),
        independent_sentence(record),
    ]
    caption += state_sentences(record)
    table = Table(
        "scope", "p50 ms", "p90 ms", "p99 ms", "mean ms", "n",
        title=f"Per-sample latency, batch 1, {record.precision}, target {record.target}",
        caption="\n".join(line for line in caption if line),
        caption_justify="left",
    )  # fmt: skip
    for group in (SCOPES, APART, BASELINES):
        for name in group:
            if name in record.scopes:
                figures = dataclasses.asdict(record.scopes[name].summary())
                shown = (f"{figures[key]:.2f}" for key in ("p50_ms", "p90_ms", "p99_ms", "mean_ms"))
                table.add_row(name, *shown, str(figures["n"]))
        table.add_section()
    return table


def markdown(record: BenchRecord) -> str:
    """The latencies, what they mean, and what they were measured on."""
    lines = [
        f"# Latency of {record.model['name']} {record.model['version']}",
        "",
        f"Per-sample latency, batch 1, target {record.target}, {record.precision}, {record.started}.",
        *_paragraphs(state_sentences(record)),
        "",
        *_table(_HEADER, _scope_rows(record)),
        "",
        *(f"- **{name}**: {MEANINGS[name]}." for name in MEANINGS if name in record.scopes),
        *(f"- **{name}**: not measured: {why}." for name, why in record.not_measured.items()),
        *_paragraphs([overhead_sentence(record), *ratio_sentences(record), paper_sentence(record)]),
        *_paragraphs([accuracy_sentence(record), cold_start_sentence(record)]),
        *_paragraphs([independent_sentence(record)]),
        "",
        *_waterfall(record),
        *_steps(record),
        *_load(record),
        "## Measured on",
        "",
        *(f"- {key.replace('_', ' ')}: {_plain(value)}" for key, value in record.machine.items()),
        *(f"- {key} {value}" for key, value in record.versions.items()),
        f"- convolutions by type, as inspected: {_plain(record.inspected)}",
        f"- ONNX graph, SHA-256: {record.model.get('onnx_sha256', 'not stated')}",
        f"- {record.duration_s:.0f} s; warm-up {record.options.get('warm_up')} requests a scope",
        "- scopes measured in turn, ten samples at a time",
        f"- {record.rule}",
        f"- pictures: {'; '.join(record.pictures)}",
        "",
        "Latency on a shared machine is noisy: compare within this record, as a ratio.",
    ]
    return "\n".join(lines) + "\n"


def csv_table(record: BenchRecord) -> str:
    """One row a scope."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("scope", *_COLUMNS, "p50_low_ms", "p50_high_ms", "n", "stable"))
    for name in MEANINGS:
        if name in record.scopes:
            figures = dataclasses.asdict(record.scopes[name].summary())
            cells = [f"{figures[key]:.4f}" for key in (*_COLUMNS, "p50_low_ms", "p50_high_ms")]
            writer.writerow((name, *cells, figures["n"], "no" if name in record.doubts else "yes"))
    return text.getvalue()


def write_record(record: BenchRecord, folder: Path) -> tuple[Path, ...]:
    """Write a record as JSON (raw samples included), Markdown, CSV and HTML.

    Returns
    -------
    tuple
        The four paths, in this order.
    """
    paths = tuple(folder / f"{record.slug}.{kind}" for kind in ("json", "md", "csv", "html"))
    record.write(paths[0])
    texts = (markdown(record), csv_table(record), page(record))
    for path, text in zip(paths[1:], texts, strict=True):
        write_bytes(path, text.encode())
    return paths


def _scope_rows(record: BenchRecord) -> Iterator[tuple[str, ...]]:
    for name in MEANINGS:
        if name in record.scopes:
            figures = dataclasses.asdict(record.scopes[name].summary())
            yield (name, *(f"{figures[key]:.2f}" for key in _COLUMNS), str(figures["n"]))


def _waterfall(record: BenchRecord) -> list[str]:
    stages = stages_of(record)
    if not stages:
        return []
    total = record.scopes[FILE_TO_MAP].p50_ms
    rows = [(stage.name, f"{stage.ms:.2f}", f"{100 * stage.ms / total:.0f}") for stage in stages]
    rows.append((FILE_TO_MAP, f"{total:.2f}", "100"))
    return ["## Where the time goes", "", *_table(("stage", "ms", "%"), rows), ""]


def _steps(record: BenchRecord) -> list[str]:
    if not record.server:
        return []
    rows = [
        (step, *(f"{parts[part]:.3f}" for part in ("total", *PARTS)), f"{parts['requests']:.0f}")
        for step, parts in record.server.items()
    ]
    header = ("step", "total", *(part.replace("_", " ") for part in PARTS), "requests")
    return ["## Triton's own account", "", "Mean ms a request, of those in the scope served ensemble.", "",
            *_table(header, rows), ""]  # fmt: skip


def _load(record: BenchRecord) -> list[str]:
    lines: list[str] = []
    keys = ("p50_ms", "p90_ms", "p99_ms", "max_ms")
    if record.throughput:
        rows = [
            (
                str(p["batch"]),
                str(p["concurrency"]),
                f"{p['images_per_s']:.1f}",
                *(f"{p[k]:.1f}" for k in keys),
            )
            for p in record.throughput
        ]
        header = (
            "batch",
            "clients",
            "images a second",
            *(f"request {k.replace('_', ' ')}" for k in keys),
        )
        lines += [
            "## Throughput (closed loop)",
            "",
            "Under load: no latency of a request at rest.",
            "",
        ]
        lines += [*_table(header, rows), ""]
    if record.open_loop:
        rows = [
            (f"{p['offered_per_s']:.1f}", f"{100 * p['offered_share']:.0f}", f"{p['answered_per_s']:.1f}",
             *(f"{p[k]:.1f}" for k in keys), str(p["requests"]))
            for p in record.open_loop
        ]  # fmt: skip
        header = (
            "offered a second",
            "% of the highest",
            "answered a second",
            *(k.replace("_", " ") for k in keys),
            "n",
        )
        lines += [
            "## Open loop (Poisson arrivals)",
            "",
            "Latency from when each request was due.",
            "",
        ]
        lines += [*_table(header, rows), ""]
    return lines


def _table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    lines = ["| " + " | ".join(header) + " |", "|---" * len(header) + "|"]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return lines


def _paragraphs(sentences: list[str]) -> list[str]:
    return [line for sentence in sentences if sentence for line in ("", sentence)]


def _plain(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{count} {kind}" for kind, count in value.items()) or "not known"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
