"""`familiarity` and `detection-score`: what they fit, and what they tell of patients who set nothing."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from sklearn.metrics import roc_auc_score, roc_curve
from typer.testing import CliRunner

from familiar_network import chests, familiar_network, noise
from infmap_kit.errors import ExportError, SpecError
from infmap_kit.imaging.network_input import network_input
from infmap_kit.release.publish import reference_runner
from infmap_kit.release.source import read_source
from infmap_train.cli.app import app
from infmap_train.data.dataset import Sample
from infmap_train.studies.detection_score import (
    ANY_PIXEL,
    against_groups,
    best_rule,
    choose_detection_score,
    operating_points,
    scores_of,
)
from infmap_train.studies.familiarity import FeatureExtractor, fit_familiarity
from pictures import read_picture
from script_modules import load_script
from small_network import small_run


@pytest.fixture
def trained(tmp_path: Path, made_data: Callable[..., Path]) -> tuple[Path, Path]:
    """A run with its graph alone, as a demo model is passed on, and its data; drawn chests are normal."""
    data = made_data(covid=24, normal=24)
    for number, picture in enumerate(chests(24)):
        path = data / "images" / f"made_normal_{24 + number}.png"
        cv2.imwrite(str(path), cv2.resize(picture, (96, 96)))
    run = small_run(tmp_path / "run", familiar_network())
    with (data / "index.csv").open(newline="") as file:
        names = [row["name"] for row in csv.DictReader(file)]
    held_back = names[:12] + names[-12:]
    train = [name for name in names if name not in held_back]
    (run / "split.json").write_text(json.dumps({"train": train, "held_back": held_back}))
    with (data / "index.csv").open("a", newline="") as file:
        for number in range(6):
            cv2.imwrite(str(data / "images" / f"strange_{number}.png"), noise(number)[:96, :96])
            csv.writer(file).writerow(
                [f"strange_{number}", f"images/strange_{number}.png", "other", f"s{number}"]
            )
    return run, data


def test_familiarity_is_fitted_and_served(trained: tuple[Path, Path]) -> None:
    run, data = trained
    done = CliRunner().invoke(app, ["familiarity", str(run), "--data", str(data), "--json"])
    assert done.exit_code == 0, done.output
    document = json.loads((run / "familiarity.json").read_text())
    assert document["fitted_on"]["pictures"] == 24
    assert document["threshold_of"]["pictures"] == 24
    assert sum(half["told_on"] for half in document["halves"]) == 24
    assert document["tensor"] == "encoded"
    reference = reference_runner(read_source(run))
    values = []
    for number in range(12):
        path = data / "images" / f"made_normal_{36 + number}.png"
        picture = network_input(read_picture(path, gray=True))
        values.append(reference.predict("", picture).familiarity)
    far = reference.predict("", noise()).familiarity
    assert far is not None
    assert far < min(value for value in values if value is not None)
    assert far < -1


def test_the_features_may_be_of_a_tensor_that_is_named(trained: tuple[Path, Path]) -> None:
    run, data = trained
    graph = onnx.load(run / "segmentation.onnx").graph
    shown = onnx.shape_inference.infer_shapes(onnx.load(run / "segmentation.onnx")).graph.value_info
    channels = {value.name: value.type.tensor_type.shape.dim[1].dim_value for value in shown}
    first = next(node.output[0] for node in graph.node if node.op_type == "Conv")
    document = fit_familiarity(run, data, tensor=first)
    assert (document["tensor"], document["features"]) == (first, channels[first])
    assert document["tensor"] != FeatureExtractor(run).tensor
    assert read_source(run).identity["familiarity"]
    with pytest.raises(ExportError, match="expected a tensor 'nothing'"):
        fit_familiarity(run, data, tensor="nothing")


def test_a_run_that_names_no_patients_has_no_familiarity(trained: tuple[Path, Path]) -> None:
    run, data = trained
    (run / "split.json").unlink()
    with pytest.raises(SpecError, match="split.json"):
        fit_familiarity(run, data)


def test_a_score_is_chosen_and_told_against_each_group(trained: tuple[Path, Path]) -> None:
    run, data = trained
    done = CliRunner().invoke(app, ["detection-score", str(run), "--data", str(data), "--json"])
    assert done.exit_code == 0, done.output
    document = json.loads((run / "detection_score.json").read_text())
    assert {half["told_on"] for half in document["halves"]} == {12}
    assert set(document["against"]) == {"normal: ", "other: "}
    assert document["against"]["other: "]["controls"] == 6
    source = read_source(run)
    assert source.identity["detection_score"]["score_rule"] == document["rule"]
    shown = CliRunner().invoke(app, ["evaluate", str(run), "--data", str(data), "--json"])
    report = json.loads(shown.stdout)["detection_scores"]
    # What the network was not trained on alone, and no other class.
    assert set(report) == {"normal: "}
    assert report["normal: "] == document["against"]["normal: "]


def test_operating_points_are_those_of_the_curve() -> None:
    rng = np.random.default_rng(2)
    covid = rng.random(400) < 0.4
    score = (rng.normal(covid * 1.5, 1).clip(-3, 5) + 3) / 8
    points = operating_points(covid, score)
    false_alarms, hits, _ = roc_curve(covid, score, drop_intermediate=False)
    sensitivity = (score[covid] >= points["at_95_sensitivity"]).mean()
    specificity = (score[~covid] < points["at_95_specificity"]).mean()
    assert sensitivity == hits[hits >= 0.95].min()
    assert specificity == pytest.approx(1 - false_alarms[false_alarms <= 0.05].max())
    higher = score[covid].min(where=score[covid] > points["at_95_sensitivity"], initial=9)
    assert (score[covid] >= higher).mean() < 0.95, "a higher point would miss too many"


def test_groups_are_measured_apart() -> None:
    """The AUC is scikit-learn's; a group that looks like COVID-19 shows in its own figures alone."""
    rng = np.random.default_rng(4)
    covid = np.array([True] * 60 + [False] * 120)
    kinds = ["covid"] * 60 + ["normal"] * 60 + ["other"] * 60
    samples = [
        Sample(name=f"{n}", image=Path(), covid=kind == "covid", group=f"{n // 2}", source="a", kind=kind)
        for n, kind in enumerate(kinds)
    ]  # fmt: skip
    level = np.array([0.6] * 60 + [0.1] * 60 + [0.6] * 60)[:, None, None]
    probability = (level * rng.random((180, 224, 224))).astype(np.float32)
    scores = scores_of(probability)
    assert best_rule(covid, scores) in scores
    report = against_groups(samples, scores, draws=100)
    assert set(report) == {"normal: a", "other: a"}
    for kind in ("normal", "other"):
        rows = np.array([one in ("covid", kind) for one in kinds])
        for rule, score in scores.items():
            expected = roc_auc_score(covid[rows], score[rows])
            figure = report[f"{kind}: a"][rule]["auc"]
            assert figure["value"] == pytest.approx(expected)
            assert figure["low"] <= expected <= figure["high"]
    assert report["normal: a"]["mean"]["auc"]["value"] == 1
    assert report["other: a"]["mean"]["auc"]["value"] < 0.7
    assert 0 < report["other: a"]["called_covid_by_any_pixel"] <= 1
    assert report["other: a"][ANY_PIXEL]["auc"]["value"] < 0.7


def test_a_packed_run_keeps_its_detection_score(trained: tuple[Path, Path], tmp_path: Path) -> None:
    run, data = trained
    (run / "history.csv").write_text("epoch\n1\n")
    choose_detection_score(run, data, draws=20)
    packed = tmp_path / "packed"
    packed.mkdir()
    load_script("pack_demo_model").main(run, data, packed)
    assert read_source(packed).contract.parts == read_source(run).contract.parts
    assert "detection_score" in read_source(packed).contract.parts
