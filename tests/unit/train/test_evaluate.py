from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="TensorFlow is not installed")

from infmap_train.data.dataset import Pictures
from infmap_train.evaluation.evaluate import evaluate, outside_lungs
from infmap_train.evaluation.tables import evaluation_tables

pytestmark = pytest.mark.train


def test_paint_outside_the_lungs_by_hand() -> None:
    lungs = np.zeros((2, 4, 4), np.uint8)
    lungs[:, 1:3] = 1
    probability = np.zeros((2, 4, 4), np.float32)
    probability[0, :2] = 0.5
    probability[1, 1] = 0.9
    probability[1, 3] = 0.49
    found = outside_lungs(lungs, probability)
    assert found == {"images": 2, "pixels": 12, "outside": 4, "share": 4 / 12, "images_outside": 1}
    assert math.isnan(outside_lungs(lungs, np.zeros_like(probability))["share"])


def test_a_run_is_measured_outside_the_lungs_that_are_known(
    finished_run: Path, pictures: Pictures
) -> None:
    evaluation = evaluate(finished_run, pictures.samples[0].image.parent.parent)
    infected = outside = images = 0
    for sample, probability in zip(
        evaluation.pictures.samples, evaluation.probability, strict=True
    ):
        if sample.lung_mask is None:
            continue
        lungs = cv2.imread(str(sample.lung_mask), cv2.IMREAD_GRAYSCALE)
        assert lungs is not None
        small = cv2.resize(lungs, (224, 224), interpolation=cv2.INTER_NEAREST_EXACT)
        images += 1
        infected += int((probability >= 0.5).sum())
        outside += int(((probability >= 0.5) & (small == 0)).sum())
    found = evaluation.report["outside_lungs"]
    assert (found["images"], found["pixels"]) == (images, infected)
    # The outline may lie a pixel further in or out.
    assert abs(found["outside"] - outside) <= 0.02 * max(infected, 1)
    (table,) = [
        table
        for table in evaluation_tables(evaluation.network, evaluation.report)
        if table.title.startswith("Outside the lungs")
    ]
    assert table.rows[0][2] == str(found["outside"])
