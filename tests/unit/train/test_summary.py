"""Tables I and III as 24 rows, of whatever runs there are."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path

import pytest
from rich.console import Console

pytest.importorskip("tensorflow", reason="TensorFlow is not installed")

from infmap_kit import paper
from infmap_kit.errors import TrainingError
from infmap_kit.model.spec import EDGE, Anatomy, ModelSpec, NetworkSpec
from infmap_train.evaluation.metrics import Confusion, curve_of, pixel_histograms, precision_recall
from infmap_train.studies.summary import collect, summary, summary_tables

pytestmark = pytest.mark.train

UNET = NetworkSpec.parse("unet/densenet121")
# The paper's Table IV, in two unequal folds.
FOLDS = (
    Confusion(true_positive=2000, false_positive=200, false_negative=40, true_negative=9000),
    Confusion(true_positive=903, false_positive=44, false_negative=8, true_negative=3300),
)


def _run(folder: Path, fold: int, *, images: Confusion, **changes: object) -> Path:
    pixels = Confusion(true_positive=84, false_positive=1, false_negative=16, true_negative=999)
    spec = ModelSpec(
        name="made",
        version="1",
        network=UNET,
        files={},
        dataset_fingerprint="0",
        training={"fold": fold, "folds": 2, "seed": 0, "anatomy": "infection"},
        metrics={
            "pixels": {**pixels.figures(), "auc": 0.98 + 0.01 * fold},
            "detection": {**images.figures(), "auc": 0.9},
        },
    )
    folder.mkdir(parents=True)
    dataclasses.replace(spec, **changes).write(folder / "spec.json")  # type: ignore[arg-type]
    return folder


def test_folds_are_added_up_and_stand_beside_the_papers_24_rows(tmp_path: Path) -> None:
    for fold, images in enumerate(FOLDS):
        _run(tmp_path / "unet" / f"fold-{fold + 1}", fold, images=images)
    lungs = {"fold": 0, "anatomy": str(Anatomy.LUNGS)}
    _run(tmp_path / "lungs", 0, images=FOLDS[0], training=lungs)
    _run(tmp_path / "edge", 0, images=FOLDS[0], network=EDGE)
    networks = collect([tmp_path, tmp_path / "unet"])
    of = next(of for of in summary(networks)["networks"] if len(of["runs"]) == 2)
    assert of["detection"]["true_positive"] == 2903
    assert of["pixels"]["auc"] == pytest.approx(0.985)
    assert sorted(of["runs"]) == ["1", "2"]
    segmentation, detection = summary_tables(networks)
    for table in (segmentation, detection):
        *papers, edge = table.rows
        assert edge[0] == f"not in the paper: {EDGE.label} (1 of 2 folds)"
        assert [row[0].partition(" (")[0] for row in papers] == [
            paper.network_of(row).label for row in paper.rows(paper.DETECTION)
        ]
    row = next(row for row in detection.rows if row[0].startswith(UNET.label))
    assert row == (
        "U-Net DenseNet-121, not frozen (2 of 2 folds)",
        "98.37 (98.37, +0.00)", "98.05 (98.05, +0.00)", "92.25 (92.25, -0.00)",
        "95.21 (95.21, +0.00)", "97.08 (97.08, +0.00)", "98.12 (98.12, -0.00)",
    )  # fmt: skip
    assert detection.rows[0][1] == "- (97.56)"
    console = Console(file=io.StringIO(), width=80)
    console.print(segmentation, detection)
    assert isinstance(console.file, io.StringIO)
    for word in ("Sensitivity", "Specificity", "Precision", "Accuracy", "DenseNet-121,"):
        assert word in console.file.getvalue()


def test_few_radiographs_have_no_difference(tmp_path: Path) -> None:
    few = Confusion(true_positive=9, false_positive=1, false_negative=1, true_negative=9)
    networks = collect([_run(tmp_path / "run", 0, images=few)])
    row = next(r for r in summary_tables(networks)[1].rows if r[0].startswith(UNET.label))
    assert row[:2] == ("U-Net DenseNet-121, not frozen (1 of 2 folds)", "90.00 (98.37)")


@pytest.mark.parametrize(
    ("fold", "changes", "told"),
    [
        (0, {}, r"both fold 1 of U-Net"),
        (1, {"dataset_fingerprint": "1"}, r"other data, folds or seed"),
        (1, {"training": {"fold": 1, "folds": 3, "anatomy": "infection"}}, r"other data, folds"),
    ],
)
def test_what_cannot_be_added_up_is_refused(
    fold: int, changes: dict[str, object], told: str, tmp_path: Path
) -> None:
    _run(tmp_path / "one", 0, images=FOLDS[0])
    _run(tmp_path / "two", fold, images=FOLDS[1], **changes)
    with pytest.raises(TrainingError, match=told):
        collect([tmp_path])


def test_no_run_is_told(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="expected finished runs.*found none"):
        collect([tmp_path])


def test_a_curve_of_two_folds_is_that_of_their_pixels_together() -> None:
    import numpy as np

    rng = np.random.default_rng(0)
    masks = (rng.random((4, 16, 16)) < 0.3).astype(np.uint8)
    probability = rng.random(masks.shape).astype(np.float32)
    whole = precision_recall(masks, probability)
    one, two = (pixel_histograms(masks[r], probability[r]) for r in (slice(2), slice(2, 4)))
    added = curve_of(one[0] + two[0], one[1] + two[1])
    np.testing.assert_array_equal(added.precision, whole.precision)
    np.testing.assert_array_equal(added.recall, whole.recall)
