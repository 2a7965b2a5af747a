"""A growing infection through a real server: infer, noise, progression, as a user calls them."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dicom_files import as_file, chest_dataset
from infmap_kit.imaging.synthetic.drawing import synthetic_radiograph
from infmap_kit.triton.server.process import TritonServer
from pictures import read_picture

# By file name, which is not the order of time.
COURSE = {"a": ("20260109", 1.0), "b": ("20260101", 0.6), "c": ("20260104", 0.8)}


def _run(*arguments: object, key: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "infmap_kit", *map(str, arguments)],
        capture_output=True, text=True, check=False, timeout=300,
        env={**os.environ, "INFMAP_UID_KEY": key, "COLUMNS": "120"},
    )  # fmt: skip


@pytest.fixture(scope="module")
def radiographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One chest as DICOM, three times, its infection growing."""
    folder = tmp_path_factory.mktemp("course") / "in"
    folder.mkdir()
    for name, (date, extent) in COURSE.items():
        drawn = synthetic_radiograph(5, height=400, width=400, extent=extent)
        dataset = chest_dataset(
            drawn.radiograph.pixels, StudyDate=date, SOPInstanceUID=f"1.2.{ord(name)}"
        )
        (folder / f"{name}.dcm").write_bytes(as_file(dataset))
    return folder


@pytest.fixture(scope="module")
def maps(server: TritonServer, radiographs: Path) -> Path:
    """What `infer` wrote of it, with the hospital's key."""
    folder = radiographs.parent / "maps"
    done = _run("infer", radiographs, "-o", folder, "--url", server.grpc_url, key="ours")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def noise(server: TritonServer, radiographs: Path) -> Path:
    path = radiographs.parent / "noise.json"
    done = _run(
        "progression", "noise", *radiographs.glob("*.dcm"), "-o", path, "--variants", 20,
        "--url", server.grpc_url, key="ours",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "20 variants of each radiograph" in done.stdout
    return path


def test_a_growing_infection_is_a_rise(maps: Path, noise: Path, tmp_path: Path) -> None:
    done = _run("progression", maps, "--noise", noise, "-o", tmp_path, "--json")
    assert done.returncode == 0, done.stderr
    course = json.loads(done.stdout)
    actual = [result["severity_percent"] for result in course["results"]]
    assert actual == sorted(actual), "in the order of time the infection grows"
    assert [result["day"] for result in course["results"]] == [0, 3, 8]
    assert course["since_first"]["total"]["verdict"] == "rise"
    for result in course["results"]:
        low, high = result["noise_percent"]
        assert low <= result["severity_percent"] <= high
    assert json.loads((tmp_path / "progression.json").read_text()) == course
    with (tmp_path / "progression.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 3
    assert (tmp_path / "progression.html").read_text().count("<image") == 3
    # The maps are in the picture, in colour.
    picture = read_picture(tmp_path / "progression.png").astype(int)
    assert (picture.max(axis=2) - picture.min(axis=2))[128:400].max() > 120


def test_neither_name_nor_date_is_written(maps: Path, tmp_path: Path) -> None:
    done = _run("progression", maps, "-o", tmp_path)
    assert done.returncode == 0, done.stderr
    written = [path.read_text() for path in (*maps.glob("*.json"), *tmp_path.glob("*.*ml"))]
    for text in (done.stdout, *written):
        assert not [word for word in ("SECRET", "2026-01", "202601") if word in text]
    assert "shifted by up to 2 %" in done.stdout, "the demo model states the noise of its severity"
    assert "nothing is called a change" not in done.stdout


def test_variants_of_one_radiograph_are_no_change(
    server: TritonServer, radiographs: Path, noise: Path, tmp_path: Path
) -> None:
    """The same chest, moved by 1 %: another picture, the same patient, the same day but two."""
    import cv2
    import numpy as np
    from pydicom import dcmread

    dataset = dcmread(radiographs / "c.dcm")
    moved = cv2.warpAffine(
        dataset.pixel_array, np.array([[1, 0, 4], [0, 1, 4.0]]), (400, 400),
        borderMode=cv2.BORDER_REPLICATE,
    )  # fmt: skip
    for number, (pixels, date) in enumerate(
        ((dataset.pixel_array, "20260104"), (moved, "20260106"))
    ):
        twin = chest_dataset(pixels, StudyDate=date, SOPInstanceUID=f"1.3.{number}")
        (tmp_path / f"{number}.dcm").write_bytes(as_file(twin))
    done = _run(
        "infer", *tmp_path.glob("*.dcm"), "-o", tmp_path / "r", "--url", server.grpc_url, "--identify",
        key="ours",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    done = _run("progression", tmp_path / "r", "--noise", noise)
    assert done.returncode == 0, done.stderr
    assert "2026-01-06 10:15" in done.stdout
    assert "within noise" in done.stdout
    assert "rise" not in done.stdout


def test_times_from_a_table(server: TritonServer, radiographs: Path, tmp_path: Path) -> None:
    """Without a key, DICOM tells no time; a table does. What is doubled is said once."""
    done = _run("infer", radiographs, "-o", tmp_path / "r", "--url", server.grpc_url)
    assert done.returncode == 0, done.stderr
    refused = _run("progression", tmp_path / "r")
    assert refused.returncode == 1
    assert "give --times FILE" in refused.stderr
    names = sorted(path.name for path in (tmp_path / "r").glob("*.json"))
    lines = [f"{name},2026-02-0{day}" for day, name in enumerate(names, 1)]
    (tmp_path / "times.csv").write_text("\n".join(["file,time", *lines]))
    shutil.copy(tmp_path / "r" / names[0], tmp_path / "r" / "twin.json")
    done = _run("progression", tmp_path / "r", "--times", tmp_path / "times.csv")
    assert done.returncode == 0, done.stderr
    assert "is there 2 times, and counts once" in " ".join(done.stdout.split())


def test_two_models_are_refused_unless_told(maps: Path, tmp_path: Path) -> None:
    shutil.copytree(maps, tmp_path / "r")
    path = sorted((tmp_path / "r").glob("*.json"))[0]
    document = json.loads(path.read_text())
    document["model"]["precision"] = "int8"
    path.write_text(json.dumps(document))
    refused = _run("progression", tmp_path / "r")
    assert refused.returncode == 1
    assert "found 2 (precision" in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1
    done = _run("progression", tmp_path / "r", "--mix-models")
    assert done.returncode == 0, done.stderr
    assert "another model" in " ".join(done.stdout.split())
