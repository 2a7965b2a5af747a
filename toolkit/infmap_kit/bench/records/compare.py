"""Two records: what changed beyond noise, and what else was different."""

from __future__ import annotations

import dataclasses
from typing import Any

from infmap_kit.bench.records.record import BenchRecord
from infmap_kit.bench.scopes import APART, BASELINES, SCOPES, STAGES
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
        Which.
    before_ms, after_ms
        The two medians.
    percent
        Change of the median, in percent of ``before_ms``.
    low_percent, high_percent
        Between these it lies with 95 % confidence (bootstrap of both).
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
        What else was different, one sentence each: such a change may have any of these causes.
    """

    changes: tuple[LatencyChange, ...]
    differences: tuple[str, ...]

    @property
    def slower(self) -> tuple[LatencyChange, ...]:
        """What became slower beyond noise."""
        return tuple(change for change in self.changes if change.verdict == "slower")

    def as_json(self) -> dict[str, Any]:
        """For scripts."""
        return dataclasses.asdict(self)


def compare_records(before: BenchRecord, after: BenchRecord) -> Comparison:
    """Hold one record against an earlier one, over the scopes that both have."""
    names = {**SCOPES, **APART, **BASELINES, **STAGES}
    changes = tuple(
        _change(name, before, after)
        for name in names
        if name in before.scopes and name in after.scopes
    )
    return Comparison(changes=changes, differences=tuple(_differences(before, after)))


def changes_table(comparison: Comparison) -> Table:
    """One row a scope of two records."""
    differences = comparison.differences
    notes = (
        ("What else was different:", *differences)
        if differences
        else ("Nothing else was different.",)
    )
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
    return Table("", columns, rows, notes=notes)


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
    pairs: dict[str, tuple[Any, Any]] = {
        key: (getattr(before, key), getattr(after, key))
        for key in ("precision", "target", "pictures", "inspected")
    }
    for key in ("onnx_sha256", "version"):
        pairs[f"model {key}"] = (before.model.get(key), after.model.get(key))
    for key in ("processor", "cores", "cpu_features", "system", "gpu", "driver"):
        pairs[key] = (before.machine.get(key), after.machine.get(key))
    for key in sorted(before.versions.keys() | after.versions.keys()):
        pairs[f"version of {key}"] = (before.versions.get(key), after.versions.get(key))
    found = [f"{key}: {old} before, {new} after" for key, (old, new) in pairs.items() if old != new]
    for when, record in (("before", before), ("after", after)):
        found += [f"{when}: {sentence}" for sentence in record.warnings]
        if record.doubts:
            found.append(f"{when}: not stable: {', '.join(record.doubts)}")
        if record.failure:
            found.append(f"{when}: ended early: {record.failure}")
    return found
