"""Training a classifier as a user meets it."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="TensorFlow is not installed")

import onnxruntime
from sklearn.metrics import roc_auc_score

from infmap_kit.errors import ExportError, SpecError, TrainingError
from infmap_kit.model.spec import ClassifierSpec, ModelSpec
from infmap_kit.release.source import read_source
from infmap_train import run_folder
from infmap_train.data import dataset as data
from infmap_train.data.batches import training_batches
from infmap_train.evaluation.evaluate import evaluate
from infmap_train.networks.normalisation import normalise
from infmap_train.options import FitOptions
from infmap_train.training.classify import classify, evaluate_classes, predict_classes
from infmap_train.training.cross_validate import cross_validate
from train.conftest import CLASSIFIER, OPTIONS

pytestmark = pytest.mark.train


def _held_back(run: Path, pictures: data.Pictures) -> data.Pictures:
    names = run_folder.held_back_names(run)
    return pictures.take([row for row, s in enumerate(pictures.samples) if s.name in names])


def test_the_papers_settings_are_the_defaults() -> None:
    paper = FitOptions.of_classifiers()
    assert (paper.epochs, paper.learning_rate, paper.batch_size, paper.folds) == (10, 1e-5, 32, 5)
    assert paper == dataclasses.replace(FitOptions(), epochs=10, learning_rate=1e-5)


def test_the_run_says_that_it_is_a_classifier(classifier_run: Path) -> None:
    spec = run_folder.read(classifier_run)
    assert spec.network == CLASSIFIER
    assert isinstance(spec.network, ClassifierSpec)
    assert "classifier" in spec.name
    assert {"classifier.onnx", "model.weights.h5", "plots/roc.png"} <= set(spec.files)
    assert "segmentation.onnx" not in spec.files
    assert ModelSpec.read(classifier_run / "spec.json") == spec
    assert "architecture" not in json.loads((classifier_run / "spec.json").read_text())["network"]


def test_it_holds_back_the_patients_of_a_segmentation_with_the_same_seed(
    classifier_run: Path, finished_run: Path
) -> None:
    assert run_folder.held_back_names(classifier_run) == run_folder.held_back_names(finished_run)


def test_graph_and_weights_answer_alike_and_as_reported(
    classifier_run: Path, pictures: data.Pictures
) -> None:
    held_back = _held_back(classifier_run, pictures)
    model, spec = run_folder.load_network(classifier_run)
    probability = predict_classes(model, spec.network.encoder, held_back.images)
    session = onnxruntime.InferenceSession(classifier_run / "classifier.onnx")
    served, activation = session.run(None, {"IMAGE": held_back.images})
    np.testing.assert_allclose(served, probability, atol=1e-4)
    assert activation.shape == held_back.images.shape
    assert spec.metrics["detection"]["auc"] == pytest.approx(
        roc_auc_score(held_back.covid, probability), abs=1e-6
    )
    said = probability >= 0.5
    assert spec.metrics["detection"]["true_positive"] == int((said & held_back.covid).sum())
    assert spec.metrics["detection"]["true_negative"] == int((~said & ~held_back.covid).sum())


def test_a_finished_classifier_is_read_and_not_trained_again(
    pictures: data.Pictures, classifier_run: Path
) -> None:
    """What its record says is known again; taking up what was stopped is the same loop as ``fit``'s."""
    before = (classifier_run / "spec.json").stat().st_mtime_ns
    report = classify(CLASSIFIER, pictures, classifier_run, OPTIONS)
    assert report == json.loads((classifier_run / "metrics.json").read_text())
    assert (classifier_run / "spec.json").stat().st_mtime_ns == before


def test_a_segmentations_folder_is_refused(pictures: data.Pictures, finished_run: Path) -> None:
    with pytest.raises(TrainingError, match="other options or data"):
        classify(CLASSIFIER, pictures, finished_run, OPTIONS)


