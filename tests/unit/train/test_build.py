from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("sklearn", reason="the training extra is not installed")

from infmap_kit.errors import TrainingError
from infmap_train.data import quality
from infmap_train.data.build import BuildOptions, build_dataset
from infmap_train.data.dataset import load, read_index
from infmap_train.data.layouts import read_dataset
from infmap_train.options import ReadOptions
from odd_names import ODD_NAMES, small_disk

_ALL = BuildOptions(keep_all=True)


def _picture(seed: int, size: int = 300) -> np.ndarray:
    """Draw something with structure at all scales, bright in the middle and below, as a radiograph is."""
    rng = np.random.default_rng(seed)
    picture: Any = np.zeros((size, size))
    for side in (4, 8, 16, 64):
        grain = rng.normal(size=(side, side))
        picture += cv2.resize(grain, (size, size), interpolation=cv2.INTER_CUBIC) * 30 / side**0.3
    across = np.linspace(-1, 1, size)
    picture += 50 * np.exp(-((across / 0.25) ** 2)) + 40 * (across[:, np.newaxis] > 0.5) - 25
    return np.asarray(np.clip(picture + 120, 0, 255).astype(np.uint8))


@pytest.fixture
def qata(tmp_path: Path) -> Path:
    """Make three COVID-19 radiographs with masks of 0 and 1."""
    for number in range(3):
        images, masks = tmp_path / "qata" / "Images", tmp_path / "qata" / "Ground-truths"
        images.mkdir(parents=True, exist_ok=True)
        masks.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(images / f"covid_{number}.png"), _picture(number))
        mask = np.zeros((300, 300), np.uint8)
        mask[100:200, 100:200] = 1
        cv2.imwrite(str(masks / f"mask_covid_{number}.png"), mask)
    return tmp_path / "qata"


@pytest.fixture
def normals(tmp_path: Path) -> Path:
    """Make radiographs of which some are no good, each for a reason of its own."""
    folder = tmp_path / "normals"
    folder.mkdir()
    for number in (10, 11, 12):
        cv2.imwrite(str(folder / f"good_{number}.png"), _picture(number))
    # The first COVID-19 radiograph again: smaller, brighter, and compressed.
    again = cv2.resize(_picture(0), (256, 256), interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(folder / "again.jpg"), cv2.convertScaleAbs(again, alpha=0.9, beta=20))
    white = _picture(13)
    white[:150] = 255
    cv2.imwrite(str(folder / "white.png"), white)
    dim = (_picture(14) / 8 + 100).astype(np.uint8)
    cv2.imwrite(str(folder / "dim.png"), dim)
    cv2.imwrite(str(folder / "small.png"), cv2.resize(_picture(15), (100, 100)))
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno more")
    return folder


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_repeated_and_poor_radiographs_are_named_with_reasons(
    qata: Path, normals: Path, tmp_path: Path
) -> None:
    before = {path: path.read_bytes() for path in normals.iterdir()}
    report = build_dataset([qata], [normals], tmp_path / "set")
    reasons = {
        Path(r["original_file"]).stem: r["reason"] for r in _rows(tmp_path / "set/left_out.csv")
    }
    assert set(reasons) == {"again", "white", "dim", "small", "broken"}
    assert "same picture as qata_covid-0" in reasons["again"]
    assert "over-exposed" in reasons["white"]
    assert "low contrast" in reasons["dim"]
    assert "low resolution" in reasons["small"]
    assert reasons["broken"]
    assert (report["covid"], report["normal"]) == (3, 3)
    assert {path: path.read_bytes() for path in normals.iterdir()} == before


def test_the_set_can_be_trained_on_as_it_is(qata: Path, normals: Path, tmp_path: Path) -> None:
    report = build_dataset([qata], [normals], tmp_path / "set")
    pictures = load(read_index(tmp_path / "set"))
    assert pictures.fingerprint() == report["fingerprint"]
    assert json.loads((tmp_path / "set" / "dataset.json").read_text()) == report
    # Masks of 0 and 1 became masks that are read as masks.
    share = pictures.masks[pictures.covid].mean()
    assert share == pytest.approx((100 / 300) ** 2, abs=0.01)
    written = {path.name for path in (tmp_path / "set" / "images").iterdir()}
    assert written == {f"{sample.name}.png" for sample in pictures.samples}


