from __future__ import annotations

import math

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="the training extra is not installed")

from infmap_train.studies.map_quality import (
    average_precision,
    iou_at_equal_area,
    pointing_game,
    share_outside,
)

VALUES = np.array([[0.9, 0.8, 0.1], [0.5, 0.0, 0.2], [0.0, 0.0, 0.0]])
TRUTH = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 0]], dtype=bool)


def test_the_share_outside_is_of_the_sum() -> None:
    lungs = np.array([[1, 1, 0], [0, 0, 0], [0, 0, 0]], dtype=bool)
    assert share_outside(VALUES, lungs) == pytest.approx((0.1 + 0.5 + 0.2) / 2.5)
    assert share_outside(VALUES, np.ones((3, 3), dtype=bool)) == 0
    assert math.isnan(share_outside(np.zeros((3, 3)), lungs))


def test_the_highest_pixel_points() -> None:
    assert pointing_game(VALUES, TRUTH) == 1
    assert pointing_game(VALUES, ~TRUTH) == 0
    two = np.array([[1.0, 1.0], [0.0, 0.0]])
    assert pointing_game(two, np.array([[True, False], [False, False]])) == 0.5
    assert math.isnan(pointing_game(np.ones((3, 3)), TRUTH))


def test_iou_takes_as_many_pixels_as_are_infected() -> None:
    # 0.9, 0.8 and 0.5 are taken; the first and the last are infected: 2 of 4.
    assert iou_at_equal_area(VALUES, TRUTH) == pytest.approx(2 / 4)
    assert iou_at_equal_area(TRUTH.astype(float), TRUTH) == 1
    # A map that is the same everywhere: a third of each pixel, so one of the three, over 2 * 3 - 1.
    assert iou_at_equal_area(np.ones((3, 3)), TRUTH) == pytest.approx(1 / 5)
    assert math.isnan(iou_at_equal_area(VALUES, np.zeros((3, 3), dtype=bool)))


def test_iou_shares_ties_out_and_knows_no_order_of_pixels() -> None:
    values = np.array([[0.9, 0.4, 0.4], [0.4, 0.4, 0.0]])
    truth = np.array([[1, 1, 0], [0, 0, 1]], dtype=bool)
    # One pixel for sure, and two of the four at 0.4, of which one is infected: 1 + 0.5 of 4.5.
    assert iou_at_equal_area(values, truth) == pytest.approx(1.5 / 4.5)
    flipped = iou_at_equal_area(values[:, ::-1], truth[:, ::-1])
    assert flipped == pytest.approx(1.5 / 4.5)


def test_average_precision_steps_down_the_pixels() -> None:
    # By falling value: infected at ranks 1, 3 and with the tie of four at 0 (3 of 9 in all found).
    wanted = (1 / 1 + 2 / 3 + 3 / 9) / 3
    assert average_precision(VALUES, TRUTH) == pytest.approx(wanted)
    assert average_precision(np.ones((3, 3)), TRUTH) == pytest.approx(3 / 9)
    assert math.isnan(average_precision(VALUES, np.zeros((3, 3), dtype=bool)))


def test_no_measure_depends_on_the_maps_scale() -> None:
    rng = np.random.default_rng(0)
    values, truth = rng.random((20, 20)), rng.random((20, 20)) < 0.2
    for measure in (share_outside, pointing_game, iou_at_equal_area, average_precision):
        assert measure(values * 1e-6, truth) == pytest.approx(measure(values, truth))