def test_nobody_takes_a_classifier_for_a_segmentation(
    classifier_run: Path, pictures: data.Pictures
) -> None:
    with pytest.raises(ExportError, match=r"classifier.*--classifier"):
        read_source(classifier_run)
    folder = pictures.samples[0].image.parent.parent
    with pytest.raises(SpecError, match="classifier"):
        evaluate(classifier_run, folder)


def test_batches_carry_the_class_of_their_own_pictures(pictures: data.Pictures) -> None:
    marked = dataclasses.replace(pictures, images=pictures.images.copy())
    marked.images[:] = np.where(pictures.covid, 200, 20)[:, np.newaxis, np.newaxis]
    options = dataclasses.replace(OPTIONS, tone_jitter=0.0)
    # What lies between the two grays, as this encoder's normalisation gives it.
    between = np.mean(normalise(np.full((1, 8, 8), 110.0, np.float32), CLASSIFIER.encoder))
    seen = []
    for pixels, truth in training_batches(
        marked, CLASSIFIER.encoder, options, epoch=0, classes=True
    ):
        assert truth.shape == (OPTIONS.batch_size, 2)
        np.testing.assert_array_equal(truth.numpy().sum(axis=1), 1)
        bright = pixels.numpy().mean(axis=(1, 2, 3)) > between
        np.testing.assert_array_equal(bright, truth[:, 1] == 1)
        seen += truth[:, 1].numpy().tolist()
    # The rarer class is repeated up to the other.
    assert np.mean(seen) == pytest.approx(0.5, abs=0.1)


def test_figures_are_counted_by_hand() -> None:
    samples = tuple(
        data.Sample(
            name=f"picture {n}",
            image=Path("x"),
            covid=n < 3,
            group=str(n),
            source="there" if n == 5 else "here",
        )
        for n in range(6)
    )
    blank = np.zeros((6, 224, 224), np.uint8)
    probability = np.array([0.9, 0.5, 0.4, 0.1, 0.2, 0.7], np.float32)
    report = evaluate_classes(data.Pictures(samples, blank, blank), probability)
    detection = report["detection"]
    assert (detection["true_positive"], detection["false_negative"]) == (2, 1)
    assert (detection["false_positive"], detection["true_negative"]) == (1, 2)
    # Pairs ranked rightly: 0.9 and 0.5 above two and three of the normals, 0.4 above two.
    assert detection["auc"] == pytest.approx((3 + 2 + 2) / 9)
    low, high = detection["auc_ci95"]
    assert 0 <= low <= detection["auc"] <= high <= 1
    assert detection["ci95"]["sensitivity"] == pytest.approx(1.96 * math.sqrt(2 / 3 / 3 / 3))
    assert report["by_source"]["there"] == {"images": 1, "covid": 0, "detected": 1}
    assert report["by_source"]["here"] == {"images": 5, "covid": 3, "detected": 2}


def test_folds_are_cumulated(
    pictures: data.Pictures, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    trained: list[int] = []

    def learn(_c: Any, _p: Any, run: Path, options: FitOptions, **_: Any) -> dict[str, Any]:
        trained.append(options.fold)
        counts = {"true_positive": 5, "false_negative": 1, "true_negative": 8}
        return {
            "detection": {**counts, "false_positive": options.fold, "auc": 0.8 + options.fold / 10},
            "images": {"covid": 6, "normal": 8 + options.fold},
        }

    monkeypatch.setattr("infmap_train.training.cross_validate.classify", learn)
    summary = cross_validate(CLASSIFIER, pictures, tmp_path, OPTIONS)
    assert trained == [0, 1]
    assert summary["detection"]["true_positive"] == 10
    assert summary["detection"]["false_positive"] == 1
    assert summary["detection"]["auc"] == pytest.approx(0.85)
    written = (tmp_path / "summary.md").read_text()
    assert "all folds" in written
    # In percent, as all beside it.
    assert "| 85.00 |" in written
