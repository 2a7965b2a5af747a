"""From a data set to a study, whole or not at all."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from doctors import HEIGHT, WIDTH, blob, new_study, write_pictures
from infmap_annotate.study.candidates import add_mask_folder, add_model
from infmap_annotate.study.collection import init_study
from infmap_annotate.study.database import APPLICATION_ID
from infmap_annotate.study.folder import Rules, Study
from infmap_annotate.study.masks import decode_mask
from infmap_kit.errors import InfmapError, StudyError
from infmap_kit.model.files import sha256_of


def test_radiographs_with_a_mask_are_stage_one_and_those_without_stage_two(tmp_path: Path) -> None:
    data = write_pictures(tmp_path / "data", drawn=3, bare=2, normal=2)
    init_study(tmp_path / "study", data, first=["anna"])
    study = Study(tmp_path / "study")
    assert [p.stage for p in study.pictures()] == [1, 1, 1, 2, 2, None, None]
    found = study.candidates()
    assert sorted(found) == [1, 2, 3]
    for picture in study.pictures():
        assert (picture.width, picture.height) == (WIDTH, HEIGHT)
        assert picture.sha256 == sha256_of(study.image_path(picture))
    stored = decode_mask((study.folder / "masks" / found[1][0].file).read_bytes())
    assert (stored == blob(0)).all()
    # Radiographs stay where they are.
    assert len(list(study.folder.rglob("*.png"))) == 3


def test_a_published_data_set_brings_its_masks(tmp_path: Path) -> None:
    pytest.importorskip("sklearn", reason="the training extra is not installed")
    part = tmp_path / "QaTa-COV19-v2" / "Train Set"
    for name, picture in (
        ("Images", np.full((HEIGHT, WIDTH), 90)),
        ("Ground-truths", 255 * blob(0)),
    ):
        (part / name).mkdir(parents=True)
        stem = "mask_covid_1" if name == "Ground-truths" else "covid_1"
        cv2.imwrite(str(part / name / f"{stem}.png"), picture.astype(np.uint8))
    init_study(tmp_path / "study", part.parent, first=["anna"])
    study = Study(tmp_path / "study")
    (candidates,) = study.candidates().values()
    stored = decode_mask((study.folder / "masks" / candidates[0].file).read_bytes())
    assert (stored == blob(0)).all()


def test_a_path_that_is_no_utf_8_is_named_and_its_mask_is_not(tmp_path: Path) -> None:
    """A study's database holds text; other problems of the data are named beside it."""
    pytest.importorskip("sklearn", reason="the training extra is not installed")
    for folder, stem, picture in (
        ("Images", "covid_", np.full((HEIGHT, WIDTH), 90)),
        ("Ground-truths", "mask_covid_", 255 * blob(0)),
    ):
        (tmp_path / "qata" / folder).mkdir(parents=True)
        png = cv2.imencode(".png", picture.astype(np.uint8))[1].tobytes()
        for number in ("1\udcfc", "2\udce9"):
            (tmp_path / "qata" / folder / f"{stem}{number}.png").write_bytes(png)
    with pytest.raises(StudyError) as refused:
        init_study(tmp_path / "study", tmp_path / "qata", first=["anna"])
    assert r"found Images/covid_1\xfc.png: rename it" in str(refused.value)
    assert r"found Images/covid_2\xe9.png: rename it" in str(refused.value)
    assert not (tmp_path / "study").exists()


def test_a_subset_takes_whole_patients(tmp_path: Path) -> None:
    data = write_pictures(tmp_path / "data", drawn=20, a_patient=2)
    init_study(tmp_path / "study", data, first=["anna"], subset=8)
    pictures = Study(tmp_path / "study").pictures()
    one = {p.patient_group for p in pictures if p.stage == 1}
    two = {p.patient_group for p in pictures if p.stage == 2}
    assert sum(p.stage == 1 for p in pictures) == 8
    assert not one & two
    # Their masks are not in the study.
    assert len(Study(tmp_path / "study").candidates()) == 8


def test_another_seed_takes_another_subset(tmp_path: Path) -> None:
    data = write_pictures(tmp_path / "data", drawn=20)
    chosen: list[set[str]] = []
    for seed in (0, 0, 1):
        folder = tmp_path / f"study-{len(chosen)}"
        init_study(folder, data, first=["anna"], subset=6, rules=Rules(seed=seed))
        chosen.append({p.name for p in Study(folder).pictures() if p.stage == 1})
    assert chosen[0] == chosen[1] != chosen[2]


