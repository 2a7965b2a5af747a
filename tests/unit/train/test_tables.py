"""Tables in the paper's shape, and the files of an evaluation."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="TensorFlow is not installed")

from infmap_kit import paper
from infmap_kit.model.spec import Anatomy, NetworkSpec
from infmap_kit.report.table import Table
from infmap_train.data.dataset import Pictures, Sample
from infmap_train.evaluation import plots, tables
from infmap_train.evaluation.evaluate import Evaluation, figures_of
from infmap_train.evaluation.metrics import Confusion, dice_per_image, precision_recall
from infmap_train.evaluation.report import worst_rows, write_report
from infmap_train.training.cross_validate import summarise

pytestmark = pytest.mark.train

UNET = NetworkSpec.parse("unet/densenet121")
PAPERS = Confusion(true_positive=2903, false_positive=244, false_negative=48, true_negative=12300)


def test_the_papers_own_confusion_differs_by_nothing() -> None:
    measured, printed, difference = tables.detection_table(UNET, [("measured", PAPERS)]).rows
    assert measured[1:6] == ("98.37 ± 0.0046", "98.05 ± 0.0024", "92.25 ± 0.0042",
                             "95.21 ± 0.0034", "97.08 ± 0.0026")  # fmt: skip
    assert printed[1] == "98.37 ± 0.0046"
    assert {abs(float(cell)) for cell in difference[1:]} == {0.0}


def test_table_1_has_the_papers_intervals() -> None:
    # As many pixels as the paper's 15495 images have, with its sensitivity and specificity.
    positives, negatives = 22_000_000, 755_000_000
    confusion = Confusion(
        true_positive=int(0.84 * positives),
        false_negative=int(0.16 * positives),
        true_negative=int(0.9966 * negatives),
        false_positive=int(0.0034 * negatives),
    )
    measured, printed, _ = tables.segmentation_table(UNET, [("measured", confusion, 0.9919)]).rows
    assert measured[1] == printed[1].replace("84.00 ±", "84.00 ±") == "84.00 ± 1.5e-4"
    assert measured[7] == "99.19 ± 6.3e-6" == printed[7]


def test_every_network_has_its_row_of_the_paper() -> None:
    for row in paper.rows(paper.SEGMENTATION):
        network = paper.network_of(row)
        made = tables.segmentation_table(network, [("measured", PAPERS, 0.99)])
        assert made.rows[1][0] == "paper"
        assert made.rows[1][1].startswith(f"{float(row['sensitivity_percent']):.2f}")


def test_formats_hold_the_same_cells() -> None:
    table = Table("A & B, 5 %", ("", "x_1"), (("one", "1.0 ± 0.1"),))
    assert "| one | 1.0 ± 0.1 |" in table.markdown()
    assert list(csv.reader(table.csv().splitlines())) == [["", "x_1"], ["one", "1.0 ± 0.1"]]
    assert r"one & 1.0 $\pm$ 0.1 \\" in table.latex()
    assert r"A \& B, 5 \%" in table.latex()


def _evaluation(anatomy: Anatomy = Anatomy.INFECTION) -> Evaluation:
    rng = np.random.default_rng(0)
    masks = np.zeros((6, 224, 224), np.uint8)
    masks[:3, 50:100, 50:100] = 1
    probability = np.full(masks.shape, 0.1, np.float32)
    probability[0, 50:100, 50:100] = 0.9
    probability[1, 150:200, 50:100] = 0.9
    probability[5, 0:5, 0:5] = 0.9
    samples = tuple(
        Sample(
            name=f"{'here' if n % 2 else 'there'}_{n}",
            image=Path("x"),
            covid=n < 3,
            source="here" if n % 2 else "there",
            infection_mask=Path("m") if n < 3 else None,
            lung_mask=Path("l"),
            group=str(n),
        )
        for n in range(6)
    )
    images = rng.integers(0, 256, masks.shape, np.uint8)
    pictures = Pictures(samples, images, masks, anatomy)
    return Evaluation(UNET, pictures, probability, figures_of(pictures, probability))


def test_a_report_is_written_whole(tmp_path: Path) -> None:
    evaluation = _evaluation()
    written = write_report(evaluation, tmp_path, worst=3)
    assert {path.name for path in written} == {path.name for path in tmp_path.iterdir()}
    assert {"worst_cases.png", "tables.tex", "tables.md", "precision_recall.png"} <= {
        path.name for path in written
    }
    report = json.loads((tmp_path / "metrics.json").read_text())
    assert report["detection"]["true_positive"] == 2
    assert report["detection"]["false_positive"] == 1
    with (tmp_path / "images.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["dice"] for row in rows] == [
        "1.0000", "0.0000", "0.0000", "1.0000", "1.0000", "0.0000",
    ]  # fmt: skip


def test_the_worst_cases_come_first() -> None:
    evaluation = _evaluation()
    dice = dice_per_image(evaluation.pictures.masks, evaluation.probability)
    # A patch at the wrong place is wrong twice, a missed one once, a stray one hardly.
    assert worst_rows(evaluation, dice, 3) == [1, 2, 5]
    assert len(set(worst_rows(evaluation, dice, 6))) == 6


def test_false_alarms_do_not_hide_missed_infections() -> None:
    evaluation = _evaluation()
    # All normal ones have a Dice of 0 and far more wrong pixels than the missed infection.
    probability = evaluation.probability.copy()
    probability[3:] = 0.9
    evaluation = dataclasses.replace(evaluation, probability=probability)
    dice = dice_per_image(evaluation.pictures.masks, probability)
    rows = worst_rows(evaluation, dice, 3)
    assert {1, 2} < set(rows)
    assert rows[2] >= 3


def test_a_difference_is_shown_only_where_the_set_is_as_large_as_the_papers() -> None:
    small = Confusion(true_positive=80, false_positive=10, false_negative=10, true_negative=90)
    table = tables.detection_table(UNET, [("measured", small)])
    assert [row[0] for row in table.rows] == ["measured", "paper"]
    assert "smaller than a fifth of the paper's" in " ".join(table.notes)
    assert "paper" not in tables.confusion_table(UNET, small).markdown()
    assert "(paper 12300, +0)" in tables.confusion_table(UNET, PAPERS).markdown()
    fold = Confusion(true_positive=580, false_positive=49, false_negative=10, true_negative=2460)
    labels = [row[0] for row in tables.detection_table(UNET, [("measured", fold)]).rows]
    assert labels == ["measured", "paper", "difference"]
    assert "paper" not in tables.confusion_table(UNET, fold).markdown()


def test_intervals_by_patient_stand_beneath_the_papers_and_chance_is_told() -> None:
    evaluation = _evaluation()
    pixels, detection, _ = tables.evaluation_tables(UNET, evaluation.report)
    for table in (pixels, detection):
        assert [row[0] for row in table.rows] == ["measured", "by patient", "paper"]
    low, high = evaluation.report["detection"]["ci95_by_patient"]["sensitivity"]
    assert low <= evaluation.report["detection"]["sensitivity"] <= high
    assert detection.rows[1][1] == f"{100 * low:.1f} to {100 * high:.1f}"
    assert "chance" not in " ".join((*pixels.notes, *detection.notes))
    opposite = figures_of(evaluation.pictures, 1 - evaluation.probability)
    assert "worse than chance" in " ".join(tables.evaluation_tables(UNET, opposite)[0].notes)
    told = tables.detection_table(UNET, [("measured", PAPERS)], auc=0.3).notes
    assert "0.300 is worse than chance" in " ".join(told)


def test_folds_are_cumulated(tmp_path: Path) -> None:
    evaluation = _evaluation()
    summary = summarise(UNET, [evaluation.report, evaluation.report], tmp_path)
    single = evaluation.report["detection"]
    assert summary["detection"]["true_positive"] == 2 * single["true_positive"]
    assert summary["pixels"]["f1"] == pytest.approx(evaluation.report["pixels"]["f1"])
    assert "all folds" in (tmp_path / "summary.md").read_text()
    assert json.loads((tmp_path / "summary.json").read_text())["folds"] == 2
    assert (tmp_path / "summary.csv").is_file()


def test_lungs_are_told_over_all_pictures_by_source_and_nothing_is_detected(tmp_path: Path) -> None:
    evaluation = _evaluation(Anatomy.LUNGS)
    report = evaluation.report
    # One found, one at a wrong place, one missed, two rightly nowhere, one where none is.
    assert report["dice"] == {
        "mean": pytest.approx(3 / 6), "min": 0, "p05": 0, "median": pytest.approx(0.5),
    }  # fmt: skip
    assert {k: v["images"] for k, v in report["by_source"].items()} == {"here": 3, "there": 3}
    assert report["by_source"]["there"]["dice_mean"] == pytest.approx(2 / 3)
    assert "detection" not in report
    written = {path.name: path for path in write_report(evaluation, tmp_path, worst=2)}
    assert "detected" not in written["images.csv"].read_text()
    table = written["tables.md"].read_text()
    assert "paper" not in table
    assert [line.split("|")[1:3] for line in table.splitlines()[-3:]] == [
        [" here ", " 3 "], [" there ", " 3 "], [" all ", " 6 "],
    ]  # fmt: skip


def test_lungs_of_one_source_are_told_once() -> None:
    report = dict(_evaluation(Anatomy.LUNGS).report)
    report["by_source"] = {"": report["by_source"]["here"]}
    (table,) = tables.evaluation_tables(UNET, report)
    assert [row[0] for row in table.rows] == ["all"]


def test_folds_of_lungs_are_cumulated_with_a_vote_an_image(tmp_path: Path) -> None:
    whole = _evaluation(Anatomy.LUNGS)
    part = whole.pictures.take([0])
    one = figures_of(part, whole.probability[:1])
    summary = summarise(UNET, [whole.report, one], tmp_path)
    assert summary["dice"]["mean"] == pytest.approx((6 * 0.5 + 1) / 7)
    assert summary["pixels"]["true_positive"] == 2 * 2500
    assert [row.split("|")[1].strip() for row in (tmp_path / "summary.md").read_text().splitlines()[-3:]] == [
        "fold 1", "fold 2", "all",
    ]  # fmt: skip


@pytest.mark.filterwarnings("error:constrained_layout not applied")
def test_legends_are_inside_the_figure_however_much_stands_in_them() -> None:
    masks = np.zeros((24, 224, 224), np.uint8)
    masks[:, 50:90, 50:90] = 1
    probability = masks * np.float32(0.9)
    curve = precision_recall(masks[:1], probability[:1])
    labels = [paper.network_of(row).label for row in paper.rows(paper.SEGMENTATION)]
    sources = [
        f"{number} of a hospital whose name is longer than a plot is wide" for number in range(24)
    ]
    samples = [
        Sample(name=source, image=Path("x.png"), covid=True, group=source, source=source)
        for source in sources
    ]
    for figure in (
        plots.draw_precision_recalls(dict.fromkeys(labels, curve)),
        plots.draw_dice(Pictures(tuple(samples), masks, masks), probability),
    ):
        figure.canvas.draw()
        (axes,) = figure.axes
        legend = axes.get_legend()
        assert legend is not None
        left, bottom, right, top = legend.get_window_extent().extents
        assert len(legend.get_texts()) == 24
        assert 0 <= left < right <= figure.bbox.width
        assert 0 <= bottom < top <= figure.bbox.height
        assert axes.get_window_extent().width > 300


@pytest.mark.parametrize("epochs", [1, 2, 3, 50])
def test_epochs_are_whole_numbers(epochs: int) -> None:
    rows = [{"epoch": n, "loss": 1 / n, "watched_f1": 0.5} for n in range(1, epochs + 1)]
    figure = plots.draw_history(rows, "a tenth")
    low, high = figure.axes[1].get_xlim()
    ticks = [tick for tick in figure.axes[1].get_xticks() if low <= tick <= high]
    assert ticks
    assert all(tick == int(tick) for tick in ticks)
