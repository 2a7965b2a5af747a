"""A network's severity beside experts: on invented data whose severity is known by hand."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="TensorFlow is not installed")

from infmap_kit.errors import TrainingError
from infmap_kit.model.files import write_json
from infmap_kit.model.spec import Anatomy
from infmap_train.data.dataset import Pictures, load, read_index
from infmap_train.evaluation.evaluate import Evaluation, figures_of
from infmap_train.studies.severity_agreement import severity_agreement
from infmap_train.studies.severity_report import severity_tables, write_severity
from train.conftest import NETWORK, write_data

pytestmark = pytest.mark.train


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("scored"), covid=16, normal=2)


@pytest.fixture(scope="module")
def perfect(folder: Path) -> Evaluation:
    """Make the evaluation of a network that answers as the masks do."""
    pictures = load(read_index(folder))
    probability = pictures.masks.astype(np.float32)
    return Evaluation(NETWORK, pictures, probability, figures_of(pictures, probability))


@pytest.fixture(scope="module")
def severity(folder: Path) -> dict[str, float]:
    """Infected over lung pixels by hand, of the pictures with both."""
    samples = read_index(folder)
    infections, lungs = (load(samples, anatomy=anatomy).masks > 0 for anatomy in Anatomy)
    return {
        sample.name: 100 * float((infected & lung).sum() / lung.sum())
        for sample, infected, lung in zip(samples, infections, lungs, strict=True)
        if sample.covid and lung.any()
    }


@pytest.fixture
def scores(severity: dict[str, float], tmp_path: Path) -> Path:
    """Write an expert who sees exactly half of what is there, of 8, and one who sees the reverse."""
    path = tmp_path / "scores.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["name", "geographic_mean_0_8", "opacity_mean_0_6"])
        for name, percent in severity.items():
            writer.writerow([name, percent / 2 / 100 * 8, 6 - percent / 100 * 6])
        writer.writerow(["somebody_else", 3, 3])
        # It has no lung mask.
        writer.writerow(["made_covid_0", 3, 3])
    return path


def _run(tmp_path: Path, trained_on: list[str]) -> Path:
    write_json(tmp_path / "run" / "split.json", {"train": trained_on, "held_back": []})
    return tmp_path / "run"


def _pair(report: dict[str, Any], first: str, second: str) -> dict[str, Any]:
    return next(
        p
        for p in report["pairs"]
        if (p["first"], p["second"], p["part"]) == (first, second, "whole")
    )


def test_agreement_is_what_it_is_by_hand(
    perfect: Evaluation, folder: Path, severity: dict[str, float], scores: Path, tmp_path: Path
) -> None:
    run = _run(tmp_path, ["made_covid_1", "made_normal_16"])
    found = severity_agreement(perfect, run, folder, scores, resamples=20)
    report = found.report
    # Of the 16, those whose number is no multiple of five have lungs; one without was scored too.
    assert (report["scored"], report["measured"], report["of_those_trained_on"]) == (13, 13, 1)
    percent = np.array([severity[name] for name in found.names[:-1]])
    for said in found.ratings[:2]:
        assert said.total[:-1] == pytest.approx(percent, rel=1e-6)
        assert np.isnan(said.total[-1])
    half, reverse = (_pair(report, "network", who) for who in ("geographic extent", "opacity"))
    assert (half["spearman"], reverse["spearman"]) == (pytest.approx(1), pytest.approx(-1))
    assert half["pictures"] == 12
    assert half["bias"] == pytest.approx(percent.mean() / 2, abs=1e-4)
    masks = _pair(report, "network", "masks")
    assert masks["limits"] == pytest.approx([0, 0], abs=1e-4)


def test_only_what_was_evaluated_is_asked_and_masks_are_told_on_the_same_pictures(
    perfect: Evaluation, folder: Path, scores: Path, tmp_path: Path
) -> None:
    rows = [2, 3, 4, 6, 7, 16]
    part = Evaluation(
        NETWORK, perfect.pictures.take(rows), perfect.probability[rows], perfect.report
    )
    found = severity_agreement(part, _run(tmp_path, []), folder, scores, resamples=20)
    assert [found.names[row] for row in found.measured] == [
        f"made_covid_{n}" for n in (2, 3, 4, 6, 7)
    ]
    for who in ("network", "masks"):
        assert _pair(found.report, who, "geographic extent")["pictures"] == 5
    everyone = [p for p in found.report["pairs_without_network"] if p["part"] == "whole"]
    assert [(p["first"], p["pictures"]) for p in everyone] == [
        ("masks", 12), ("masks", 12), ("geographic extent", 13),
    ]  # fmt: skip


def test_no_scored_picture_and_lungs_in_place_of_infections_are_refused(
    perfect: Evaluation, folder: Path, scores: Path, tmp_path: Path
) -> None:
    run = _run(tmp_path, [])
    none = Evaluation(NETWORK, perfect.pictures.take([16]), perfect.probability[[16]], {})
    with pytest.raises(TrainingError, match="--all"):
        severity_agreement(none, run, folder, scores)
    lungs: Pictures = load(perfect.pictures.samples, anatomy=Anatomy.LUNGS)
    with pytest.raises(TrainingError, match="expected a run of the infection"):
        severity_agreement(Evaluation(NETWORK, lungs, perfect.probability, {}), run, folder, scores)


def test_a_run_that_does_not_say_what_it_was_trained_on_is_taken_as_that(
    perfect: Evaluation, folder: Path, scores: Path, tmp_path: Path
) -> None:
    # As the demo models, of which the weights' record of the split is not passed on.
    found = severity_agreement(perfect, tmp_path, folder, scores, everything=True, resamples=20)
    assert found.report["of_those_trained_on"] is None
    assert "whether TRAINED ON is not known" in severity_tables(found.report)[0].title
    with pytest.raises(TrainingError, match="does not say what it was trained on: pass --all"):
        severity_agreement(
            perfect, _run(tmp_path, []), folder, scores, lung_run=tmp_path / "nowhere"
        )


def test_the_files_say_who_was_trained_on(
    perfect: Evaluation, folder: Path, scores: Path, tmp_path: Path
) -> None:
    found = severity_agreement(
        perfect, _run(tmp_path, ["made_covid_1"]), folder, scores, resamples=20
    )
    written = {path.name: path for path in write_severity(found, tmp_path / "out")}
    assert {path.name for path in (tmp_path / "out").iterdir()} == set(written)
    assert "1 of them TRAINED ON" in written["severity.md"].read_text()
    assert json.loads(written["severity.json"].read_text()) == found.report
    with written["severity_ratings.csv"].open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 13
    assert rows[-1]["network percent"] == ""
    for table in severity_tables(found.report):
        assert {len(row) for row in table.rows} == {len(table.columns)}


def test_without_an_experts_zones_there_is_no_empty_table(
    perfect: Evaluation, folder: Path, tmp_path: Path
) -> None:
    scores = tmp_path / "extent.csv"
    rows = (f"{sample.name},{n % 9}\n" for n, sample in enumerate(perfect.pictures.samples))
    scores.write_text("name,geographic_mean_0_8\n" + "".join(rows))
    found = severity_agreement(perfect, _run(tmp_path, []), folder, scores, resamples=20)
    assert all(table.rows for table in severity_tables(found.report))


def test_the_command_compares_two_networks_with_experts(
    finished_run: Path, lung_run: Path, pictures: Pictures, tmp_path: Path
) -> None:
    scores = tmp_path / "scores.csv"
    lines = (f"{s.name},{n % 9}\n" for n, s in enumerate(pictures.samples))
    scores.write_text("name,geographic_mean_0_8\n" + "".join(lines))
    # What is no COVID-19 is of another finding, and the run was trained with --negatives other.
    data, run = tmp_path / "data", tmp_path / "run"
    shutil.copytree(pictures.samples[0].image.parent.parent, data)
    index = (data / "index.csv").read_text()
    (data / "index.csv").write_text(index.replace(",normal,", ",other,"))
    shutil.copytree(finished_run, run)
    spec = json.loads((run / "spec.json").read_text())
    spec["training"]["negatives"] = "other"
    write_json(run / "spec.json", spec)
    command = [
        *(sys.executable, "-m", "infmap_train.cli", "evaluate", str(run), f"--data={data}"),
        *("--json", f"--severity={scores}", f"--lungs={lung_run}", f"--output={tmp_path / 'out'}"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["images"] == {"covid": 6, "normal": 10}
    # Whatever else asks for pictures reads them as the run's data were read.
    assert (report["severity"]["scored"], report["severity"]["measured"]) == (32, 16)
    assert report["severity"]["of_those_trained_on"] == 0
    assert report["severity"]["lungs"].startswith("of the network ")
    assert (tmp_path / "out" / "severity_scatter.png").is_file()
