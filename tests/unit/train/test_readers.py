from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("sklearn", reason="the training extra is not installed")

from infmap_kit.errors import TrainingError
from infmap_kit.model.spec import Anatomy
from infmap_train.data.dataset import load
from infmap_train.data.layouts import open_dataset, read_dataset, read_normals


def _write(path: Path, *, bright: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = np.zeros((80, 80), np.uint8)
    picture[20:40, 20:60] = 255 if bright else 100
    cv2.imwrite(str(path), picture)


def test_qata_version_1_leaves_out_what_has_no_mask(tmp_path: Path) -> None:
    root = tmp_path / "QaTa-COV19" / "QaTa-COV19-v1"
    for name in ("covid_1", "covid_2", "sub-S01_ses-E1_run-1", "sub-S01_ses-E2_run-1"):
        _write(root / "Images" / f"{name}.png")
        if name != "covid_2":
            _write(root / "Ground-truths" / f"mask_{name}.png", bright=True)
    samples = read_dataset(tmp_path)
    assert {s.name for s in samples} == {
        "qata_covid_1".replace("covid_1", "covid-1"),
        "qata_sub-S01-ses-E1-run-1",
        "qata_sub-S01-ses-E2-run-1",
    }
    assert all(s.covid and s.source == "qata" for s in samples)
    # One subject, one group; an unknown patient is alone.
    assert len({s.group for s in samples}) == 2
    assert load(samples).masks.any(axis=(1, 2)).all()


def test_qata_version_2_takes_both_parts(tmp_path: Path) -> None:
    for part, name in (("Train Set", "covid_1"), ("Test Set", "covid_2")):
        _write(tmp_path / "v2" / part / "Images" / f"{name}.png")
        _write(tmp_path / "v2" / part / "Ground-truths" / f"mask_{name}.png", bright=True)
    assert len(read_dataset(tmp_path)) == 2


def test_covid_qu_ex_takes_infections_and_normals_of_all_parts(tmp_path: Path) -> None:
    root = tmp_path / "Infection Segmentation Data" / "Infection Segmentation Data"
    for part in ("Train", "Val", "Test"):
        for kind in ("COVID-19", "Non-COVID", "Normal"):
            name = f"{kind} ({part}).png"
            _write(root / part / kind / "images" / name)
            _write(root / part / kind / "infection masks" / name, bright=True)
            if part != "Val":
                _write(root / part / kind / "lung masks" / name, bright=True)
    samples = read_dataset(tmp_path)
    assert [bool(s.lung_mask) for s in samples] == ["Val" not in str(s.image) for s in samples]
    assert (
        load(samples, anatomy=Anatomy.LUNGS).with_truth().masks.any(axis=(1, 2)).tolist()
        == [True] * 4
    )
    assert sorted(s.covid for s in samples) == [False] * 3 + [True] * 3
    assert not any("Non" in s.name for s in samples)


@pytest.mark.parametrize("layout", ["qata", "quex"])
def test_all_that_lacks_its_counterpart_is_named_at_once(layout: str, tmp_path: Path) -> None:
    for name in ("covid_1", "covid_2"):
        if layout == "qata":
            _write(tmp_path / "Ground-truths" / f"mask_{name}.png", bright=True)
        else:
            _write(tmp_path / "Train" / "COVID-19" / "images" / f"{name}.png")
            (tmp_path / "Train" / "COVID-19" / "infection masks").mkdir(exist_ok=True)
    with pytest.raises(TrainingError) as caught:
        read_dataset(tmp_path)
    assert "covid_1" in str(caught.value)
    assert "covid_2" in str(caught.value)


def test_one_picture_in_two_versions_is_refused(tmp_path: Path) -> None:
    for version in ("v1", "v2"):
        _write(tmp_path / version / "Images" / "covid_1.png")
        _write(tmp_path / version / "Ground-truths" / "mask_covid_1.png", bright=True)
    with pytest.raises(TrainingError, match="one version"):
        read_dataset(tmp_path)


def test_the_plain_layout_is_read_too(made_data: Callable[..., Path]) -> None:
    assert len(read_dataset(made_data(covid=2, normal=3))) == 5


def test_an_unknown_layout_names_the_known_ones(tmp_path: Path) -> None:
    _write(tmp_path / "a.png")
    with pytest.raises(TrainingError, match=r"index\.csv.*COVID-QU-Ex.*QaTa"):
        read_dataset(tmp_path)


def test_normals_of_one_name_in_two_folders_are_two(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        _write(tmp_path / "NIH normals" / folder / "1.png")
    shutil.copy(tmp_path / "NIH normals" / "a" / "1.png", tmp_path / "NIH normals" / "2.png")
    samples = read_normals(tmp_path / "NIH normals").samples
    assert {s.name for s in samples} == {"nih-normals_a-1", "nih-normals_b-1", "nih-normals_2"}
    assert len({s.group for s in samples}) == 3
    with pytest.raises(TrainingError, match="found none"):
        read_normals(tmp_path / "NIH normals" / "c")


def test_problems_of_all_kinds_are_named_at_once(made_data: Callable[..., Path]) -> None:
    folder = made_data(covid=6, normal=12)
    (folder / "infection_masks" / "made_covid_0.png").unlink()
    (folder / "images" / "made_normal_7.png").write_bytes(b"not a picture")
    cv2.imwrite(str(folder / "infection_masks" / "made_covid_1.png"), np.zeros((9, 9), np.uint8))
    with pytest.raises(TrainingError) as caught:
        open_dataset(folder, folds=5)
    told = str(caught.value)
    for name in ("made_covid_0", "made_normal_7", "made_covid_1", "5 patient groups of COVID-19"):
        assert name in told
    assert told.startswith("4 problem(s)")


def test_data_without_lungs_are_told_so_at_once(made_data: Callable[..., Path]) -> None:
    folder = made_data(covid=4, normal=4)
    shutil.rmtree(folder / "lung_masks")
    with pytest.raises(TrainingError, match=r"no radiograph has a mask of the lungs.*lung_masks"):
        open_dataset(folder, folds=2, anatomy=Anatomy.LUNGS)
    assert len(open_dataset(folder, folds=2).samples) == 8
