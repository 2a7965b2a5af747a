"""`--format view`: what a viewer needs, exact to the last pixel, and noted with the rest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dicom_files import as_file, chest_dataset, drawn_chest
from findings import lungs, probability, with_lungs
from infmap_kit.errors import InputRejected
from infmap_kit.imaging.readers import read_radiograph
from infmap_kit.results.folder import NamedFile, ResultOptions, ResultsFolder, SourceFile
from infmap_kit.results.outcome import Outcome
from pictures import read_picture

VIEW = ResultOptions(formats=("json", "view"))


def _named(results: ResultsFolder, path: Path) -> NamedFile:
    return results.named(SourceFile.of(path, path.read_bytes()))


def _written(folder: Path, **tags: Any) -> Outcome:
    path = folder / "chest.dcm"
    path.write_bytes(as_file(chest_dataset(**tags)))
    results, radiograph = ResultsFolder(folder / "out", VIEW), read_radiograph(path)
    return results.write_finding(_named(results, path), radiograph, with_lungs(radiograph))


def _deep(path: Path) -> NDArray[np.uint16]:
    picture = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    assert picture is not None
    assert picture.dtype == np.uint16
    return picture.astype(np.uint16)


def test_pictures_of_a_radiograph(tmp_path: Path) -> None:
    outcome = _written(tmp_path, PixelSpacing=[0.3, 0.2], PatientOrientation=["F", "R"])
    stated = json.loads((outcome.json_path or tmp_path).read_text())["view"]
    files = {
        kind: tmp_path / "out" / stated[kind] for kind in ("radiograph", "probability", "lungs")
    }
    assert set(files.values()) == set(outcome.view_paths)
    steps = _deep(files["probability"])
    assert np.array_equal(steps >= 32768, probability() >= 0.5)
    assert np.abs(steps / 65535 - probability()).max() < 1e-5
    assert np.array_equal(read_picture(files["lungs"], gray=True) > 0, lungs() > 0)
    assert len(np.unique(_deep(files["radiograph"]))) > 1000, "all the bits of the file"
    # It lay on its side: what ran down its rows runs across now.
    assert stated["spacing_mm"] == {"down": 0.2, "across": 0.3, "at": "patient"}
    assert all(path.stat().st_mode & 0o077 == 0 for path in files.values())


def test_spacing_at_the_detector_is_said_to_be_there(tmp_path: Path) -> None:
    assert _written(tmp_path).document["view"]["spacing_mm"]["at"] == "detector"


def test_without_a_spacing_there_is_none(tmp_path: Path) -> None:
    assert _written(tmp_path, ImagerPixelSpacing=None).document["view"]["spacing_mm"] is None


def test_a_file_that_is_replaced_meanwhile_does_not_lend_its_pixels(tmp_path: Path) -> None:
    path = tmp_path / "chest.dcm"
    path.write_bytes(as_file(chest_dataset()))
    results, radiograph = ResultsFolder(tmp_path / "out", VIEW), read_radiograph(path)
    named = _named(results, path)
    path.write_bytes(as_file(chest_dataset(drawn_chest(seed=8))))
    outcome = results.write_finding(named, radiograph, with_lungs(radiograph))
    shown = read_picture(tmp_path / "out" / outcome.document["view"]["radiograph"], gray=True)
    assert np.array_equal(shown, radiograph.pixels)
    assert outcome.document["view"]["tone"] is None


def test_what_was_rejected_is_kept_too_and_names_nobody(tmp_path: Path) -> None:
    path = tmp_path / "Meier^Anna.dcm"
    path.write_bytes(as_file(chest_dataset(ViewPosition="LL")))
    results = ResultsFolder(tmp_path / "out", VIEW)
    rejection = InputRejected("lateral-view", "expected a frontal view", file=str(path))
    outcome = results.write_rejection(_named(results, path), rejection)
    assert outcome.json_path
    document = json.loads(outcome.json_path.read_text())
    assert document["rejected"]["code"] == "lateral-view"
    assert "Meier" not in outcome.json_path.read_text() + outcome.json_path.name


def test_a_later_run_knows_them(tmp_path: Path) -> None:
    outcome = _written(tmp_path)
    entry = outcome.as_entry("chest", made_of="a", made_by="b")
    again = Outcome.of_entry(entry, tmp_path / "out", source=outcome.source, called=outcome.called)
    assert again.view_paths == outcome.view_paths
    assert set(entry.sha256) >= {path.name for path in outcome.view_paths}
