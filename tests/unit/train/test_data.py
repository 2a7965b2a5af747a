from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("sklearn", reason="the training extra is not installed")

from infmap_kit.errors import TrainingError
from infmap_kit.model.spec import Anatomy
from infmap_train.data import dataset as data
from infmap_train.data.layouts import open_dataset
from infmap_train.options import ReadOptions


def test_masks_and_pictures_come_at_the_networks_size(made_data: Callable[..., Path]) -> None:
    pictures = data.load(data.read_index(made_data(covid=3, normal=2)))
    assert pictures.images.shape == pictures.masks.shape == (5, 224, 224)
    assert pictures.covid.tolist() == [True] * 3 + [False] * 2
    infected = pictures.masks > 0
    assert infected[3:].sum() == 0
    # The bright patch is where the mask says.
    assert pictures.images[infected].min() > pictures.images[~infected].mean()


def test_all_problems_are_named_at_once(made_data: Callable[..., Path]) -> None:
    folder = made_data(covid=4, normal=2)
    (folder / "infection_masks" / "made_covid_0.png").unlink()
    (folder / "images" / "made_normal_5.png").unlink()
    with (folder / "index.csv").open("a", encoding="utf-8") as file:
        file.write("made_covid_1,images/made_covid_1.png,covid,x\n")
        file.write("odd,images/made_covid_1.png,pneumonia,x\n")
    with pytest.raises(TrainingError) as caught:
        data.read_index(folder)
    message = str(caught.value)
    for name, reason in (
        ("made_covid_0", "missing"),
        ("made_normal_5", "missing"),
        ("made_covid_1", "twice"),
        ("odd", "pneumonia"),
    ):
        assert any(name in line and reason in line for line in message.splitlines()), name


def test_all_unreadable_pictures_are_named_at_once(made_data: Callable[..., Path]) -> None:
    folder = made_data(covid=3, normal=2)
    (folder / "images" / "made_normal_3.png").write_bytes(b"not a picture")
    small = np.zeros((50, 60), np.uint8)
    cv2.imwrite(str(folder / "infection_masks" / "made_covid_1.png"), small)
    (folder / "infection_masks" / "made_covid_2.png").write_bytes(b"")
    with pytest.raises(TrainingError) as caught:
        data.load(data.read_index(folder))
    message = str(caught.value)
    assert all(name in message for name in ("made_normal_3", "made_covid_1", "made_covid_2"))
    assert "50" in message
    assert "96" in message


@pytest.mark.parametrize("kind", ["covid", "normal"])
def test_an_empty_class_is_refused(made_data: Callable[..., Path], kind: str) -> None:
    counts = {"covid": 4, "normal": 4} | {kind: 0}
    named = {"covid": "COVID-19", "normal": "normal"}[kind]
    with pytest.raises(TrainingError, match=f"2 patient groups of {named} for 2 folds, found 0"):
        open_dataset(made_data(**counts), folds=2)


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    (tmp_path / "index.csv").write_text("name,class\na,covid\n")
    with pytest.raises(TrainingError, match="file"):
        data.read_index(tmp_path)


def test_a_missing_folder_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"index\.csv"):
        data.read_index(tmp_path / "nowhere")


def _samples(covid_groups: int, normal_groups: int) -> list[data.Sample]:
    return [
        data.Sample(
            name=f"{source}_{kind}_{group}_{number}",
            image=Path("x.png"),
            covid=kind == "covid",
            infection_mask=Path("m.png") if kind == "covid" else None,
            group=f"{source}-{kind}-{group}",
        )
        for kind, groups in (("covid", covid_groups), ("normal", normal_groups))
        for source in ("here", "there")
        for group in range(groups)
        for number in range(3)
    ]


def test_no_patient_is_on_both_sides_and_classes_keep_their_share() -> None:
    samples = _samples(20, 40)
    folds = data.split_by_group(samples, folds=5, seed=3)
    tested = Counter(row for _, test in folds for row in test)
    assert tested == Counter(range(len(samples)))
    for train, test in folds:
        assert not {samples[r].group for r in train} & {samples[r].group for r in test}
        assert sorted([*train, *test]) == list(range(len(samples)))
        share = np.mean([samples[r].covid for r in test])
        assert share == pytest.approx(1 / 3, abs=0.05)


def test_one_seed_gives_one_split() -> None:
    samples = _samples(10, 10)
    first, again, other = (data.split_by_group(samples, folds=5, seed=s) for s in (1, 1, 2))
    assert all(np.array_equal(a[1], b[1]) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a[1], b[1]) for a, b in zip(first, other, strict=True))


def test_fewer_patients_than_folds_are_refused() -> None:
    with pytest.raises(TrainingError, match="found 4"):
        data.split_by_group(_samples(2, 10), folds=5, seed=0)


def test_fingerprint_knows_pixels_and_not_their_order(made_data: Callable[..., Path]) -> None:
    pictures = data.load(data.read_index(made_data(covid=2, normal=2)))
    assert pictures.take([3, 1, 0, 2]).fingerprint() == pictures.fingerprint()
    changed = data.Pictures(pictures.samples, pictures.images.copy(), pictures.masks)
    changed.images[0, 0, 0] ^= 1
    assert changed.fingerprint() != pictures.fingerprint()


