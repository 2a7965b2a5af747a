"""How often a caller may come."""

from __future__ import annotations

import pytest

from infmap_kit.node.dicom.bounds import Rate


def test_so_many_a_minute_for_each_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 100.0
    monkeypatch.setattr("infmap_kit.node.dicom.bounds.time.monotonic", lambda: now_s)
    rate = Rate(60)
    assert [rate.allows("A") for _ in range(61)] == [True] * 60 + [False]
    assert rate.allows("B"), "another caller is not held up"
    now_s += 1.01
    assert [rate.allows("A") for _ in range(2)] == [True, False]
    now_s += 3600
    assert sum(rate.allows("A") for _ in range(100)) == 60, "no more than a minute's worth at once"