def test_everything_that_is_wrong_is_told_at_once_and_nothing_is_made(tmp_path: Path) -> None:
    data = write_pictures(tmp_path / "data", drawn=3)
    cv2.imwrite(str(data / "infection_masks" / "covid_0.png"), np.zeros((HEIGHT, 50), np.uint8))
    (data / "images" / "covid_1.png").write_bytes(b"damaged")
    with pytest.raises(StudyError) as caught:
        init_study(tmp_path / "study", data, first=["anna"])
    message = str(caught.value)
    assert (
        f"covid_0: expected a mask of {WIDTH}x{HEIGHT}, its picture's size, found 50x{HEIGHT}"
        in message
    )
    assert "covid_1" in message
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("covid_0,images/covid_0.png,covid,g", "named twice"),
        ("other,images/none.png,covid,g", "missing"),
        ("other,images/covid_0.png,healthy,g", "class is 'healthy'"),
    ],
)
def test_an_index_that_cannot_be_meant_is_refused(tmp_path: Path, line: str, reason: str) -> None:
    data = write_pictures(tmp_path / "data", drawn=1)
    with (data / "index.csv").open("a", encoding="utf-8") as file:
        file.write(line + "\n")
    with pytest.raises(StudyError, match=reason):
        init_study(tmp_path / "study", data, first=["anna"])


def test_what_cannot_be_a_study_is_refused(tmp_path: Path) -> None:
    data = write_pictures(tmp_path / "data", drawn=2)
    for options, reason in (
        ({"first": []}, "at least one reader"),
        ({"first": ["anna", "anna"]}, "twice"),
        ({"first": ["anna"], "third": ["anna"]}, "twice"),
        ({"first": ["owner"]}, "whoever runs the study"),
        ({"first": ["a/b"]}, "expected a reader's name"),
        ({"first": ["anna"], "subset": 3}, "smaller --subset"),
    ):
        with pytest.raises(StudyError, match=reason):
            init_study(tmp_path / "study", data, **options)
        assert not (tmp_path / "study").exists()
    with pytest.raises(InfmapError):
        init_study(tmp_path / "study", tmp_path, first=["anna"])
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "precious").touch()
    with pytest.raises(StudyError, match="not empty"):
        init_study(tmp_path / "study", data, first=["anna"])


def test_the_file_says_that_it_is_a_study(tmp_path: Path) -> None:
    study, _ = new_study(tmp_path, drawn=1)
    study.database.close()
    header = (study.folder / "study.sqlite").read_bytes()[:100]
    assert int.from_bytes(header[68:72], "big") == APPLICATION_ID
    for change, reason in (
        ("PRAGMA application_id = 1", "another program"),
        (
            f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = 9",
            "version 1, found 9",
        ),
    ):
        study.database.reading().executescript(change)
        study.database.close()
        with pytest.raises(StudyError, match=reason):
            Study(study.folder)
    (study.folder / "study.sqlite").write_bytes(b"no database at all" * 100)
    with pytest.raises(StudyError, match="cannot use"):
        Study(study.folder)
    with pytest.raises(StudyError, match="is no study"):
        Study(tmp_path)


def test_a_folder_of_masks_joins_whole_or_is_refused_by_name(tmp_path: Path) -> None:
    study, _ = new_study(tmp_path, drawn=3, models=[])
    masks = tmp_path / "masks"
    masks.mkdir()
    for number in range(3):
        cv2.imwrite(str(masks / f"covid_{number}.png"), blob(number).astype(np.uint8) * 255)
    (masks / "covid_2.png").unlink()
    cv2.imwrite(str(masks / "covid_1.png"), np.zeros((5, 6), np.uint8))
    with pytest.raises(StudyError) as caught:
        add_mask_folder(study, "unet", 1, masks)
    assert "covid_1: expected a mask of" in str(caught.value)
    assert "covid_2" in str(caught.value)
    assert all(len(found) == 1 for found in study.candidates().values())
    for number in (1, 2):
        cv2.imwrite(str(masks / f"covid_{number}.png"), blob(number).astype(np.uint8) * 255)
    assert add_mask_folder(study, "unet", 1, masks) == 3
    with pytest.raises(StudyError, match="already"):
        add_mask_folder(study, "unet", 1, masks)


def test_a_page_has_six_places(tmp_path: Path) -> None:
    study, _ = new_study(tmp_path, drawn=1, bare=1, models=["a", "b", "c", "d", "e"])
    with pytest.raises(StudyError, match="at most 5 models in stage 1"):
        add_model(study, "f", 1, {1: blob(0)}, {})
    add_model(study, "f", 2, {2: blob(0)}, {})
    with pytest.raises(StudyError, match="at most 6 models in stage 2"):
        add_model(study, "g", 2, {2: blob(0)}, {})


def test_a_data_set_that_moved_is_found_through_a_link(tmp_path: Path) -> None:
    study, _ = new_study(tmp_path, drawn=1)
    (tmp_path / "data").rename(tmp_path / "elsewhere")
    (study.folder / "data").symlink_to(tmp_path / "elsewhere")
    moved = Study(study.folder)
    (picture,) = moved.pictures()
    assert sha256_of(moved.image_path(picture)) == picture.sha256
