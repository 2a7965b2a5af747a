"""One set of data, stored or named in two ways, is one."""

from __future__ import annotations

import csv
import shutil
from collections import Counter
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

pytest.importorskip("sklearn", reason="the training extra is not installed")

from infmap_train.data import dataset as data
from infmap_train.data.layouts import open_dataset
from train.conftest import NETWORK, OPTIONS, write_data


def _stored_otherwise(folder: Path) -> None:
    """Widen pictures to 16 bits; store masks as 0 and 1, as a palette, or as black and white of 1 bit."""
    for path in (folder / "images").iterdir():
        cv2.imwrite(str(path), _gray(path).astype(np.uint16) * 257)
    for number, path in enumerate(sorted((folder / "infection_masks").iterdir())):
        mask = (_gray(path) > 127).astype(np.uint8)
        if number % 3 == 0:
            cv2.imwrite(str(path), mask)
        elif number % 3 == 1:
            picture = Image.fromarray(mask, mode="P")
            picture.putpalette([0, 0, 0, 200, 30, 0])
            picture.save(path)
        else:
            Image.fromarray(mask.astype(bool)).save(path)


def _gray(path: Path) -> NDArray[np.uint8]:
    picture = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    assert picture is not None
    return np.asarray(picture, np.uint8)


def test_what_is_learnt_from_is_the_same_however_it_is_stored(tmp_path: Path) -> None:
    usual = write_data(tmp_path / "usual", covid=6, normal=6)
    shutil.copytree(usual, tmp_path / "other")
    _stored_otherwise(tmp_path / "other")
    first, second = (open_dataset(tmp_path / name, folds=2) for name in ("usual", "other"))
    np.testing.assert_array_equal(first.images, second.images)
    np.testing.assert_array_equal(first.masks, second.masks)
    assert first.masks[first.covid].any(axis=(1, 2)).all()
    assert first.fingerprint() == second.fingerprint()


@pytest.mark.slow
@pytest.mark.train
def test_the_network_is_the_same_however_it_is_stored(
    pictures: data.Pictures, finished_run: Path, tmp_path: Path
) -> None:
    """Bit for bit, on CPUs with one seed."""
    from infmap_train import run_folder
    from infmap_train.training.fit import fit

    shutil.copytree(pictures.samples[0].image.parent.parent, tmp_path / "other")
    _stored_otherwise(tmp_path / "other")
    fit(NETWORK, open_dataset(tmp_path / "other", folds=2), tmp_path / "run", OPTIONS)
    first, second = map(_weights, (finished_run, tmp_path / "run"))
    assert len(first) > 300
    assert first == second
    specs = [run_folder.read(run) for run in (finished_run, tmp_path / "run")]
    assert specs[0].metrics == specs[1].metrics


def _weights(run: Path) -> dict[str, bytes]:
    """Every tensor of a run's weights by its name in the file."""
    from infmap_train import run_folder

    found: dict[str, bytes] = {}

    def take(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset):
            found[name] = item[()].tobytes()

    with h5py.File(run / run_folder.WEIGHTS) as file:
        file.visititems(take)
    return found


def test_names_decide_nothing_of_the_real_data(shared_data: Path, tmp_path: Path) -> None:
    """With plain numbers for names the folds have as even a share of every class and source."""
    with (shared_data / "index.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for part in ("infection_masks", "lung_masks"):
        (tmp_path / part).mkdir()
    for number, row in enumerate(rows):
        for part in ("infection_masks", "lung_masks"):
            if row[part.removesuffix("s")] == "1":
                mask = shared_data / part / f"{row['name']}.png"
                (tmp_path / part / f"{number}.png").symlink_to(mask)
        row |= {"name": str(number), "file": str(shared_data / row["file"])}
    with (tmp_path / "index.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    shares = [_shares(data.read_index(folder)) for folder in (shared_data, tmp_path)]
    assert shares[0].keys() == shares[1].keys()
    for stratum, (fewest, most) in shares[1].items():
        # A group stays whole; of the small stratum with 36 radiographs a fifth is 7 or 8.
        assert most - fewest <= max(2, shares[0][stratum][1] - shares[0][stratum][0]), stratum


def _shares(samples: list[data.Sample]) -> dict[tuple[str, bool], tuple[int, int]]:
    """By source and class, how many radiographs the folds hold back, the fewest and the most."""
    strata = [(sample.source, sample.covid) for sample in samples]
    folds = data.split_by_group(samples, folds=5, seed=0)
    counts = [Counter(strata[row] for row in test) for _, test in folds]
    return {
        stratum: (min(c[stratum] for c in counts), max(c[stratum] for c in counts))
        for stratum in set(strata)
    }
