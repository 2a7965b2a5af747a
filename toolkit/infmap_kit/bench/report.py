"""A measurement as people read it: a table on the terminal, Markdown, and JSON for later."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.table import Table

from infmap_kit.bench.measure import APART, ENGINE_ALONE, FILE_TO_MAP, SCOPES, BenchRecord
from infmap_kit.bench.table5 import MACHINE, Table5Row, table5_rows
from infmap_kit.spec import NetworkSpec, write_bytes, write_json

_COLUMNS = ("p50_ms", "p90_ms", "p99_ms", "mean_ms")
_HEADER = ("scope", "p50 ms", "p90 ms", "p99 ms", "mean ms", "n")


def paper_row(record: BenchRecord) -> Table5Row | None:
    """Table V's row for the measured network; ``None`` when it is none of the 24, or not known."""
    network: dict[str, Any] | None = record.model.get("network")
    if not network:
        return None
    wanted = NetworkSpec(**network)
    return next((row for row in table5_rows() if row.network == wanted), None)


def paper_sentence(record: BenchRecord) -> str:
    """Table V's figure, and why it is beside ours and not against it."""
    row = paper_row(record)
    machine = record.machine
    if row is None:
        return "The network is not known, so that no row of the paper's Table V stands beside it."
    ratio = record.scopes[ENGINE_ALONE].quantile_ms(0.5) / row.time_ms
    return (
        f"Table V gives {row.network.label}: {row.time_ms:.2f} ms a sample, with {row.trainable_as_printed} "
        f"trainable and {row.non_trainable_as_printed} other parameters. That was another machine, an "
        f"{MACHINE}; this is {machine['processor']} with {machine['cores']} cores and no GPU, and takes "
        f"{ratio:.1f} times as long for the engine alone."
    )


def latency_table(record: BenchRecord) -> Table:
    """The latencies as a table for the terminal."""
    table = Table(
        *_HEADER,
        title=f"Per-sample latency, batch 1, {record.precision}, target {record.target}",
        caption=f"{_overhead(record)}\n{paper_sentence(record)}",
        caption_justify="left",
    )
    for row in _rows(record):
        table.add_row(*row)
        if row[0] == FILE_TO_MAP:
            table.add_section()
    return table


def markdown(record: BenchRecord) -> str:
    """The latencies, what they mean, and what they were measured on."""
    lines = [
        f"# Latency of {record.model['name']} {record.model['version']}",
        "",
        f"Per-sample latency, batch 1, target {record.target}, {record.precision}, {record.started}.",
        "",
        "| " + " | ".join(_HEADER) + " |",
        "|---" * len(_HEADER) + "|",
        *("| " + " | ".join(row) + " |" for row in _rows(record)),
        "",
        *(f"- **{name}**: {meaning}." for name, meaning in {**SCOPES, **APART}.items()),
        "",
        _overhead(record),
        "",
        paper_sentence(record),
        "",
        "## Measured on",
        "",
        *(f"- {key}: {_plain(value)}" for key, value in record.machine.items()),
        *(f"- {key} {value}" for key, value in record.versions.items()),
        f"- warm-up {record.options.warm_up} requests a scope; scopes measured in turn, ten samples at a time",
        f"- pictures: {'; '.join(record.pictures)}",
        "",
        "Latency on a shared machine is noisy: compare within this record, as a ratio.",
    ]
    return "\n".join(lines) + "\n"


def write_record(record: BenchRecord, folder: Path) -> tuple[Path, Path]:
    """Write a record as JSON (raw samples included) and Markdown.

    Returns
    -------
    tuple
        The two paths.
    """
    stamp = record.started[:19].replace(":", "").replace("-", "")
    stem = f"latency-{_slug(record)}-{record.precision}-{stamp}"
    json_path, markdown_path = folder / f"{stem}.json", folder / f"{stem}.md"
    write_json(json_path, record.as_json())
    write_bytes(markdown_path, markdown(record).encode())
    return json_path, markdown_path


def _rows(record: BenchRecord) -> list[tuple[str, ...]]:
    rows = []
    for name in (*SCOPES, *APART):
        summary = record.scopes[name].summary()
        rows.append((name, *(f"{summary[key]:.2f}" for key in _COLUMNS), str(summary["n"])))
    return rows


def _overhead(record: BenchRecord) -> str:
    return (
        f"Everything around the engine adds {record.overhead_ms:.1f} ms at p50 (file to map less engine "
        "alone)."
    )


def _slug(record: BenchRecord) -> str:
    row = paper_row(record)
    name = f"{row.network.architecture}-{row.network.encoder}" if row else str(record.model["name"])
    kept = "".join(c if c.isalnum() else "-" for c in name.lower().replace("+", "p"))
    return "-".join(part for part in kept.split("-") if part)


def _plain(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
