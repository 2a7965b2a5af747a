"""A measurement as files: JSON, Markdown, CSV, and the page of :mod:`.page`."""

from __future__ import annotations

from pathlib import Path

from infmap_kit.bench.records.page import page
from infmap_kit.bench.records.record import BenchRecord
from infmap_kit.bench.records.sentences import meaning_sentences, state_sentences
from infmap_kit.bench.records.tables import (
    csv_table,
    open_loop_table,
    ratios_table,
    scopes_table,
    steps_table,
    throughput_table,
    waterfall_table,
)
from infmap_kit.bench.scopes import MEANINGS
from infmap_kit.model.files import write_bytes


def markdown(record: BenchRecord) -> str:
    """The latencies, what they mean, and what they were measured on."""
    sections = {
        "Where the time goes": waterfall_table(record),
        "Triton's own account": steps_table(record),
        "Throughput (closed loop)": throughput_table(record),
        "Open loop (Poisson arrivals)": open_loop_table(record),
    }
    lines = [
        f"# Latency of {record.model['name']} {record.model['version']}",
        "",
        f"Per-sample latency, batch 1, target {record.target}, {record.precision}, {record.started}.",
        *_paragraphs(state_sentences(record)),
        "",
        ratios_table(record).markdown(),
        scopes_table(record).markdown(),
        *(f"- **{name}**: {MEANINGS[name]}." for name in MEANINGS if name in record.scopes),
        *(f"- **{name}**: not measured: {why}." for name, why in record.not_measured.items()),
        *_paragraphs(meaning_sentences(record)),
        "",
        *(f"## {head}\n\n{table.markdown()}" for head, table in sections.items() if table),
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


def _paragraphs(sentences: list[str]) -> list[str]:
    return [line for sentence in sentences if sentence for line in ("", sentence)]


def _plain(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{count} {kind}" for kind, count in value.items()) or "not known"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
