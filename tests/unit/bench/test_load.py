"""Open-loop load: latencies count from when requests were due, whatever the server does."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from infmap_kit.bench.load import poisson_arrivals, replay


def test_gaps_are_exponential_with_the_rate_asked_for() -> None:
    arrivals = poisson_arrivals(50, 200, seed=1)
    gaps = np.diff(arrivals)
    assert len(arrivals) == 10_000
    assert gaps.min() > 0
    assert gaps.mean() == pytest.approx(1 / 50, rel=0.05)
    # An exponential's standard deviation is its mean; regular arrivals would have none.
    assert gaps.std() == pytest.approx(gaps.mean(), rel=0.05)
    assert np.array_equal(arrivals, poisson_arrivals(50, 200, seed=1))


def test_a_stall_is_suffered_by_all_that_were_due_meanwhile() -> None:
    """A server that answers one at a time and stalls once: a closed loop would see one slow request."""
    server = threading.Lock()

    def ask(number: int) -> None:
        with server:
            time.sleep(0.3 if number == 2 else 0.001)

    arrivals = np.arange(1, 21) * 0.02
    samples, _ = replay(arrivals, ask)
    slow = [ms for ms in samples if ms > 60]
    assert len(slow) >= 8
    # Those that came right after the stall began waited for most of it.
    assert samples[3] > 200


def test_lateness_counts_when_all_clients_are_waiting() -> None:
    samples, _ = replay(np.full(4, 0.001), lambda _: time.sleep(0.05), clients=1)
    assert samples == sorted(samples)
    assert samples[-1] > 190


def test_an_answer_that_fails_is_not_a_latency() -> None:
    def ask(_number: int) -> None:
        raise ConnectionError("gone")

    with pytest.raises(ConnectionError):
        replay(np.array([0.001]), ask)