def test_lungs_are_read_beside_and_only_where_there_are_any(made_data: Callable[..., Path]) -> None:
    samples = data.read_index(made_data(covid=5, normal=5))
    assert [s.lung_mask is not None for s in samples] == [n % 5 > 0 for n in range(10)]
    infections, lungs = data.load(samples), data.load(samples, anatomy=Anatomy.LUNGS)
    assert np.array_equal(infections.images, lungs.images)
    assert infections.with_truth() is infections
    known = lungs.with_truth()
    assert [s.name for s in known.samples] == [s.name for s in samples if s.lung_mask]
    # Two halves of a third of the height and a quarter of the width each, as they were drawn.
    assert known.masks.mean(axis=(1, 2)) == pytest.approx([2 / 3 / 2] * 8, abs=0.01)
    assert not np.array_equal(infections.masks, lungs.masks)
    # A normal radiograph's lungs are there, its infection is known to be nowhere.
    assert known.masks[~known.covid].any(axis=(1, 2)).all()


def test_a_lung_mask_that_the_index_names_and_is_not_there_is_a_problem(
    made_data: Callable[..., Path],
) -> None:
    folder = made_data(covid=2, normal=2)
    lines = (folder / "index.csv").read_text().splitlines()
    stated = [f"{lines[0]},lung_mask", *(f"{line},{n % 2}" for n, line in enumerate(lines[1:]))]
    (folder / "index.csv").write_text("\n".join(stated) + "\n")
    # The column decides: what it does not name is not read, though it may lie there.
    assert [s.lung_mask is not None for s in data.read_index(folder)] == [False, True, False, True]
    (folder / "lung_masks" / "made_covid_1.png").unlink()
    with pytest.raises(TrainingError, match=r"made_covid_1: .*lung_masks.* is missing"):
        data.read_index(folder)
    # A copy without any is still good for the infection.
    for path in (folder / "lung_masks").iterdir():
        path.unlink()
    (folder / "lung_masks").rmdir()
    assert not any(s.lung_mask for s in data.read_index(folder))


def _rename(folder: Path, name: Callable[[int], str], *, column: str = "", of: str = "") -> None:
    """Rename a folder's radiographs, and write an index that tells patients in ``column`` alone."""
    samples = data.read_index(folder)
    lines = [f"name,file,class,{column or 'view'}"]
    for number, sample in enumerate(samples):
        image = sample.image.rename(sample.image.with_name(f"{name(number)}.png"))
        if sample.infection_mask:
            sample.infection_mask.rename(sample.infection_mask.with_name(image.name))
        told = of.format(number // 2) + " " * (number % 2) if of else ""
        lines.append(f"{image.stem},images/{image.name},{sample.kind},{told}")
    # As a spreadsheet writes UTF-8.
    (folder / "index.csv").write_text("\n".join(lines) + "\n", encoding="utf-8-sig")


@pytest.mark.parametrize(
    ("name", "column", "of"),
    [
        # What follows the patient's number, or is around it, is no other patient.
        ("{0}", "group", "g{}"),
        ("{0}", "patient_id", "P-{}"),
        ("{1:08d}_{2:03d}", "", ""),
        ("sub-S{1:05d}_ses-E{0}_run-1", "group", " "),
        ("CXR{1}_IM-0001-{0}", "patient_id", "unknown"),
    ],
)
def test_an_index_without_groups_says_who_the_patients_are_all_the_same(
    made_data: Callable[..., Path], name: str, column: str, of: str
) -> None:
    folder = made_data(covid=6, normal=6)
    _rename(folder, lambda n: name.format(n, n // 2, n % 2), column=column, of=of)
    groups = open_dataset(folder, folds=3).groups
    assert len(set(groups)) == 6
    assert groups[::2] == groups[1::2]


def test_a_pattern_that_finds_nothing_is_refused_and_no_patient_is_in_common(
    made_data: Callable[..., Path],
) -> None:
    folder = made_data(covid=4, normal=4)
    _rename(folder, str, column="group", of=" ")
    assert len(set(open_dataset(folder, folds=2).groups)) == 8
    with pytest.raises(TrainingError, match=r"'pat\(\.\)' finds nothing in the paths .* 'images/7"):
        open_dataset(folder, folds=2, options=ReadOptions(group_pattern="pat(.)"))


def test_one_picture_under_two_names_is_one_patient_and_not_of_two_classes(
    made_data: Callable[..., Path],
) -> None:
    folder = made_data(covid=6, normal=6)
    images = folder / "images"
    shutil.copy(images / "made_normal_6.png", images / "made_normal_9.png")
    by_name = {s.name: s.group for s in open_dataset(folder, folds=2).samples}
    # Whoever else is the same patient comes along.
    assert by_name["made_normal_7"] == by_name["made_normal_6"]
    assert by_name["made_normal_8"] == by_name["made_normal_9"] == by_name["made_normal_6"]
    assert len(set(by_name.values())) == 5
    shutil.copy(images / "made_covid_0.png", images / "made_normal_9.png")
    with pytest.raises(TrainingError, match="made_normal_9: the same picture as made_covid_0, of"):
        open_dataset(folder, folds=2)


def test_an_index_says_what_it_lacks(made_data: Callable[..., Path]) -> None:
    index = made_data(covid=2, normal=2) / "index.csv"
    index.write_text(index.read_text().replace(",", ";"))
    with pytest.raises(TrainingError, match="no column class, file, name: .* 'name;file;class;gr"):
        data.read_index(index.parent)
    index.write_text("name,file,class\n")
    with pytest.raises(TrainingError, match="names no radiograph"):
        data.read_index(index.parent)
