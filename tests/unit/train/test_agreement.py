"""Agreement of raters against SciPy and figures by hand, and experts' scores as they are read."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("scipy", reason="the training extra is not installed")

import scipy.stats

from infmap_kit.errors import TrainingError
from infmap_train.data.scores import read_scores
from infmap_train.evaluation.agreement import agreement, kendall, spearman


def _two(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two raters who see much the same, in steps, so that there are ties."""
    rng = np.random.default_rng(seed)
    first = rng.integers(0, 9, count) * 12.5
    return first, np.clip(first + rng.normal(0, 20, count), 0, 100).round(-1)


def test_correlations_are_those_of_scipy() -> None:
    first, second = _two(40)
    assert spearman(first, second) == pytest.approx(scipy.stats.spearmanr(first, second).statistic)
    assert kendall(first, second) == pytest.approx(scipy.stats.kendalltau(first, second).statistic)


def test_bland_and_altman_by_hand() -> None:
    told = agreement(
        np.array([10.0, 20, 30, 40, 50]),
        np.array([12.0, 18, 30, 36, 44]),
        list("abcde"),
        resamples=9,
    )
    # Differences -2, 2, 0, 4, 6: mean 2, standard deviation sqrt(10).
    assert told.bias == pytest.approx(2)
    assert told.limits == pytest.approx((2 - 1.96 * math.sqrt(10), 2 + 1.96 * math.sqrt(10)))
    assert [told.spearman, told.kendall] == pytest.approx([1, 1])


def test_what_one_did_not_rate_is_left_out() -> None:
    first, second = _two(30)
    patients = [str(n) for n in range(30)]
    whole = agreement(first[:20], second[:20], patients[:20], resamples=50)
    first[20:25], second[25:] = math.nan, math.nan
    assert agreement(first, second, patients, resamples=50) == whole
    assert whole.pictures == whole.patients == 20


def test_the_interval_holds_the_truth_and_narrows_with_patients() -> None:
    few, many = (
        agreement(*_two(count), [str(n) for n in range(count)], resamples=300).spearman_ci95
        for count in (15, 150)
    )
    assert few[1] - few[0] > 2 * (many[1] - many[0])
    true = spearman(*_two(100_000, seed=9))
    assert many[0] < true < many[1]


def test_pictures_of_one_patient_are_no_more_patients() -> None:
    first, second = _two(20)
    patients = [str(n) for n in range(20)]
    once = agreement(first, second, patients, resamples=200)
    tenfold = agreement(np.repeat(first, 10), np.repeat(second, 10), np.repeat(patients, 10).tolist(),
                        resamples=200)  # fmt: skip
    assert tenfold.pictures == 200
    assert tenfold.spearman_ci95 == pytest.approx(once.spearman_ci95)


def test_zones_are_counted_each_and_missing_ones_not() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.random((8, 6)), rng.random((8, 6))
    first[0, 2] = second[3] = math.nan
    told = agreement(first, second, [str(n) for n in range(8)], resamples=20)
    there = ~np.isnan(first + second)
    assert told.spearman == pytest.approx(
        scipy.stats.spearmanr(first[there], second[there]).statistic
    )
    assert told.pictures == 7


def test_who_always_says_the_same_has_no_correlation() -> None:
    told = agreement(np.zeros(10), np.arange(10.0), list("abcdefghij"), resamples=20)
    assert math.isnan(told.spearman)
    assert math.isnan(told.kendall)
    assert told.bias == -4.5
    alone = agreement(np.zeros(1), np.ones(1), ["a"], resamples=20)
    assert math.isnan(alone.spearman_ci95[0])


def test_scores_come_in_percent_of_their_range(tmp_path: Path) -> None:
    zones = ",".join(f"brixia_S_{zone}" for zone in "ABCDEF")
    path = tmp_path / "scores.csv"
    path.write_text(
        f"name,opacity_mean_0_6,brixia_S_global,{zones},remark\na,1.5,9,0,1,2,3,3,0,x\nb,,,,,,,,,\n"
    )
    names, (opacity, brixia) = read_scores(path)
    assert names == ("a", "b")
    assert opacity.total == pytest.approx([25, math.nan], nan_ok=True)
    assert opacity.zones is None
    assert brixia.total[0] == 50
    assert brixia.zones is not None
    assert brixia.zones[0] == pytest.approx([0, 100 / 3, 200 / 3, 100, 100, 0])
    assert np.isnan(brixia.zones[1]).all()


def test_impossible_scores_are_named_at_once(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    path.write_text("name,geographic_mean_0_8\na,8.5\nb,much\nc,-1\nd,nan\ne,3\ne,4\n")
    with pytest.raises(TrainingError) as caught:
        read_scores(path)
    told = str(caught.value)
    assert told.startswith("5 problem(s)")
    for name in ("a: ", "b: ", "c: ", "d: ", "e: scored twice"):
        assert f"\n  {name}" in told


@pytest.mark.parametrize("text", ["", "name,remark\na,b\n", "geographic_mean_0_8\n3\n"])
def test_a_file_without_scores_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    path.write_text(text)
    with pytest.raises(TrainingError, match="geographic_mean_0_8"):
        read_scores(path)
