"""Which settings of threads and instances are tried, and which is kept."""

from __future__ import annotations

import pytest

from infmap_kit.bench.tune import Goal, LoadPoint, Trial, best, parse_goal
from infmap_kit.errors import SpecError
from infmap_kit.targets.registry import find
from infmap_kit.targets.target import Setting
from infmap_kit.triton.repository import Manifest

MANIFEST = Manifest(target="embedded", precision="fp32", model={}, files={}, built_with={})


@pytest.mark.parametrize("cores", [1, 2, 3, 6, 8, 64])
def test_no_setting_asks_for_more_cores_than_there_are(cores: int) -> None:
    settings = find("embedded").settings(MANIFEST, cores)
    assert Setting(threads=cores, instances=1) in settings
    assert Setting(threads=1, instances=cores) in settings
    assert Setting(threads=1, instances=1, streams=cores) in settings
    assert all(one.threads * one.in_flight <= cores for one in settings)
    assert len(settings) == len(set(settings))


def _trial(setting: Setting, *points: tuple[int, float, float, float]) -> Trial:
    names = ("clients", "images_per_s", "p50_ms", "p99_ms")
    return Trial(
        setting=setting,
        curve=tuple(LoadPoint(**dict(zip(names, point, strict=True))) for point in points),  # type: ignore[arg-type]
    )


QUICK = _trial(
    Setting(threads=2, instances=1), (1, 118, 8, 11), (2, 120, 16, 20), (16, 119, 130, 150)
)
MANY = _trial(
    Setting(threads=1, instances=2), (1, 70, 14, 17), (2, 138, 14, 22), (16, 140, 110, 170)
)
STREAMS = _trial(
    Setting(threads=1, instances=1, streams=2),
    (1, 69, 14, 16),
    (2, 137, 14, 18),
    (16, 139, 110, 120),
)


def test_the_goal_decides() -> None:
    assert best([QUICK, MANY], Goal.LATENCY) is QUICK
    assert best([QUICK, MANY], Goal.THROUGHPUT) is MANY


def test_throughput_counts_where_more_clients_would_only_wait() -> None:
    assert MANY.full.clients == 2
    assert _trial(Setting(threads=1, instances=1), (1, 70, 1, 2), (16, 90, 9, 9)).full.clients == 16


def test_of_equal_throughputs_the_one_with_quicker_slowest_requests_is_taken() -> None:
    assert best([MANY, STREAMS], Goal.THROUGHPUT) is STREAMS
    assert best([STREAMS, MANY], Goal.THROUGHPUT) is STREAMS


def test_another_goal_is_refused() -> None:
    with pytest.raises(SpecError, match="latency, throughput"):
        parse_goal("beauty")
