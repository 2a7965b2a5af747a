"""Kappas and intervals against worked examples from books."""

from __future__ import annotations

import math

import pytest

from infmap_annotate.results.agreement import cohen_kappa, fleiss_kappa, share_with_interval


def test_cohen_kappa_of_fifty_grants() -> None:
    # The textbook's table: both yes 20, only the first 5, only the second 10, both no 15.
    a = ["yes"] * 25 + ["no"] * 25
    b = ["yes"] * 20 + ["no"] * 5 + ["yes"] * 10 + ["no"] * 15
    assert cohen_kappa(a, b) == pytest.approx(0.4)


def test_fleiss_kappa_of_fourteen_raters() -> None:
    # Ten subjects in five categories by fourteen raters; the example everywhere gives 0.210.
    table = [
        (0, 0, 0, 0, 14), (0, 2, 6, 4, 2), (0, 0, 3, 5, 6), (0, 3, 9, 2, 0), (2, 2, 8, 1, 1),
        (7, 7, 0, 0, 0), (3, 2, 6, 3, 0), (2, 5, 3, 2, 2), (6, 5, 2, 1, 0), (0, 2, 2, 3, 7),
    ]  # fmt: skip
    chosen = [[str(k) for k, count in enumerate(row) for _ in range(count)] for row in table]
    assert fleiss_kappa(chosen) == pytest.approx(0.210, abs=5e-4)


def test_readers_who_always_agree_have_a_kappa_of_one() -> None:
    chosen = ["unet", "drawn", "unet"]
    assert cohen_kappa(chosen, chosen) == pytest.approx(1)
    assert fleiss_kappa([[name] * 3 for name in chosen]) == pytest.approx(1)


@pytest.mark.parametrize("chosen", [[], ["unet", "unet"]])
def test_where_chance_agrees_fully_there_is_no_kappa(chosen: list[str]) -> None:
    assert math.isnan(cohen_kappa(chosen, chosen))
    assert math.isnan(fleiss_kappa([[name, name] for name in chosen]))


def test_wilsons_interval() -> None:
    # 3 of 5, by hand from Wilson's formula with z = 1.96.
    share, low, high = share_with_interval(3, 5)
    assert share == 0.6
    assert (low, high) == pytest.approx((0.2307, 0.8824), abs=5e-5)
    assert share_with_interval(0, 4)[1] == pytest.approx(0, abs=1e-12)
    assert all(map(math.isnan, share_with_interval(0, 0)))
