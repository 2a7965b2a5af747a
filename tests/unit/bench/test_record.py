"""A record is kept with every sample, is read back the same, and compares with another."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from bench_records import bench_record
from infmap_kit.bench.records.compare import compare_records
from infmap_kit.bench.records.record import BenchRecord
from infmap_kit.bench.scopes import ENGINE_ALONE, FILE_TO_MAP, ONNX_RUNTIME
from infmap_kit.bench.statistics import Latencies
from infmap_kit.errors import SpecError


def test_a_record_is_read_back_with_every_sample(tmp_path: Path) -> None:
    record = bench_record()
    record.write(tmp_path / "record.json")
    again = BenchRecord.read(tmp_path / "record.json")
    assert again.scopes.keys() == record.scopes.keys()
    for name, latencies in record.scopes.items():
        assert again.scopes[name].samples_ms == pytest.approx(latencies.samples_ms, abs=5e-4)
    emptied = [dataclasses.replace(each, scopes={}) for each in (record, again)]
    assert emptied[0] == emptied[1]


def test_samples_stand_on_one_line(tmp_path: Path) -> None:
    bench_record(samples=300).write(tmp_path / "record.json")
    assert len((tmp_path / "record.json").read_text().splitlines()) < 600


def test_ratios_are_of_medians() -> None:
    record = bench_record()
    document = record.as_json()
    p50 = {name: scope["p50_ms"] for name, scope in document["scopes"].items()}
    ratios = document["ratios"]
    for pair in ((FILE_TO_MAP, ENGINE_ALONE), (ENGINE_ALONE, ONNX_RUNTIME)):
        found = ratios[" / ".join(pair)]
        assert found["ratio"] == pytest.approx(p50[pair[0]] / p50[pair[1]], rel=0.01)
        assert found["low"] <= found["ratio"] <= found["high"]
    without = dataclasses.replace(record, scopes={})
    assert (without.ratios, without.overhead_ms) == ({}, None)


@pytest.mark.parametrize(
    "document",
    [{}, {"schema": 1, "scopes": {}}, {"schema": 2}, {"schema": 2, "scopes": {"x": {}}},
     {"schema": 2, "scopes": {"x": {"samples_ms": []}}}],
)  # fmt: skip
def test_what_is_no_record_is_refused_by_name(document: object, tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    path.write_text(json.dumps(document))
    with pytest.raises(SpecError, match=r"record\.json"):
        BenchRecord.read(path)


def test_the_same_measurement_twice_is_no_change() -> None:
    comparison = compare_records(bench_record(seed=1), bench_record(seed=2))
    assert {change.verdict for change in comparison.changes} == {"no change beyond noise"}
    assert comparison.differences == ()


def test_a_real_change_is_called_by_name_and_direction() -> None:
    before = bench_record()
    scopes = dict(before.scopes)
    scopes[ENGINE_ALONE] = Latencies(tuple(1.2 * ms for ms in scopes[ENGINE_ALONE].samples_ms))
    scopes[FILE_TO_MAP] = Latencies(tuple(0.8 * ms for ms in scopes[FILE_TO_MAP].samples_ms))
    # Sure, and too little to be anything.
    scopes[ONNX_RUNTIME] = Latencies(tuple(1.012 * ms for ms in scopes[ONNX_RUNTIME].samples_ms))
    after = dataclasses.replace(before, scopes=scopes, machine={**before.machine, "cores": 4})
    verdicts = {c.scope: c for c in compare_records(before, after).changes}
    assert verdicts[ENGINE_ALONE].verdict == "slower"
    assert verdicts[ENGINE_ALONE].percent == pytest.approx(20)
    assert verdicts[FILE_TO_MAP].verdict == "faster"
    assert verdicts[ONNX_RUNTIME].verdict == "no change beyond noise"
    assert compare_records(before, after).differences == ("cores: 2 before, 4 after",)


def test_doubts_and_failures_are_named_beside_the_changes() -> None:
    after = dataclasses.replace(
        bench_record(), doubts={ENGINE_ALONE: "wobbles"}, failure="the server ended"
    )
    sentences = " ".join(compare_records(bench_record(), after).differences)
    assert "not stable" in sentences
    assert "the server ended" in sentences
