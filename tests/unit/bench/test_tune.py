"""Which settings of threads and instances are tried, and which is kept."""

from __future__ import annotations

import pytest

from infmap_kit.bench.tune import Goal, Trial, best, parse_goal
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
    assert all(one.threads * one.instances <= cores for one in settings)
    assert len(settings) == len(set(settings))


def test_the_goal_decides() -> None:
    quick = Trial(setting=Setting(threads=2, instances=1), p50_ms=8, images_per_s=120)
    many = Trial(setting=Setting(threads=1, instances=2), p50_ms=14, images_per_s=140)
    assert best([quick, many], Goal.LATENCY) is quick
    assert best([quick, many], Goal.THROUGHPUT) is many


def test_another_goal_is_refused() -> None:
    with pytest.raises(SpecError, match="latency, throughput"):
        parse_goal("beauty")
