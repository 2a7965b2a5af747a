from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="the training extra is not installed")

from sklearn.metrics import (
    f1_score,
    fbeta_score,
    precision_recall_fscore_support,
    roc_auc_score,
)

from infmap_kit import paper
from infmap_train.evaluation import metrics
from infmap_train.evaluation.metrics import Confusion

_COUNTS = [field.name for field in dataclasses.fields(Confusion)]


@pytest.mark.parametrize("row", paper.rows(paper.CONFUSION), ids=lambda row: row["architecture"])
def test_table_4_gives_table_3_to_the_digit(row: dict[str, str]) -> None:
    confusion = Confusion(**{name: int(row[name]) for name in _COUNTS})
    printed = paper.row_of(paper.DETECTION, paper.network_of(row))
    assert printed is not None
    for metric, value in confusion.as_dict().items():
        assert f"{100 * value:.2f}" == printed[f"{metric}_percent"], metric
        # Half a digit, and a hair: the paper prints U-Net's F2 interval, 0.002649, as 0.0027.
        interval = float(printed[f"{metric}_ci95"])
        assert confusion.ci95(metric) == pytest.approx(interval, abs=0.51e-4), metric


def test_metrics_equal_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    truth, predicted = rng.random(5000) < 0.3, rng.random(5000) < 0.4
    confusion = Confusion.count(truth, predicted)
    precision, recall, _, _ = precision_recall_fscore_support(truth, predicted, average="binary")
    assert confusion.precision == pytest.approx(precision)
    assert confusion.sensitivity == pytest.approx(recall)
    assert confusion.f_score(1) == pytest.approx(f1_score(truth, predicted))
    assert confusion.f_score(2) == pytest.approx(fbeta_score(truth, predicted, beta=2))
    assert confusion.accuracy == pytest.approx((truth == predicted).mean())
    assert confusion.specificity == pytest.approx((~predicted[~truth]).mean())


def test_nothing_predicted_scores_nought_and_has_no_precision() -> None:
    confusion = Confusion.count(np.array([True, False]), np.array([False, False]))
    assert confusion.f_score(1) == 0
    assert math.isnan(confusion.precision)


def test_net_benefit_by_hand() -> None:
    covid = np.array([True, True, False, False, False])
    score = np.array([0.9, 0.3, 0.6, 0.2, 0.1])
    # From 0.5 on one is right and one wrong, whose weight is 1; from 0.25 on two, one, and a third.
    benefit = metrics.net_benefit(covid, score, np.array([0.5, 0.25, 0.95]))
    assert benefit == pytest.approx([1 / 5 - 1 / 5, 2 / 5 - 1 / 5 / 3, 0])
    # Calling every picture positive is worth the share of positives where a false alarm costs nothing.
    every = metrics.net_benefit(covid, np.ones(5), np.array([0.0, 0.4]))
    assert every == pytest.approx([0.4, 0.4 - 0.6 * 2 / 3])


def test_folds_add_up() -> None:
    one = Confusion(true_positive=1, false_positive=2, false_negative=3, true_negative=4)
    assert one + one == Confusion(
        true_positive=2, false_positive=4, false_negative=6, true_negative=8
    )


def test_one_pixel_at_the_threshold_makes_an_image_positive() -> None:
    probability = np.full((2, 8, 8), 0.4999, np.float32)
    probability[1, 3, 3] = 0.5
    found = metrics.detection_confusion(np.array([False, True]), probability)
    assert (found.true_negative, found.true_positive) == (1, 1)


def test_pixels_of_normal_images_count() -> None:
    masks = np.zeros((2, 4, 4), np.uint8)
    masks[0, :2] = 1
    probability = np.zeros((2, 4, 4), np.float32)
    probability[0, :2] = 0.9
    probability[1, 0, 0] = 0.9
    found = metrics.pixel_confusion(masks, probability)
    assert found == Confusion(true_positive=8, false_positive=1, false_negative=0, true_negative=23)


def test_dice_of_each_image() -> None:
    masks = np.zeros((3, 4, 4), np.uint8)
    masks[0, 0] = 1
    masks[1, 0] = 1
    probability = np.zeros((3, 4, 4), np.float32)
    probability[0, :2] = 1
    assert metrics.dice_per_image(masks, probability).tolist() == pytest.approx([2 / 3, 0, 1])


def _random_answers() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    masks = (rng.random((4, 40, 40)) < 0.2).astype(np.uint8)
    probability = np.clip(rng.normal(0.3 + 0.3 * masks, 0.2), 0, 1).astype(np.float32)
    return masks, probability


@pytest.mark.parametrize("spread", [1, 4, 12])
def test_pixel_auc_tells_apart_what_lies_next_to_0_and_1(spread: float) -> None:
    """A trained network gives four fifths of the healthy pixels less than 1e-4."""
    rng = np.random.default_rng(1)
    masks = (rng.random((8, 224, 224)) < 0.05).astype(np.uint8)
    logit = rng.normal(-8, spread, masks.shape) + masks * rng.normal(3, spread, masks.shape)
    probability = (1 / (1 + np.exp(-logit))).astype(np.float32)
    exact = roc_auc_score(masks.ravel(), probability.ravel())
    assert metrics.pixel_auc(masks, probability) == pytest.approx(exact, abs=1e-5)


def test_pixel_auc_equals_the_sorted_one() -> None:
    masks, probability = _random_answers()
    exact = roc_auc_score(masks.ravel(), probability.ravel())
    assert metrics.pixel_auc(masks, probability) == pytest.approx(exact, abs=1e-5)
    assert math.isnan(metrics.pixel_auc(np.zeros_like(masks), probability))


def test_precision_recall_passes_through_the_measured_point() -> None:
    masks, probability = _random_answers()
    confusion = metrics.pixel_confusion(masks, probability)
    precision, recall = metrics.precision_recall(masks, probability).at(0.5)
    assert precision == pytest.approx(confusion.precision, abs=1e-6)
    assert recall == pytest.approx(confusion.sensitivity, abs=1e-6)