def test_lung_masks_go_along(made_data: Callable[..., Path], tmp_path: Path) -> None:
    folder = made_data(covid=3, normal=3, size=240)
    build_dataset([folder], [], tmp_path / "set", options=BuildOptions(keep_all=True))
    before, after = (
        {s.name: s.lung_mask for s in read_index(place)} for place in (folder, tmp_path / "set")
    )
    assert {n for n, mask in after.items() if mask} == {n for n, mask in before.items() if mask}
    assert sum(mask is not None for mask in after.values()) == 4
    for name, mask in before.items():
        if mask:
            copied = after[name]
            assert copied is not None
            drawn, kept = (np.asarray(cv2.imread(str(path), 0)) for path in (mask, copied))
            assert np.array_equal(drawn, kept)


def test_one_set_has_one_fingerprint(qata: Path, normals: Path, tmp_path: Path) -> None:
    first, second = (build_dataset([qata], [normals], tmp_path / name) for name in ("a", "b"))
    assert first == second


def test_keep_all_lists_and_keeps(qata: Path, normals: Path, tmp_path: Path) -> None:
    report = build_dataset([qata], [normals], tmp_path / "set", options=BuildOptions(keep_all=True))
    assert report["listed"] == 5
    # Only what cannot be read is not there, and one picture is one patient.
    rows = {row["name"]: row for row in _rows(tmp_path / "set" / "index.csv")}
    assert rows["normals_again"]["group"] == rows["qata_covid-0"]["group"]
    assert report["covid"] + report["normal"] == 3 + 3 + 4


def test_a_folder_with_something_in_it_is_not_touched(
    qata: Path, normals: Path, tmp_path: Path
) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "mine.txt").write_text("mine")
    with pytest.raises(TrainingError, match="is not empty"):
        build_dataset([qata], [normals], tmp_path / "set")
    with pytest.raises(TrainingError, match="pass --normal"):
        build_dataset([qata], [], tmp_path / "other")
    assert not (tmp_path / "other").exists()
    assert not list(tmp_path.glob(".*.part"))


@pytest.mark.parametrize("seed", range(5))
def test_hashes_know_a_picture_again_and_no_other(seed: int) -> None:
    picture = _picture(seed)
    changed: list[Any] = [
        cv2.resize(picture, (512, 400)),
        cv2.convertScaleAbs(picture, alpha=0.8, beta=30),
        cv2.imdecode(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 40])[1], 0),
        _picture(seed + 100),
    ]
    hashes = np.stack([quality.perceptual_hash(p.astype(np.uint8)) for p in [picture, *changed]])
    pairs = quality.repeated_pictures(hashes)
    assert {(0, 1), (0, 2), (0, 3)} <= set(pairs)
    assert not any(4 in pair for pair in pairs)


def test_real_radiographs_are_told_apart(shared_data: Path) -> None:
    files = sorted((shared_data / "control").iterdir())[:150]
    pictures = [cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) for path in files]
    hashes = np.stack(
        [quality.perceptual_hash(p.astype(np.uint8)) for p in pictures if p is not None]
    )
    assert quality.repeated_pictures(hashes) == []


def test_files_of_any_name_are_taken_and_named(qata: Path, tmp_path: Path) -> None:
    folder = tmp_path / "normals"
    folder.mkdir()
    for number, name in enumerate(ODD_NAMES):
        png = cv2.imencode(".png", _picture(100 + number))[1].tobytes()
        (folder / name).write_bytes(png)
    (folder / "broken\n\udcfc.png").write_bytes(b"\x89PNG\r\n\x1a\nno more")
    report = build_dataset([qata], [folder], tmp_path / "set")
    assert report["normal"] == len(ODD_NAMES)
    assert len(read_index(tmp_path / "set")) == 3 + len(ODD_NAMES), "it reads what it wrote"
    (left_out,) = _rows(tmp_path / "set" / "left_out.csv")
    assert left_out["original_file"] == "normals/broken\n\\udcfc.png"
    assert r"broken\n\xfc.png" in left_out["reason"]


def test_masks_of_any_name_are_read(tmp_path: Path) -> None:
    """Of COVID-QU-Ex, whose masks are called as their radiographs are."""
    kind = tmp_path / "COVID-19"
    normal = tmp_path / "Normal"
    for number, name in enumerate(ODD_NAMES):
        for file, pixels in (
            (kind / "images" / name, _picture(number)),
            (kind / "infection masks" / name, np.full((300, 300), 255, np.uint8)),
            (normal / "images" / f"{number}.png", _picture(50 + number)),
            (normal / "infection masks" / f"{number}.png", np.zeros((300, 300), np.uint8)),
        ):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
    pictures = load(read_dataset(tmp_path))
    assert pictures.counts() == {"covid": len(ODD_NAMES), "normal": len(ODD_NAMES)}
    assert pictures.masks[pictures.covid].all()


