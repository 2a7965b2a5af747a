"""Reports say what was measured, on what, and put Table V beside it and not against it."""

from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from infmap_kit.bench.measure import (
    APART,
    ENGINE_ALONE,
    FILE_TO_MAP,
    SCOPES,
    BenchOptions,
    BenchRecord,
    Latencies,
)
from infmap_kit.bench.report import latency_table, markdown, paper_row, write_record

_NETWORK = {"architecture": "U-Net", "encoder": "DenseNet-121", "encoder_frozen": False}


@pytest.fixture
def record() -> BenchRecord:
    random = np.random.default_rng(0)
    samples = {
        name: Latencies(tuple(random.gamma(9, 1 + number, 101)))
        for number, name in enumerate((*SCOPES, *APART))
    }
    return BenchRecord(
        scopes=samples,
        model={"name": "infmap U-Net", "version": "1", "network": _NETWORK},
        target="embedded",
        precision="fp32",
        pictures=["chest.jpg 1024x1024 image/jpeg"],
        machine={"processor": "a processor", "cores": 2, "gpu": "none used"},
        versions={"triton": "2.51.0"},
        started="2026-11-21T23:00:00+00:00",
        options=BenchOptions(samples=101, warm_up=5),
    )


def test_figures_are_those_of_the_samples(record: BenchRecord) -> None:
    latencies = record.scopes[ENGINE_ALONE]
    ordered = sorted(latencies.samples_ms)
    summary = latencies.summary()
    assert summary["p50_ms"] == pytest.approx(ordered[50])
    assert summary["p90_ms"] == pytest.approx(ordered[90])
    assert summary["p99_ms"] == pytest.approx(ordered[99])
    assert summary["mean_ms"] == pytest.approx(sum(ordered) / 101)
    assert summary["n"] == 101
    expected = sorted(record.scopes[FILE_TO_MAP].samples_ms)[50] - ordered[50]
    assert record.overhead_ms == pytest.approx(expected)


def test_table_5_stands_beside_with_its_machine(record: BenchRecord) -> None:
    row = paper_row(record)
    assert row is not None
    assert (row.time_ms, row.trainable_as_printed) == (2.58, "12.06M")
    text = markdown(record)
    for wanted in ("2.58 ms", "12.06M", "another machine", "RTX 2080 Ti", "a processor", "no GPU"):
        assert wanted in text


def test_an_unknown_network_has_no_row(record: BenchRecord) -> None:
    unknown = dataclasses.replace(record, model={"name": "mine", "version": "1"})
    assert paper_row(unknown) is None
    assert "not known" in markdown(unknown)


def test_the_record_keeps_every_sample(record: BenchRecord, tmp_path: Path) -> None:
    json_path, markdown_path = write_record(record, tmp_path)
    document = json.loads(json_path.read_text())
    assert document["scopes"][ENGINE_ALONE]["samples_ms"] == pytest.approx(
        record.scopes[ENGINE_ALONE].samples_ms, abs=1e-4
    )
    assert json_path.stem == markdown_path.stem == "latency-u-net-densenet-121-fp32-20261121T230000"


def test_the_terminal_table_fits_80_columns(record: BenchRecord) -> None:
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(latency_table(record))
    lines = console.export_text().splitlines()
    assert max(map(len, lines)) <= 80
    for name in (*SCOPES, *APART):
        assert any(name in line for line in lines), f"{name} is cut"
