"""Masks as people store them give the masks of their 0 and 255 twins, and what is unclear is refused."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from infmap_kit.errors import InputRejected, TrainingError

data = pytest.importorskip("infmap_train.data.dataset")

MASK = np.zeros((96, 80), np.uint8)
MASK[20:60, 30:50] = 1


def _palette(path: Path, colours: list[int]) -> None:
    picture = Image.fromarray(MASK, mode="P")
    picture.putpalette(colours)
    picture.save(path)


def _soft(path: Path) -> None:
    soft = np.where(MASK, 200, 0).astype(np.uint8)
    soft[20:60, 29] = 100
    soft[20, 30:50] = 128
    cv2.imwrite(str(path), soft)


def _transparent(path: Path) -> None:
    rgba = np.zeros((*MASK.shape, 4), np.uint8)
    rgba[..., 3] = 255 * MASK
    cv2.imwrite(str(path), rgba)


def _colour(value: tuple[int, int, int], shown: int = 255) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        picture = MASK[..., np.newaxis] * np.array(value, np.uint8)
        rgba = np.dstack([picture, np.full(MASK.shape, shown, np.uint8)])
        cv2.imwrite(str(path), rgba if shown != 255 else picture)

    return write


def _gray(array: NDArray[Any]) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        cv2.imwrite(str(path), array)

    return write


STORED: dict[str, tuple[Callable[[Path], None], str]] = {
    "0 and 255": (_gray(255 * MASK), ""),
    "0 and 1": (_gray(MASK), "of 0 and 1"),
    "0 and 128": (_gray(128 * MASK), "of 0 and 128"),
    "16 bits": (_gray(MASK.astype(np.uint16) * 65535), "of 0 and 65535"),
    "16 bits of 0 and 1": (_gray(MASK.astype(np.uint16)), "of 0 and 1"),
    "palette, black and white": (lambda path: _palette(path, [0, 0, 0, 255, 255, 255]), ""),
    "palette of 0 and 1": (lambda path: _palette(path, [0, 0, 0, 1, 1, 1]), "of 0 and 1"),
    "palette, red": (lambda path: _palette(path, [0, 0, 0, 200, 0, 0]), "coloured"),
    "1 bit": (lambda path: Image.fromarray(MASK.astype(bool)).save(path), ""),
    "blue": (_colour((255, 0, 0)), "coloured"),
    "dark red": (_colour((0, 0, 90)), "coloured and of 0 and 90"),
    "alpha alone": (_transparent, ""),
    "soft": (_soft, "soft, cut above 127"),
}


@pytest.mark.parametrize("stored", STORED)
def test_a_mask_is_what_it_shows_however_it_is_stored(stored: str, tmp_path: Path) -> None:
    from infmap_train.data.masks import read_mask

    write, kind = STORED[stored]
    write(tmp_path / "mask.png")
    mask, said = read_mask(tmp_path / "mask.png", MASK.shape)
    np.testing.assert_array_equal(mask, 255 * MASK)
    assert kind in said
    assert bool(said) == bool(kind)


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (MASK + 2 * np.eye(96, 80, dtype=np.uint8), "labels up to 3"),
        (MASK * 60 + 20 * np.eye(96, 80, dtype=np.uint8), "faint gray values up to 80"),
        (np.where(MASK, 255, 20).astype(np.uint8), "holds 20 and 255: expected 0 outside"),
        (MASK[:50], "expected a mask of 80x96 as its radiograph, found 80x50"),
    ],
)
def test_a_mask_that_can_be_read_in_two_ways_is_refused(
    array: NDArray[np.uint8], reason: str, tmp_path: Path
) -> None:
    from infmap_train.data.masks import read_mask

    cv2.imwrite(str(tmp_path / "mask.png"), array)
    with pytest.raises(InputRejected, match=reason):
        read_mask(tmp_path / "mask.png", MASK.shape)


def test_training_data_are_the_same_whatever_their_masks_are_stored_as(
    made_data: Callable[..., Path],
) -> None:
    """So a network that is trained on them is the same; and what was decided is said."""
    folder = made_data(covid=3, normal=2)
    usual = data.load(data.read_index(folder))
    for number, path in enumerate(sorted((folder / "infection_masks").iterdir())):
        stored = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        assert stored is not None
        mask = (stored > 127).astype(np.uint8)
        if number == 0:
            cv2.imwrite(str(path), mask)
        elif number == 1:
            picture = Image.fromarray(mask, mode="P")
            picture.putpalette([0, 0, 0, 0, 0, 200])
            picture.save(path)
        else:
            cv2.imwrite(str(path), mask.astype(np.uint16) * 65535)
    other = data.load(data.read_index(folder))
    np.testing.assert_array_equal(other.masks, usual.masks)
    assert other.fingerprint() == usual.fingerprint()
    assert any("of 0 and 1" in note for note in other.notes)
    assert usual.notes == ()


def test_masks_that_are_empty_or_inside_out_are_named(
    made_data: Callable[..., Path],
) -> None:
    folder = made_data(covid=3, normal=2)
    path = folder / "infection_masks" / "made_covid_1.png"
    cv2.imwrite(str(path), np.zeros_like(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)))
    for number in (0, 2):
        path = folder / "infection_masks" / f"made_covid_{number}.png"
        stored = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        assert stored is not None
        cv2.imwrite(str(path), np.where(stored, 0, 255).astype(np.uint8))
    assert data.load(data.read_index(folder)).notes == (
        (
            "its mask of the infection covers all four corners: are inside and outside exchanged? (2): "
            "made_covid_0, made_covid_2"
        ),
        "made_covid_1: its mask of the infection is empty",
    )


def _rewritten(folder: Path, rename: Callable[[int, dict[str, str]], dict[str, str]]) -> Path:
    with (folder / "index.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    changed = [rename(number, dict(row)) for number, row in enumerate(rows)]
    for old, new in zip(rows, changed, strict=True):
        for part in ("infection_masks", "lung_masks"):
            mask = folder / part / f"{old['name']}.png"
            if mask.is_file():
                mask.rename(folder / part / f"{new['name']}.png")
    with (folder / "index.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(changed[0]))
        writer.writeheader()
        writer.writerows(changed)
    return folder


@pytest.mark.parametrize(
    "pattern", ["p{}", "synthetic-{:05}", "{:08}_000", "1.2.840.{}", "sub-{}_x"]
)
def test_names_decide_nothing(made_data: Callable[..., Path], pattern: str) -> None:
    """Folds come from classes, groups and sources: a name has no say."""
    folder = made_data(covid=12, normal=20)

    def with_source(_: int, row: dict[str, str]) -> dict[str, str]:
        return {**row, "source": row["name"].partition("_")[0]}

    usual = data.split_by_group(data.read_index(_rewritten(folder, with_source)), folds=4, seed=1)

    def renamed(number: int, row: dict[str, str]) -> dict[str, str]:
        return {**row, "name": pattern.format(number), "group": row["group"] or row["name"]}

    again = data.split_by_group(data.read_index(_rewritten(folder, renamed)), folds=4, seed=1)
    for one, other in zip(usual, again, strict=True):
        np.testing.assert_array_equal(one[1], other[1])


def test_a_source_with_fewer_groups_than_folds_is_still_split(
    made_data: Callable[..., Path],
) -> None:
    folder = made_data(covid=8, normal=8)

    def with_source(number: int, row: dict[str, str]) -> dict[str, str]:
        return {**row, "source": "rare" if number == 0 else "usual"}

    samples = data.read_index(_rewritten(folder, with_source))
    assert {sample.source for sample in samples} == {"rare", "usual"}
    folds = data.split_by_group(samples, folds=4, seed=0)
    assert sorted(row for _, test in folds for row in test) == list(range(16))


def test_too_few_of_a_kind_is_one_line(made_data: Callable[..., Path]) -> None:
    samples = data.read_index(made_data(covid=2, normal=9))
    with pytest.raises(TrainingError, match="expected at least 5 patient groups of COVID-19"):
        data.split_by_group(samples, folds=5, seed=0)


def test_a_run_that_is_taken_up_again_holds_back_what_it_held_back(
    pictures: Any, tmp_path: Path
) -> None:
    """Another version may draw other folds; a network must never be measured on what it learnt from."""
    from infmap_train import run_folder

    assert run_folder.split_rows(tmp_path, pictures) is None
    held = [3, 0, 25]
    others = [row for row in range(len(pictures.samples)) if row not in held]
    parts = {"train": others[2:], "validation": others[:2], "held_back": held}
    taken = {name: pictures.take(rows) for name, rows in parts.items()}
    run_folder.write_split(tmp_path, **taken)
    rows = run_folder.split_rows(tmp_path, pictures)
    assert rows is not None
    assert [list(part) for part in rows] == [others[2:], others[:2], held]
    # Earlier versions knew no validation part.
    record = json.loads((tmp_path / "split.json").read_text())
    del record["validation"]
    (tmp_path / "split.json").write_text(json.dumps(record))
    rows = run_folder.split_rows(tmp_path, pictures)
    assert rows is not None
    assert [list(part) for part in rows] == [others[2:], [], held]
