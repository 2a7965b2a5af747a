"""One record as a page to look at."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

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
    ENGINE_ALONE,
    FILE_TO_MAP,
    SCOPES,
    SERVED_ENSEMBLE,
    STAGES,
)
from infmap_kit.bench.steps import PARTS
from infmap_kit.report import page as frame
from infmap_kit.report.charts import Bar, Curve, bars, curves

_COLUMNS = ("p50_ms", "p90_ms", "p95_ms", "p99_ms", "max_ms", "mean_ms", "sd_ms")
_LOAD_COLUMNS = ("p50_ms", "p90_ms", "p99_ms", "max_ms")


def page(record: BenchRecord) -> str:
    """The record as one self-contained HTML file."""
    machine = record.machine
    return frame.document(
        f"Latency of {record.model['name']} {record.model['version']}",
        f"{record.precision} on target {record.target}, one picture a request; measured {record.started} on "
        f"{machine.get('processor')}, {machine.get('cores')} cores, in {record.duration_s:.0f} s",
        [
            frame.paragraphs(state_sentences(record), kind="warn"),
            frame.tiles(_facts(record)),
            frame.paragraphs([overhead_sentence(record), *ratio_sentences(record)]),
            frame.paragraphs([accuracy_sentence(record), cold_start_sentence(record)]),
            frame.section(
                "Beside the paper's Table V",
                frame.figure(
                    _latency_chart(record), "Median of each scope; whiskers: its 95 % interval."
                ),
                frame.paragraphs([paper_sentence(record)]),
            ),
            *_waterfall(record),
            frame.section("Distribution", _distribution(record)),
            frame.section("All figures", _scopes(record)),
            *_load(record),
            *_steps(record),
            frame.section(
                "A second load generator", frame.paragraphs([independent_sentence(record)])
            )
            if record.independent
            else "",
            frame.section("Measured on", _conditions(record)),
        ],
    )


def _facts(record: BenchRecord) -> list[tuple[str, str]]:
    facts = [
        (f"{name}, p50", f"{record.scopes[name].p50_ms:.1f} ms")
        for name in (ENGINE_ALONE, SERVED_ENSEMBLE, FILE_TO_MAP)
        if name in record.scopes
    ]
    if FILE_TO_MAP in record.scopes:
        facts.append(
            (f"{FILE_TO_MAP}, p99", f"{record.scopes[FILE_TO_MAP].quantile_ms(0.99):.1f} ms")
        )
    if record.throughput:
        fastest = max(point["images_per_s"] for point in record.throughput)
        facts.append(("highest throughput", f"{fastest:.0f} / s"))
    if (pixels := record.accuracy.get("held_back", {}).get("pixels F1")) is not None:
        facts.append(("pixel F1, held back, FP32", f"{pixels:.3f}"))
    return facts


def _latency_chart(record: BenchRecord) -> str:
    rows = []
    kinds = {**dict.fromkeys(SCOPES, "ours"), **dict.fromkeys(BASELINES, "baseline")}
    for name, kind in kinds.items():
        if name in record.scopes:
            summary = record.scopes[name].summary()
            rows.append(
                Bar(label=name, value=summary.p50_ms, note=f"{summary.p50_ms:.2f} ms", kind=kind,
                    low=summary.p50_low_ms, high=summary.p50_high_ms)
            )  # fmt: skip
    if (row := record.paper_row) is not None:
        rows.append(
            Bar(label="Table V, on an RTX 2080 Ti", value=row.time_ms,
                note=f"{row.time_ms:.2f} ms", kind="paper")
        )  # fmt: skip
    return bars("Median latency by scope", rows, unit="ms") if rows else ""


def _waterfall(record: BenchRecord) -> list[str]:
    stages = stages_of(record)
    if not stages:
        return []
    rows, start = [], 0.0
    for stage in stages:
        begin = start if stage.ms >= 0 else start + stage.ms
        rows.append(
            Bar(label=stage.name, value=abs(stage.ms), start=max(begin, 0.0),
                note=f"{stage.ms:.2f} ms", kind="part")
        )  # fmt: skip
        start += stage.ms
    caption = "From a file's bytes to the map; the stages' sum is the p50 of file to map."
    return [
        frame.section(
            "Where the time goes",
            frame.figure(bars("Stages of file to map", rows, unit="ms"), caption),
        )
    ]


def _distribution(record: BenchRecord) -> str:
    names = [name for name in (ENGINE_ALONE, SERVED_ENSEMBLE, FILE_TO_MAP) if name in record.scopes]
    if not names:
        return ""
    shares = np.linspace(0, 0.99, 100)
    lines = [
        Curve(
            label=name,
            kind=f"c{number}",
            points=[
                (float(ms), 100 * float(share))
                for ms, share in zip(
                    np.quantile(record.scopes[name].samples_ms, shares), shares, strict=True
                )
            ],
        )
        for number, name in enumerate(names)
    ]
    chart = curves(
        "Share of requests by latency",
        lines,
        x_unit="ms",
        y_unit="% of requests within",
        x_from_zero=False,
    )
    return frame.figure(chart, "Up to the 99th percentile; the slowest are in the table below.")


def _scopes(record: BenchRecord) -> str:
    rows: list[list[str]] = []
    words: list[str] = []
    meanings = {**SCOPES, **APART, **BASELINES, **STAGES}
    for name, meaning in meanings.items():
        if name in record.scopes:
            figures = dataclasses.asdict(record.scopes[name].summary())
            cells = [f"{figures[key]:.2f}" for key in _COLUMNS]
            rows.append([name, *cells, str(figures["n"])])
            words.append(f"{name}: {meaning}.")
        elif name in record.not_measured:
            words.append(f"{name}: not measured, since {record.not_measured[name]}.")
    header = ["scope", *(key.replace("_", " ") for key in _COLUMNS), "n"]
    return frame.table(header, rows) + frame.paragraphs([*words, record.rule], kind="soft")


def _load(record: BenchRecord) -> list[str]:
    sections = []
    if record.throughput:
        single = [p for p in record.throughput if p["batch"] == 1]
        lines = [
            Curve(label="p50", kind="c0", marks=True, points=_points(single, "images_per_s", "p50_ms")),
            Curve(label="p99", kind="c1", marks=True, points=_points(single, "images_per_s", "p99_ms")),
        ]  # fmt: skip
        if record.open_loop:
            points = _points(record.open_loop, "offered_per_s", "p99_ms")
            lines.append(Curve(label="open loop, p99", kind="c2", marks=True, points=points))
            points = _points(record.open_loop, "offered_per_s", "p50_ms")
            lines.append(Curve(label="open loop, p50", kind="c3", marks=True, points=points))
        chart = curves(
            "Latency under load by throughput", lines, x_unit="images a second", y_unit="ms"
        )
        rows = [
            [
                str(p["batch"]),
                str(p["concurrency"]),
                f"{p['images_per_s']:.1f}",
                *(f"{p[k]:.1f}" for k in _LOAD_COLUMNS),
            ]
            for p in record.throughput
        ]
        header = [
            "batch",
            "clients",
            "images / s",
            *(f"request {k.replace('_', ' ')}" for k in _LOAD_COLUMNS),
        ]
        sections.append(
            frame.section(
                "Throughput against latency",
                frame.paragraphs(
                    ["Under load: these are not latencies of a request at rest."], kind="soft"
                ),
                frame.figure(
                    chart, "One picture a request; the closed loop has 1, 2, 4, … clients."
                ),
                frame.table(header, rows),
            )
        )
    if record.open_loop:
        rows = [
            [f"{p['offered_per_s']:.1f}", f"{100 * p['offered_share']:.0f} %", f"{p['answered_per_s']:.1f}",
             *(f"{p[k]:.1f}" for k in _LOAD_COLUMNS), str(p["requests"])]
            for p in record.open_loop
        ]  # fmt: skip
        header = [
            "offered / s",
            "of highest",
            "answered / s",
            *(k.replace("_", " ") for k in _LOAD_COLUMNS),
            "n",
        ]
        words = "Requests come at random times (Poisson); a latency counts from when its request was due."
        sections.append(
            frame.section(
                "Open loop", frame.paragraphs([words], kind="soft"), frame.table(header, rows)
            )
        )
    return sections


def _points(entries: list[dict[str, Any]], x: str, y: str) -> list[tuple[float, float]]:
    return [(entry[x], entry[y]) for entry in entries]


def _steps(record: BenchRecord) -> list[str]:
    if not record.server:
        return []
    header = ["step", "total", *(part.replace("_", " ") for part in PARTS), "requests"]
    rows = [
        [step, *(f"{parts[part]:.3f}" for part in ("total", *PARTS)), f"{parts['requests']:.0f}"]
        for step, parts in record.server.items()
    ]
    words = "Mean ms of a request by Triton's statistics, over those in the scope served ensemble."
    return [
        frame.section(
            "Triton's own account",
            frame.paragraphs([words], kind="soft"),
            frame.table(header, rows),
        )
    ]


def _conditions(record: BenchRecord) -> str:
    facts: dict[str, object] = {
        key.replace("_", " "): value for key, value in record.machine.items()
    }
    facts |= {f"version of {name}": version for name, version in record.versions.items()}
    facts["convolutions by type, as inspected"] = ", ".join(
        f"{count} {kind}" for kind, count in record.inspected.items()
    )
    facts["ONNX graph, SHA-256"] = record.model.get("onnx_sha256", "not stated")
    facts["pictures"] = "; ".join(record.pictures)
    rows = [
        [key, ", ".join(map(str, value)) if isinstance(value, list) else str(value)]
        for key, value in facts.items()
    ]
    return frame.table(["what", "value"], rows, words=[1])
