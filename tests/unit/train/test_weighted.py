"""Many draws at once give what drawing and measuring one by one gives."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="the training extra is not installed")

from sklearn.metrics import average_precision_score, roc_auc_score

from infmap_train.evaluation import weighted
from infmap_train.evaluation.bootstrap import Resamples, bootstrap
from infmap_train.evaluation.metrics import Confusion

_RNG = np.random.default_rng(0)
COVID = _RNG.random(60) < 0.4
# Rounded, so that many tie.
SCORE = np.round(_RNG.random(60) + 0.2 * COVID, 1)
TIMES = _RNG.integers(0, 4, (20, 60))
ROWS = [np.repeat(np.arange(60), times) for times in TIMES]


def test_areas_equal_scikit_learns_of_repeated_rows() -> None:
    areas = weighted.auc(COVID, SCORE)(TIMES)
    precisions = weighted.average_precision(COVID, SCORE)(TIMES)
    for rows, area, precision in zip(ROWS, areas, precisions, strict=True):
        assert area == pytest.approx(roc_auc_score(COVID[rows], SCORE[rows]))
        assert precision == pytest.approx(average_precision_score(COVID[rows], SCORE[rows]))


def test_a_draw_of_one_class_has_no_area() -> None:
    healthy = np.where(COVID, 0, TIMES)
    assert np.isnan(weighted.auc(COVID, SCORE)(healthy)).all()
    assert np.isnan(weighted.average_precision(COVID, SCORE)(healthy)).all()


@pytest.mark.parametrize("name", weighted.CONFUSION_METRICS)
def test_metrics_of_pixels_equal_those_of_repeated_pictures(name: str) -> None:
    truth, predicted = (_RNG.random((60, 8, 8)) < share for share in (0.3, 0.4))
    found = weighted.confusion_metric(weighted.counts_of(truth, predicted), name)(TIMES)
    wanted = [Confusion.count(truth[rows], predicted[rows]).as_dict()[name] for rows in ROWS]
    np.testing.assert_allclose(found, wanted)


def test_intervals_are_those_of_one_draw_after_another() -> None:
    groups = [f"patient {n // 3}" for n in range(60)]

    def area(rows: np.ndarray) -> float:
        here = COVID[rows]
        return float(roc_auc_score(here, SCORE[rows])) if 0 < here.sum() < here.size else np.nan

    slow = bootstrap(area, groups, draws=250, seed=3)
    quick = Resamples(groups, draws=250, seed=3).interval(weighted.auc(COVID, SCORE))
    assert (quick.value, quick.low, quick.high) == pytest.approx((slow.value, slow.low, slow.high))


def test_one_patient_gives_no_interval() -> None:
    found = Resamples(["a"] * 60, draws=10).interval(weighted.auc(COVID, SCORE))
    assert found.value == pytest.approx(roc_auc_score(COVID, SCORE))
    assert np.isnan(found.low)