@pytest.mark.parametrize("name", ["../outside", "/tmp/outside", "n" * 300, "two\nlines", ""])
def test_a_name_that_no_file_can_have_is_named_by_its_row(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "plain"
    folder.mkdir()
    cv2.imwrite(str(folder / "a.png"), _picture(1))
    with (folder / "index.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("name", "file", "class"), (name, "a.png", "normal")])
    with pytest.raises(TrainingError, match="row 1: expected a name that a file can have"):
        read_index(folder)


def test_an_index_that_is_no_utf_8_is_said(tmp_path: Path) -> None:
    (tmp_path / "index.csv").write_bytes(b"name,file,class\nM\xfcller,a.png,normal\n")
    with pytest.raises(TrainingError, match="expected CSV in UTF-8 in"):
        read_index(tmp_path)


def test_a_full_disk_is_said_and_leaves_nothing(qata: Path, normals: Path) -> None:
    with small_disk(200) as disk:
        with pytest.raises(TrainingError, match="cannot write to .*: No space left on device"):
            build_dataset([qata], [normals], disk / "set")
        assert list(disk.iterdir()) == []


COLUMNS = ("name", "file", "class", "group", "source", "licence", "patient_id", "view", "age")


def _plain(folder: Path, rows: dict[str, tuple[np.ndarray, str, str]], **columns: str) -> Path:
    """Write a plain folder: by name a picture, its class and its group."""
    for part in ("images", "infection_masks"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    with (folder / "index.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*COLUMNS, *columns])
        for name, (picture, kind, group) in rows.items():
            cv2.imwrite(str(folder / "images" / f"{name}.png"), picture)
            if kind == "covid":
                mask = np.full(picture.shape, 255, np.uint8)
                cv2.imwrite(str(folder / "infection_masks" / f"{name}.png"), mask)
            told = (folder.name, f"licence of {name}", f"id-{group}", "PA", "61")
            writer.writerow([name, f"images/{name}.png", kind, group, *told, *columns.values()])
    return folder


def test_folders_with_a_class_each_and_a_third_are_composed(tmp_path: Path) -> None:
    first = _plain(
        tmp_path / "first",
        {"c1": (_picture(1), "covid", "g1"), "n1": (_picture(2), "normal", "g2")},
    )
    second = _plain(
        tmp_path / "second",
        {"c2": (_picture(3), "covid", "g1"), "o1": (_picture(4), "other", "g4")},
        original_file="archive/17.png",
    )
    report = build_dataset([first, second], [], tmp_path / "set")
    assert (report["covid"], report["normal"], report["other"]) == (2, 1, 1)
    assert report["patient_groups"] == 2, "of those that are learnt from; g1 is in both folders"
    assert [(f["folder"], f["reader"]) for f in report["folders"]] == [
        ("first", "plain"),
        ("second", "plain"),
    ]
    assert report["folders"][1]["read"] == {"covid": 1, "other": 1}
    rows = {row["name"]: row for row in _rows(tmp_path / "set" / "index.csv")}
    assert {name: row["class"] for name, row in rows.items()} == {
        "c1": "covid",
        "c2": "covid",
        "n1": "normal",
        "o1": "other",
    }
    for name, row in rows.items():
        assert row["licence"] == f"licence of {name}"
        assert row["patient_id"] == f"id-{row['group']}"
        assert (row["view"], row["age"]) == ("PA", "61")
        assert row["read_from"] == f"{row['source']}/images/{name}.png"
    assert rows["n1"]["original_file"] == "first/images/n1.png"
    assert rows["o1"]["original_file"] == "archive/17.png"
    # A third class is learnt only by who asks for it, and then as not COVID-19.
    assert {s.name for s in read_dataset(tmp_path / "set")} == {"c1", "c2", "n1"}
    asked = read_dataset(tmp_path / "set", ReadOptions(negatives="other"))
    assert {s.name for s in asked} == {"c1", "c2", "n1", "o1"}
    pictures = load(asked)
    assert pictures.counts() == {"covid": 2, "normal": 2}
    assert pictures.fingerprint() != report["fingerprint"]
    assert load(read_dataset(tmp_path / "set")).fingerprint() == report["fingerprint"]


def test_of_two_copies_the_first_that_is_good_enough_is_kept(tmp_path: Path) -> None:
    small = cv2.resize(_picture(1), (150, 150), interpolation=cv2.INTER_AREA)
    again = cv2.convertScaleAbs(_picture(1), alpha=0.95, beta=5).astype(np.uint8)
    rows = {
        "small": (small, "covid", "g1"),
        "good": (_picture(1), "covid", "g2"),
        "again": (again, "covid", "g3"),
        "n1": (_picture(2), "normal", "g9"),
    }
    build_dataset([_plain(tmp_path / "data", rows)], [], tmp_path / "set")
    kept = {row["name"]: row["group"] for row in _rows(tmp_path / "set" / "index.csv")}
    assert set(kept) == {"good", "n1"}
    reasons = {row["name"]: row["reason"] for row in _rows(tmp_path / "set" / "left_out.csv")}
    assert "low resolution: 150 pixels" in reasons["small"]
    assert reasons["again"] == "the same picture as good"


def test_a_picture_that_is_said_to_be_of_two_classes_is_of_one(tmp_path: Path) -> None:
    small = cv2.resize(_picture(1), (150, 150), interpolation=cv2.INTER_AREA)
    rows = {
        "poor": (small, "covid", "g1"),
        "c1": (_picture(5), "covid", "g2"),
        "said": (_picture(1), "normal", "g3"),
        "n1": (_picture(2), "normal", "g4"),
    }
    build_dataset([_plain(tmp_path / "data", rows)], [], tmp_path / "set")
    reasons = {row["name"]: row["reason"] for row in _rows(tmp_path / "set" / "left_out.csv")}
    assert reasons["said"] == "the same picture as poor, of class covid"


def test_controls_are_drawn_by_seed_of_those_that_pass(
    qata: Path, normals: Path, tmp_path: Path
) -> None:
    def drawn(name: str, *, seed: int) -> set[str]:
        options = BuildOptions(control_count=2, seed=seed)
        report = build_dataset([qata], [normals], tmp_path / name, options=options)
        assert report["normal"] == 2
        assert (report["controls_drawn"], report["seed"]) == (2, seed)
        rows = _rows(tmp_path / name / "index.csv")
        return {row["name"] for row in rows if row["class"] == "normal"}

    first = drawn("a", seed=1)
    assert first == drawn("b", seed=1)
    assert any(drawn(f"s{seed}", seed=seed) != first for seed in range(2, 6))
    assert all("good" in name for name in first)
    for count, found in ((4, "found 3"), (9, "found 8")):
        with pytest.raises(TrainingError, match=f"expected {count} normal .*{found}: pass more"):
            options = BuildOptions(control_count=count)
            build_dataset([qata], [normals], tmp_path / "few", options=options)
        assert not (tmp_path / "few").exists()


def test_problems_of_several_folders_are_one_line_a_reason_and_name_their_folder(
    tmp_path: Path,
) -> None:
    rows = {f"r{n:04}": (_picture(0), "covid", "g") for n in range(60)}
    folders = [_plain(tmp_path / name, rows) for name in ("first", "second")]
    for path in (folders[0] / "infection_masks").iterdir():
        path.unlink()
    index = folders[1] / "index.csv"
    index.write_text(index.read_text().replace(",covid,", ",pneumonia,"))
    with pytest.raises(TrainingError) as caught:
        build_dataset(folders, [], tmp_path / "set")
    heading, *lines = str(caught.value).splitlines()
    assert heading == "120 problem(s) in the data:"
    assert len(lines) == 2
    masks = folders[0] / "infection_masks"
    assert lines[0].startswith(f"  {folders[0]}: {masks}/NAME.png is missing (60): r0000, r0001")
    assert lines[0].endswith("and 50 more")
    assert f"{folders[1]}: class is 'pneumonia', expected covid, normal or other (60)" in lines[1]


def test_covid_19_without_a_mask_is_listed_and_not_learnt(qata: Path, tmp_path: Path) -> None:
    from public_sets import SETS

    SETS["ieee8023"][0](tmp_path / "cohen")
    cv2.imwrite(str(tmp_path / "cohen" / "images" / "c.png"), _picture(9))
    report = build_dataset([qata, tmp_path / "cohen"], [], tmp_path / "set", options=_ALL)
    assert report["covid"] == 3
    reasons = {row["original_file"]: row["reason"] for row in _rows(tmp_path / "set/left_out.csv")}
    assert reasons["cohen/images/a.jpg"] == "it has no infection mask"
    rows = {row["read_from"]: row for row in _rows(tmp_path / "set" / "index.csv")}
    assert rows["cohen/images/c.png"]["licence"] == "CC BY-NC-SA"


@pytest.mark.parametrize("missing", ["data", "normal"])
def test_a_folder_that_is_not_there_is_said_to_be_missing(
    missing: str, qata: Path, normals: Path, tmp_path: Path
) -> None:
    nowhere = tmp_path / "nowhere"
    datasets, others = ([nowhere], [normals]) if missing == "data" else ([qata], [nowhere])
    with pytest.raises(TrainingError, match=rf"expected a folder of radiographs at {nowhere}"):
        build_dataset(datasets, others, tmp_path / "set")
