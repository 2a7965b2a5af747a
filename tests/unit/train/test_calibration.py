"""Calibration against scikit-learn and tables by hand."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="TensorFlow is not installed")

from sklearn.calibration import calibration_curve
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from infmap_train import run_folder
from infmap_train.data.dataset import Pictures, Sample
from infmap_train.evaluation.calibrate import calibrate, calibrate_run, calibration_table
from infmap_train.evaluation.calibration import (
    BINS,
    Reliability,
    fit_temperature,
    is_at_bound,
    logit,
    negative_log_likelihood,
    tempered,
)

pytestmark = pytest.mark.train


def test_a_temperature_at_its_bound_is_told() -> None:
    """A network that says the opposite: no temperature mends it."""
    truth, probability = _answers(2_000, sure=-2.0)
    temperature = fit_temperature(truth, probability)
    assert temperature == pytest.approx(20, rel=1e-2)
    assert is_at_bound(temperature)
    assert not is_at_bound(fit_temperature(*_answers(2_000, sure=2.0)))
    document = {"temperature": temperature, "bins": "", "halves": [], "ece_before": 0.0,
                "ece_after": 0.0, "nll_before": 0.0, "nll_after": 0.0}  # fmt: skip
    assert "order of pixels is likely to be wrong" in calibration_table(document).markdown()
    # One that was hardly trained has the order right, and all its probabilities alike.
    flat = calibration_table(document | {"temperature": 0.05}).markdown()
    assert "hardly differ" in flat
    assert "order" not in flat
    assert "bound" not in calibration_table(document | {"temperature": 2.0}).markdown()


def _answers(count: int, *, sure: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Truth, and probabilities whose logits are ``sure`` times the honest ones."""
    rng = np.random.default_rng(seed)
    honest = rng.normal(0, 2, count)
    truth = rng.random(count) < 1 / (1 + np.exp(-honest))
    return truth, (1 / (1 + np.exp(-sure * honest))).astype(np.float32)


def test_the_error_is_what_it_is_by_hand() -> None:
    # Two bins: four at 0.5 of which one is there, and one at 1 that is there.
    measured = Reliability.measure(
        np.array([1, 0, 0, 0, 1], bool), np.array([0.5, 0.5, 0.5, 0.5, 1.0], np.float32)
    )
    assert measured.count.nonzero()[0].tolist() == [7, 14]
    assert measured.count.sum() == 5
    assert measured.actual[[7, 14]].tolist() == [0.25, 1.0]
    assert measured.ece == pytest.approx(4 / 5 * 0.25)
    assert Reliability.measure(np.ones(3, bool), np.ones(3, np.float32)).ece == 0


def test_bins_are_those_of_scikit_learn() -> None:
    truth, probability = _answers(20_000, sure=1.7)
    measured = Reliability.measure(truth, probability)
    found, said = calibration_curve(truth, probability, n_bins=BINS)
    assert measured.actual == pytest.approx(found)
    assert measured.predicted == pytest.approx(said, rel=1e-6)


def test_a_temperature_is_a_logistic_regression_without_intercept() -> None:
    truth, probability = _answers(5_000, sure=2.5)
    regression = LogisticRegression(fit_intercept=False, C=np.inf, tol=1e-8)
    regression.fit(logit(probability)[:, np.newaxis], truth)
    assert fit_temperature(truth, probability) == pytest.approx(
        1 / regression.coef_[0, 0], rel=1e-3
    )


def test_the_likelihood_is_that_of_scikit_learn() -> None:
    truth, probability = _answers(500, sure=0.6)
    for temperature in (0.5, 1.0, 3.0):
        ours = negative_log_likelihood(truth, logit(probability), temperature)
        assert ours == pytest.approx(log_loss(truth, tempered(probability, temperature)), rel=1e-4)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.0, 7.0])
def test_masks_and_their_order_stay(temperature: float) -> None:
    probability = np.linspace(0, 1, 2001, dtype=np.float32)
    after = tempered(probability, temperature)
    assert np.array_equal(after >= 0.5, probability >= 0.5)
    assert after[1000] == 0.5
    assert (np.diff(after) >= 0).all()
    if temperature == 1:
        assert after == pytest.approx(probability, abs=2e-7)


def _pictures(count: int, side: int, *, sure: float) -> tuple[Pictures, np.ndarray]:
    samples = tuple(
        Sample(
            name=f"made_{n}",
            image=Path("x"),
            covid=n % 2 == 0,
            group=f"patient-{n // 4}-{n % 2}",
            infection_mask=Path("m") if n % 2 == 0 else None,
        )
        for n in range(count)
    )
    truth, probability = _answers(count * side * side, sure=sure)
    shape = (count, side, side)
    masks = truth.reshape(shape).astype(np.uint8)
    return Pictures(samples, np.zeros(shape, np.uint8), masks), probability.reshape(shape)


def test_each_half_is_told_at_the_others_temperature() -> None:
    pictures, probability = _pictures(40, 20, sure=3.0)
    document, counted, answered = calibrate(pictures, probability)
    assert document["temperature"] == pytest.approx(3.0, rel=0.1)
    assert [half["fitted_on"] + half["told_on"] for half in document["halves"]] == [40, 40]
    for half in (*document["halves"], document):
        assert half["ece_after"] < half["ece_before"] / 3
        assert half["nll_after"] < half["nll_before"]
    first, second = (half["temperature"] for half in document["halves"])
    assert first != second
    # What is handed back is what the figures are of, and keeps 0.5 where it was.
    assert np.array_equal(answered >= 0.5, probability >= 0.5)
    assert Reliability.measure(pictures.masks > 0, answered).ece == document["ece_after"]
    before, after = counted["pixels"]
    assert before.count.sum() == after.count.sum() == probability.size
    assert counted["images"][0].count.sum() == 40
    table = calibration_table(document)
    assert [row[0] for row in table.rows][-1] == "both"
    assert len({len(row) for row in (*table.rows, table.columns)}) == 1


def test_a_run_is_calibrated_beside_what_it_holds(
    finished_run: Path, pictures: Pictures, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished_run, run)
    document = calibrate_run(run, pictures.samples[0].image.parent.parent)
    # Reads it whole, against the hashes of its files: nothing of them was touched.
    spec = run_folder.read(run)
    assert document == json.loads((run / "calibration.json").read_text())
    assert document["spec_version"] == spec.version
    assert document["temperature"] > 0
    assert document["fitted_on"]["pictures"] == 16
    for plot in ("reliability.png", "decision_curve.png"):
        assert (run / "plots" / plot).stat().st_size > 5_000
