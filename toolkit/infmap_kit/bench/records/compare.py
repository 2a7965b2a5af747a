"""The comparison of two records: changes beyond noise, and other differences."""

from __future__ import annotations

import dataclasses
from typing import Any

from infmap_kit.bench.records.record import BenchRecord
from infmap_kit.bench.scopes import MEANINGS
from infmap_kit.bench.statistics import bootstrap_p50, interval
from infmap_kit.report.table import Table

NOISE_PERCENT = 2.0
"""Changes below this are called none, however sure: clocks and schedulers move as much from day to day."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class LatencyChange:
    """One scope in two records.

    Parameters
    ----------
    scope
        The scope.
    before_ms, after_ms
        The two medians.
    percent
        Change of the median, in percent of ``before_ms``.
    low_percent, high_percent
        Interval in which it lies with 95 % confidence (bootstrap of both).
    verdict
        ``faster``, ``slower`` or ``no change beyond noise``.
    """

    scope: str
    before_ms: float
    after_ms: float
    percent: float
    low_percent: float
    high_percent: float
    verdict: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two records side by side.

    Parameters
    ----------
    changes
        Scope by scope.
    differences
        Other differences, a sentence each: a change may have any of these causes.
    """

    changes: tuple[LatencyChange, ...]
    differences: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the comparison as a JSON document."""
        return dataclasses.asdict(self)


def compare_records(before: BenchRecord, after: BenchRecord) -> Comparison:
    """Compare a record with an earlier one, over the scopes that both have."""
    changes = [
        _change(name, before, after)
        for name in MEANINGS
        if name in before.scopes and name in after.scopes
    ]
    return Comparison(changes=tuple(changes), differences=tuple(_differences(before, after)))


def changes_table(comparison: Comparison) -> Table:
    """A table with a row for each scope of two records."""
    differences = comparison.differences
    heading = "What else was different:" if differences else "Nothing else was different."
    rows = [
        (
            change.scope,
            f"{change.before_ms:.2f}",
            f"{change.after_ms:.2f}",
            f"{change.percent:+.1f} %",
            f"{change.low_percent:+.1f} to {change.high_percent:+.1f} %",
            change.verdict,
        )
        for change in comparison.changes
    ]
    columns = ("scope", "before ms", "after ms", "change", "95 % interval", "verdict")
    return Table("", columns, rows, notes=(heading, *differences))


def _change(scope: str, before: BenchRecord, after: BenchRecord) -> LatencyChange:
    old, new = before.scopes[scope], after.scopes[scope]
    # Seeds of their own: drawn alike, the noise of the two would go together.
    drawn = bootstrap_p50(new.samples_ms, seed=1) / bootstrap_p50(old.samples_ms, seed=2)
    low, high = interval(100 * (drawn - 1))
    percent = 100 * (new.p50_ms / old.p50_ms - 1)
    verdict = "no change beyond noise"
    if abs(percent) >= NOISE_PERCENT and (low > 0 or high < 0):
        verdict = "slower" if percent > 0 else "faster"
    return LatencyChange(
        scope=scope,
        before_ms=old.p50_ms,
        after_ms=new.p50_ms,
        percent=percent,
        low_percent=low,
        high_percent=high,
        verdict=verdict,
    )


def _differences(before: BenchRecord, after: BenchRecord) -> list[str]:
    versions = sorted(before.versions.keys() | after.versions.keys())

    def conditions(record: BenchRecord) -> dict[str, Any]:
        machine_keys = ("processor", "cores", "cpu_features", "system", "gpu", "driver")
        return {
            **{
                key: getattr(record, key)
                for key in ("precision", "target", "pictures", "inspected")
            },
            **{f"model {key}": record.model.get(key) for key in ("onnx_sha256", "version")},
            **{key: record.machine.get(key) for key in machine_keys},
            **{f"version of {key}": record.versions.get(key) for key in versions},
        }

    old, new = conditions(before), conditions(after)
    differences = [f"{k}: {old[k]} before, {new[k]} after" for k in old if old[k] != new[k]]
    for when, record in (("before", before), ("after", after)):
        differences += [f"{when}: {sentence}" for sentence in record.warnings]
        if record.doubts:
            differences.append(f"{when}: not stable: {', '.join(record.doubts)}")
        if record.failure:
            differences.append(f"{when}: ended early: {record.failure}")
    return differences
