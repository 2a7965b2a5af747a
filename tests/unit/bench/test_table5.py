"""Table V with our columns: a row that fails says why, the others go on, and so does the next call."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from bench_records import bench_record
from infmap_kit.bench.measure import BenchOptions
from infmap_kit.bench.records.record import BenchRecord
from infmap_kit.bench.table5 import run as table5_run
from infmap_kit.bench.table5.report import HEADER, table5_table, write_table5
from infmap_kit.bench.table5.run import RowOutcome, chosen_rows, require_rows, run_table5
from infmap_kit.errors import ExportError, InfmapError, SpecError, Unstable
from infmap_kit.model.precision import Precision
from infmap_kit.model.spec import NetworkSpec
from infmap_kit.paper.table5 import table5_rows
from infmap_kit.release.source import Source
from infmap_kit.targets.embedded import EmbeddedOptions
from small_network import small_network

OPTIONS = BenchOptions(samples=10)


def test_there_are_24_rows_and_each_network_has_two() -> None:
    assert len(chosen_rows(())) == 24
    rows = chosen_rows(["unet/resnet50", "dla/chexnet"])
    assert len(rows) == 4
    assert {row.network.encoder_frozen for row in rows} == {True, False}
    with pytest.raises(SpecError):
        chosen_rows(["unet/resnet51"])
    with pytest.raises(SpecError, match="not in it"):
        chosen_rows(["unet/resnet50", "unet/efficientnetlite0"])


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[NetworkSpec]:
    """Networks that were asked for; building and measuring are stood in for, Inception does not build."""
    asked: list[NetworkSpec] = []

    def untrained(network: NetworkSpec, _path: Path) -> tuple[Source, dict[str, int]]:
        asked.append(network)
        if network.encoder == "Inception-v3":
            raise ExportError("node X: TensorRT would refuse it")
        row = next(row for row in table5_rows() if row.network == network)
        counts = {"trainable": row.trainable, "non_trainable": row.non_trainable}
        identity = {"name": "untrained", "version": "random", "onnx_sha256": "0" * 64}
        return Source(segmentation=small_network(), identity=identity), counts

    def measure(*_: object, **__: Any) -> BenchRecord:
        return bench_record()

    monkeypatch.setattr(table5_run, "_untrained", untrained)
    monkeypatch.setattr(table5_run, "publish", lambda *_, **__: None)
    monkeypatch.setattr(table5_run, "measure", measure)
    return asked


def test_a_row_that_fails_leaves_its_reason_and_the_others_go_on(
    built: list[NetworkSpec], tmp_path: Path
) -> None:
    rows = chosen_rows(["unet/densenet121", "unet/inceptionv3", "unet/resnet50"])
    outcomes = run_table5(rows, tmp_path, OPTIONS, published=EmbeddedOptions())
    assert [bool(outcome.failure) for outcome in outcomes] == [
        row.network.encoder == "Inception-v3" for row in rows
    ]
    with pytest.raises(
        InfmapError, match="2 of 6 networks failed.*TensorRT would refuse"
    ) as raised:
        require_rows(outcomes)
    assert raised.value.exit_code == 1
    # Called again: what is there is read, what failed is tried again.
    built.clear()
    again = run_table5(rows, tmp_path, OPTIONS, published=EmbeddedOptions())
    assert {network.encoder for network in built} == {"Inception-v3"}
    assert [outcome.stable for outcome in again] == [outcome.stable for outcome in outcomes]
    built.clear()
    run_table5(rows, tmp_path, OPTIONS, published=EmbeddedOptions(), again=True)
    assert len(built) == 6
    built.clear()
    run_table5(rows, tmp_path, OPTIONS, published=EmbeddedOptions(precision=Precision.INT8))
    assert len(built) == 6, "another precision is another measurement"


def test_a_damaged_record_is_measured_again(built: list[NetworkSpec], tmp_path: Path) -> None:
    rows = chosen_rows(["unet/resnet50"])
    run_table5(rows, tmp_path, OPTIONS, published=EmbeddedOptions())
    for path in tmp_path.glob("*.json"):
        path.write_text(path.read_text()[:500])
    built.clear()
    assert all(
        outcome.stable
        for outcome in run_table5(rows, tmp_path, OPTIONS, published=EmbeddedOptions())
    )
    assert len(built) == 2


def test_a_row_that_did_not_settle_is_measured_again(
    built: list[NetworkSpec], tmp_path: Path
) -> None:
    rows = chosen_rows(["unet/resnet50"])
    run_table5(rows, tmp_path, OPTIONS, published=EmbeddedOptions())
    path = sorted(tmp_path.glob("*.json"))[0]
    document = json.loads(path.read_text())
    document["record"]["doubts"] = {"engine alone": "wobbles"}
    path.write_text(json.dumps(document))
    built.clear()
    assert all(
        outcome.stable
        for outcome in run_table5(rows, tmp_path, OPTIONS, published=EmbeddedOptions())
    )
    assert [network.encoder_frozen for network in built] == ["not-frozen" not in path.name]


def test_a_precision_that_does_not_exist_is_said_before_anything_is_built(
    built: list[NetworkSpec], tmp_path: Path
) -> None:
    with pytest.raises(SpecError):
        run_table5(
            chosen_rows(()),
            tmp_path,
            OPTIONS,
            published=EmbeddedOptions(precision="fp7"),  # type: ignore[arg-type]
        )
    assert built == []


def test_what_did_not_settle_ends_with_its_own_code() -> None:
    (row, *_) = table5_rows()
    wobbly = dataclasses.replace(bench_record(), doubts={"engine alone": "wobbles"})
    with pytest.raises(Unstable, match="1 of 1") as raised:
        require_rows([RowOutcome(row=row, precision="fp32", record=wobbly)])
    assert raised.value.exit_code == 5


def test_every_format_has_every_row(tmp_path: Path) -> None:
    rows = table5_rows()
    outcomes = [RowOutcome(row=row, precision="int8", record=bench_record()) for row in rows[:-1]]
    outcomes.append(RowOutcome(row=rows[-1], precision="int8", failure="it did not build"))
    json_path, markdown_path, csv_path, html_path = write_table5(outcomes, tmp_path)
    table = list(csv.DictReader(io.StringIO(csv_path.read_text())))
    assert len(table) == len(json.loads(json_path.read_text())["rows"]) == 24
    first, row = table[0], rows[0]
    assert int(first["trainable"]) == row.trainable
    assert first["as printed"] == f"{row.trainable_as_printed} + {row.non_trainable_as_printed}"
    engine = bench_record().scopes["engine alone"].p50_ms
    assert float(first["engine / paper"]) == pytest.approx(engine / row.time_ms, abs=0.06)
    assert table[-1]["note"] == "failed: it did not build"
    for path in (markdown_path, html_path):
        text = path.read_text()
        assert all(row.network.label.replace("++", "++") in text for row in rows)
        for words in ("RTX 2080 Ti", "two machines as much as two programs", "random", "23 of 24"):
            assert words in text
    assert len(HEADER) == len(first)


def test_the_terminal_table_fits_80_columns() -> None:
    outcomes = [
        RowOutcome(row=row, precision="fp32", record=bench_record()) for row in table5_rows()
    ]
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(table5_table(outcomes))
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text


@pytest.mark.train
@pytest.mark.slow
def test_a_network_is_built_gated_and_timed_whole(tmp_path: Path) -> None:
    """The real thing, for the encoder whose untrained activations used to explode."""
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    options = BenchOptions(samples=10, warm_up=2, tolerance_percent=1000, independent=False)
    (outcome, *_) = run_table5(
        chosen_rows(["unet/resnet50"])[:1], tmp_path, options, published=EmbeddedOptions()
    )
    assert outcome.failure == ""
    assert outcome.parameters == {
        "trainable": outcome.row.trainable,
        "non_trainable": outcome.row.non_trainable,
    }
    assert outcome.record is not None
    assert outcome.record.accuracy["gate"]["dice"] >= 0.999
    assert outcome.record.model["random_weights"]
