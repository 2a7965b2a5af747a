"""Infection maps against activation maps: the numbers of known maps, and the commands whole."""

from __future__ import annotations

import csv
import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="TensorFlow is not installed")

from infmap_kit.errors import InfmapError, SpecError, TrainingError
from infmap_kit.model.spec import ClassifierSpec, ModelSpec, NetworkSpec
from infmap_train import run_folder
from infmap_train.data import dataset as data
from infmap_train.studies.compare_maps import (
    ACTIVATION,
    INFECTION,
    LUNGS,
    UNIFORM,
    compare_maps,
    comparison_tables,
    write_comparison,
)
from infmap_train.studies.detection_study import (
    ANY_PIXEL,
    AREA,
    CLASSIFIER,
    PEAK,
    best_threshold,
    study,
    study_tables,
    write_study,
)
from infmap_train.studies.map_sheets import spread_rows
from infmap_train.studies.predictions import Predictions, predict_both
from pictures import read_picture

pytestmark = pytest.mark.train


def _spec(network: NetworkSpec | ClassifierSpec) -> ModelSpec:
    return ModelSpec(name="made", version="1", network=network, files={})


def _predictions(covid: int = 8, normal: int = 0) -> Predictions:
    """The infection map is the truth; the activation map a corner outside of the lungs."""
    count = covid + normal
    masks = np.zeros((count, 224, 224), np.uint8)
    lungs, activation = np.zeros_like(masks), np.zeros(masks.shape, np.float32)
    for row in range(covid):
        masks[row, 60 : 80 + 5 * row, 60:90] = 1
    lungs[:, 40:180, 40:100] = 1
    lungs[0] = 0  # unknown
    activation[:, :32, :32] = 1
    samples = tuple(
        data.Sample(
            name=f"picture {row}",
            source="here" if row % 2 else "there",
            image=Path("x"),
            covid=row < covid,
            group=str(row // 2),
        )
        for row in range(count)
    )
    images = np.random.default_rng(0).integers(0, 256, masks.shape, np.uint8)
    return Predictions(
        network=_spec(NetworkSpec.parse("unet/densenet121")),
        classifier=_spec(ClassifierSpec(encoder="densenet121")),  # type: ignore[arg-type]
        pictures=data.Pictures(samples, images, masks),
        lungs=lungs,
        infection=masks * np.float32(0.9),
        activation=activation,
        probability=np.linspace(1, 0, count).astype(np.float32),
    )


def test_a_perfect_map_and_a_corner_get_what_they_deserve() -> None:
    predictions = _predictions()
    maps = compare_maps(predictions).report["parts"]["all"]["maps"]
    value = {name: {key: f["value"] for key, f in maps[name].items()} for name in maps}
    assert value[INFECTION] == {
        "outside_lungs": 0, "pointing_game": 1, "iou_at_equal_area": 1, "average_precision": 1,
    }  # fmt: skip
    assert value[ACTIVATION]["outside_lungs"] == 1
    assert value[ACTIVATION]["pointing_game"] == 0
    assert value[ACTIVATION]["iou_at_equal_area"] < 0.05
    share = predictions.pictures.masks.mean(axis=(1, 2))
    assert value[UNIFORM]["average_precision"] == pytest.approx(share.mean())
    assert value[UNIFORM]["outside_lungs"] == pytest.approx(1 - 140 * 60 / 224**2)
    # Seven pictures with known lungs; every infection lies in them.
    assert value[LUNGS]["average_precision"] == pytest.approx(
        (predictions.pictures.masks[1:].sum(axis=(1, 2)) / (140 * 60)).mean()
    )


def test_the_difference_is_of_pairs_and_parts_are_told_apart() -> None:
    comparison = compare_maps(_predictions())
    parts = comparison.report["parts"]
    assert {name: part["images"] for name, part in parts.items()} == {
        "all": 8, "here": 4, "there": 4,
    }  # fmt: skip
    assert parts["all"]["patient_groups"] == 4
    gain = parts["all"]["infection_minus_activation"]["pointing_game"]
    assert gain == {"value": 1, "low": 1, "high": 1}
    assert [len(table.rows) for table in comparison_tables(comparison.report)] == [5, 5, 5]


def test_files_hold_every_picture_and_the_sheets_show_small_and_large(tmp_path: Path) -> None:
    comparison = compare_maps(_predictions())
    written = {path.name: path for path in write_comparison(comparison, tmp_path, cases=7)}
    assert {"maps.json", "maps.md", "maps.csv", "images.csv"} < set(written)
    with written["images.csv"].open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 8
    assert rows[0]["infection_outside_lungs"] == ""
    assert rows[1]["activation_outside_lungs"] == "1.0000"
    assert json.loads(written["maps.json"].read_text())["parts"]["all"]["images"] == 8
    sheets = [read_picture(written[f"sheet-{n}.png"]) for n in (1, 2)]
    assert sheets[0].shape[0] > 3 * sheets[1].shape[0]
    assert spread_rows(comparison.predictions, 3) == [0, 4, 7]
    assert spread_rows(comparison.predictions, 0) == []


def test_further_networks_are_measured_and_stand_on_the_same_sheet(tmp_path: Path) -> None:
    """The paper's Fig. 7: four classifiers and three networks beside each other."""
    predictions = _predictions()
    labels = [f"activation map, {n}" for n in range(3)] + [f"infection map, {n}" for n in range(2)]
    others = {label: predictions.infection * np.float32(0.5) for label in labels}
    whole = compare_maps(dataclasses.replace(predictions, others=others))
    measured = whole.report["parts"]["all"]["maps"]
    assert set(labels) < set(measured)
    # The same map at half the height: the order of pixels is all that counts.
    assert measured["infection map, 0"] == measured[INFECTION]
    paths = [tmp_path / name for name in ("pair", "whole")]
    sheets = []
    for path, comparison in zip(paths, (compare_maps(predictions), whole), strict=True):
        write_comparison(comparison, path, cases=2)
        sheets.append(read_picture(path / "sheet-1.png"))
    assert sheets[1].shape[1] == pytest.approx(9 / 4 * sheets[0].shape[1], rel=0.01)


def test_the_best_threshold_is_found_by_trying_all() -> None:
    covid = np.array([1, 1, 1, 0, 0], dtype=bool)
    score = np.array([0.9, 0.6, 0.2, 0.3, 0.1])
    # From 0.2 on: all three found with one false alarm, F2 = 15/16; from 0.6 on 10/14.
    assert best_threshold(covid, score) == 0.2
    assert best_threshold(covid, score, beta=0.1) == 0.6


def test_a_study_ranks_scores_and_reports_on_the_other_half(tmp_path: Path) -> None:
    predictions = _predictions(covid=12, normal=12)
    report = study(predictions, draws=50)
    assert report["scores"][PEAK]["auc"] == {"value": 1, "low": 1, "high": 1}
    assert report["scores"][CLASSIFIER]["auc"]["value"] == 1
    rule = report["rules"][ANY_PIXEL]
    assert (rule["missed"], rule["false_alarms"]) == (0, 0)
    assert rule["f2"]["value"] == 1
    halves = report["rules"], report["rules_with_halves_exchanged"]
    assert sum(half[ANY_PIXEL]["covid"] for half in halves) == 12
    # Where all infections are found and nothing else, the smallest of one half is the threshold.
    areas = 100 * predictions.pictures.masks[:12].mean(axis=(1, 2))
    assert np.abs(areas - report["rules"][f"{AREA}, best F2"]["threshold"]).min() < 1e-9
    names = {path.name for path in write_study(predictions, report, tmp_path)}
    assert names == {
        "detection.json", "detection.md", "detection.csv", "detection.tex", "roc.png",
        "precision_recall.png",
    }  # fmt: skip
    assert len(study_tables(report)[1].rows) == len(report["rules"])


def test_a_threshold_is_not_reported_where_it_was_chosen() -> None:
    """Scores that are noise: chosen and reported on the same pictures they would look useful."""
    predictions = _predictions(covid=40, normal=40)
    rng = np.random.default_rng(5)
    noise = dataclasses.replace(predictions, probability=rng.random(80).astype(np.float32))
    report = study(noise, draws=50)
    ways = [report["rules"], report["rules_with_halves_exchanged"]]
    assert ways[0][ANY_PIXEL]["covid"] == ways[1][ANY_PIXEL]["covid"] == 20
    low, high = (report["scores"][CLASSIFIER]["auc"][key] for key in ("low", "high"))
    assert low < 0.5 < high


@pytest.mark.slow
def test_both_runs_are_asked_about_what_both_held_back(
    finished_run: Path, classifier_run: Path, pictures: data.Pictures, tmp_path: Path
) -> None:
    folder = pictures.samples[0].image.parent.parent
    # Two trainings of one network, as far as their records say.
    again = shutil.copytree(finished_run, tmp_path / "again")
    spec = json.loads((again / "spec.json").read_text())
    (again / "spec.json").write_text(json.dumps(spec | {"version": "another"}))
    predictions = predict_both(finished_run, classifier_run, folder)
    assert [s.name for s in predictions.pictures.samples] == [
        s.name for s in pictures.samples if s.name in run_folder.held_back_names(finished_run)
    ]
    assert predictions.activation.shape == predictions.infection.shape == (16, 224, 224)
    assert predictions.activation.max() == pytest.approx(1, abs=0.05)
    only = predict_both(
        *(finished_run, classifier_run, folder), also=[finished_run, again], covid_only=True
    )
    assert only.pictures.covid.all()
    assert list(only.others) == [
        f"infection map, U-Net EfficientNet-Lite0, frozen {version}"
        for version in (spec["version"], "another")
    ]
    np.testing.assert_allclose(
        only.probability, predictions.probability[predictions.pictures.covid], atol=1e-5
    )


@pytest.mark.slow
def test_runs_of_the_wrong_kind_are_named(
    finished_run: Path, classifier_run: Path, pictures: data.Pictures, tmp_path: Path
) -> None:
    folder = pictures.samples[0].image.parent.parent
    with pytest.raises(SpecError, match="expected a classifier"):
        predict_both(finished_run, finished_run, folder)
    with pytest.raises(SpecError, match="segments the infection"):
        predict_both(classifier_run, classifier_run, folder)
    with pytest.raises(InfmapError, match="not a finished run"):
        predict_both(tmp_path, classifier_run, folder)


@pytest.mark.slow
def test_other_data_are_refused_unless_all_are_asked_for(
    finished_run: Path, classifier_run: Path, tmp_path: Path
) -> None:
    from train.conftest import write_data

    folder = write_data(tmp_path / "other", covid=2, normal=1)
    with pytest.raises(TrainingError, match="--all"):
        predict_both(finished_run, classifier_run, folder)
