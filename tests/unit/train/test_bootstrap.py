from __future__ import annotations

import math

import numpy as np
import pytest

from infmap_train.evaluation.bootstrap import bootstrap, bootstrap_mean


def test_a_means_interval_is_the_textbooks() -> None:
    """Of 400 independent values the normal interval is right, and the bootstrap comes to it."""
    values = np.random.default_rng(1).normal(5, 2, 400)
    found = bootstrap_mean(values, [str(n) for n in range(400)])
    half = 1.96 * values.std() / 20
    assert found.value == pytest.approx(values.mean())
    assert found.low == pytest.approx(values.mean() - half, abs=0.04)
    assert found.high == pytest.approx(values.mean() + half, abs=0.04)


def test_pictures_of_one_patient_count_as_one() -> None:
    """Ten copies of each of 40 patients know no more than the 40: the interval stays as wide."""
    patients = np.random.default_rng(2).normal(0, 1, 40)
    once = bootstrap_mean(patients, [str(n) for n in range(40)])
    copies = bootstrap_mean(np.repeat(patients, 10), [str(n // 10) for n in range(400)])
    assert copies.low == pytest.approx(once.low, abs=1e-9)
    assert copies.high == pytest.approx(once.high, abs=1e-9)
    as_if = bootstrap_mean(np.repeat(patients, 10), [str(n) for n in range(400)])
    assert as_if.high - as_if.low < (once.high - once.low) / 2


def test_what_is_not_defined_is_left_out() -> None:
    values = np.array([1.0, np.nan, 3.0, 3.0])
    found = bootstrap_mean(values, list("abcd"))
    assert found.value == pytest.approx(7 / 3)
    assert 1 <= found.low < found.high <= 3
    nothing = bootstrap_mean(np.array([np.nan, np.nan]), ["a", "b"])
    assert math.isnan(nothing.value)
    assert nothing.text() == "-"


def test_draws_without_a_figure_are_left_out() -> None:
    labels = np.array([True, False, False])

    def first_class(rows: np.ndarray) -> float:
        return float(labels[rows].mean()) if labels[rows].any() else math.nan

    found = bootstrap(first_class, list("abc"))
    assert 1 / 3 <= found.low <= found.high <= 1


def test_one_patient_gives_no_interval() -> None:
    found = bootstrap_mean(np.array([1.0, 2.0]), ["a", "a"])
    assert (found.value, math.isnan(found.low)) == (1.5, True)


def test_the_same_seed_gives_the_same_interval() -> None:
    values = np.random.default_rng(3).random(30)
    groups = [str(n // 2) for n in range(30)]
    assert bootstrap_mean(values, groups, seed=4) == bootstrap_mean(values, groups, seed=4)
