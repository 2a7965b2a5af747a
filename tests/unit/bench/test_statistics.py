"""Figures are those of the samples, and a rule says when there are enough of them."""

from __future__ import annotations

import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infmap_kit.bench.statistics import BLOCK, Latencies, StabilityRule, paired_ratio
from infmap_kit.errors import SpecError

RULE = StabilityRule(samples=50, tolerance_percent=5)


def _noisy(median_ms: float, count: int, *, spread: float = 0.02, seed: int = 0) -> list[float]:
    return list(median_ms * (1 + np.random.default_rng(seed).normal(0, spread, count)))


def test_figures_against_the_standard_library() -> None:
    samples = tuple(np.random.default_rng(0).gamma(9, 1, 101))
    figures = Latencies(samples).summary()
    ordered = sorted(samples)
    assert figures.p50_ms == pytest.approx(statistics.median(samples))
    assert (figures.p90_ms, figures.p95_ms, figures.p99_ms) == pytest.approx(
        (ordered[90], ordered[95], ordered[99])
    )
    assert figures.mean_ms == pytest.approx(statistics.mean(samples))
    assert figures.sd_ms == pytest.approx(statistics.stdev(samples))
    assert (figures.max_ms, figures.n) == (ordered[-1], 101)


@given(st.lists(st.floats(0.01, 1e4), min_size=1, max_size=300))
def test_figures_are_in_order_for_any_samples(samples: list[float]) -> None:
    figures = Latencies(tuple(samples)).summary()
    values = (figures.p50_ms, figures.p90_ms, figures.p95_ms, figures.p99_ms, figures.max_ms)
    assert list(values) == sorted(values)
    assert figures.p50_low_ms <= figures.p50_high_ms
    assert min(samples) <= figures.p50_low_ms


@pytest.mark.parametrize("samples", [(), (1.0, float("nan")), (float("inf"),)])
def test_what_is_no_latency_is_refused(samples: tuple[float, ...]) -> None:
    with pytest.raises(SpecError):
        Latencies(samples)


def test_the_interval_holds_the_true_median_about_as_often_as_it_says() -> None:
    inside = 0
    for seed in range(200):
        low, high = Latencies(tuple(_noisy(10, 200, spread=0.1, seed=seed))).p50_interval_ms()
        inside += low <= 10 <= high
    assert 0.88 * 200 <= inside <= 200


def test_a_quiet_machine_is_stable_and_others_say_why_not() -> None:
    assert RULE.doubt(Latencies(tuple(_noisy(10, 100)))) == ""
    assert "30 of 50" in RULE.doubt(Latencies(tuple(_noisy(10, 30))))
    assert "known to" in RULE.doubt(Latencies(tuple(_noisy(10, 100, spread=0.9, seed=3))))
    slower = _noisy(10, 60) + _noisy(10.8, 60, seed=1)
    assert "slower" in RULE.doubt(Latencies(tuple(slower)))
    assert "faster" in RULE.doubt(Latencies(tuple(reversed(slower))))


def test_neighbours_that_resemble_each_other_do_not_feign_certainty() -> None:
    """Whole blocks are slow or quick together: 20 of them are 20 observations, not 200."""
    random = np.random.default_rng(0)
    blocks = np.repeat(random.normal(10, 2, 20), 10) + random.normal(0, 0.01, 200)
    low, high = Latencies(tuple(blocks)).p50_interval_ms()
    assert high - low > 0.5


def _in_turn(ratio: float, *, rounds: int, seed: int) -> tuple[Latencies, Latencies]:
    """Two scopes in turn on a host of two speeds and a drift, to which neighbouring blocks belong alike."""
    random = np.random.default_rng(seed)
    blocks = 2 * rounds
    slow = np.cumsum(random.random(blocks) < 0.1) % 2
    speed = (1 + 0.6 * slow) * np.exp(np.cumsum(random.normal(0, 0.02, blocks)))
    requests = np.exp(random.normal(0, 0.1, (blocks, BLOCK))) * speed[:, np.newaxis]
    # Now and then the host takes the processor away.
    requests *= 1 + 3 * (random.random(requests.shape) < 0.02)
    return Latencies(tuple(12 * ratio * requests[::2].ravel())), Latencies(
        tuple(12 * requests[1::2].ravel())
    )


def test_a_ratio_lies_in_its_interval_about_as_often_as_it_says_however_the_host_drifts() -> None:
    for rounds in (20, 40):
        found = [paired_ratio(*_in_turn(0.3, rounds=rounds, seed=seed)) for seed in range(200)]
        inside = sum(one.low <= 0.3 <= one.high for one in found)
        assert 0.90 * 200 <= inside <= 0.99 * 200
        assert {one.pairs for one in found} == {rounds}


def test_a_ratio_is_sure_where_the_times_are_not() -> None:
    scope, other = _in_turn(0.3, rounds=60, seed=3)
    assert RULE.doubt(scope)
    assert RULE.doubt(other)
    assert RULE.ratio_doubt(scope, other) == ""
    few = Latencies(scope.samples_ms[:30])
    assert RULE.ratio_doubt(few, other) == "30 of 50 samples"
    random = np.random.default_rng(0)
    apart = Latencies(tuple(np.repeat(random.normal(10, 3, 20), BLOCK)))
    assert "known to" in RULE.ratio_doubt(apart, other)


def test_a_rule_without_sense_is_refused() -> None:
    with pytest.raises(SpecError):
        StabilityRule(samples=10, tolerance_percent=0)
