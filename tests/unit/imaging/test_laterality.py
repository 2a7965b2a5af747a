"""Mirrored chests: the score's sign, what is warned of, and how often, over drawn and real radiographs."""

from __future__ import annotations

import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from dicom_files import as_file, chest_dataset, drawn_chest
from infmap_kit.imaging.explain import explain_dicom
from infmap_kit.imaging.looks.laterality import WEIGHTS, Laterality, mirror_score
from infmap_kit.imaging.readers import decode_radiograph
from infmap_kit.imaging.synthetic.drawing import synthetic_radiograph
from pictures import read_picture

CODE = "possibly-mirrored"


@pytest.fixture(scope="module")
def drawn() -> list[NDArray[np.uint8]]:
    sizes = ((512, 448), (768, 640), (400, 560))
    return [
        synthetic_radiograph(seed, height=height, width=width).radiograph.pixels
        for seed in range(3)
        for height, width in sizes
    ]


def _codes(content: bytes) -> list[str]:
    return [warning.code for warning in decode_radiograph(content, "x").warnings]


def _png(pixels: NDArray[np.uint8]) -> bytes:
    return cv2.imencode(".png", pixels)[1].tobytes()


def test_mirroring_changes_the_sign_of_the_score(drawn: list[NDArray[np.uint8]]) -> None:
    for pixels in drawn:
        score = mirror_score(pixels)
        assert score > 0
        assert mirror_score(np.ascontiguousarray(pixels[:, ::-1])) == pytest.approx(-score, abs=0.3)


def test_the_score_of_one_drawing_is_this() -> None:
    """Whatever changes weights, shrinking or arithmetic moves every figure in docs/looks.md."""
    pixels = synthetic_radiograph(0, height=512, width=448).radiograph.pixels
    assert mirror_score(pixels) == pytest.approx(4.70, abs=0.05)


def test_a_symmetric_picture_has_no_side(drawn: list[NDArray[np.uint8]]) -> None:
    half = drawn[0][:, :224]
    assert mirror_score(np.hstack([half, half[:, ::-1]])) == pytest.approx(0, abs=0.01)


def test_drawn_chests_are_warned_of_when_they_are_mirrored_alone(
    drawn: list[NDArray[np.uint8]],
) -> None:
    for pixels in drawn:
        assert CODE not in _codes(_png(pixels))
        assert CODE in _codes(_png(np.ascontiguousarray(pixels[:, ::-1])))


def test_a_false_patient_orientation_is_found_and_named(tmp_path: Path) -> None:
    """Turned over by a tag that is false; and a tag that is right turns a mirrored file the right way round."""
    upright = drawn_chest(512, 448)
    mirrored = np.ascontiguousarray(upright[:, ::-1])
    path = tmp_path / "x.dcm"
    for values, along, expected in (
        (upright, "L", False), (upright, "R", True), (mirrored, "L", True), (mirrored, "R", False),
    ):  # fmt: skip
        content = as_file(chest_dataset(values, PatientOrientation=[along, "F"]))
        warned = [w for w in decode_radiograph(content, "x").warnings if w.code == CODE]
        assert bool(warned) is expected
        if warned:
            assert ("orientation" in warned[0].text) is (along == "R")
        path.write_bytes(content)
        assert (CODE in {w["code"] for w in explain_dicom(path)["warnings"]}) is expected


def test_weights_are_plain_numbers() -> None:
    """What is unpickled could execute; nothing here needs to be."""
    with np.load(WEIGHTS, allow_pickle=False) as stored:
        assert all(stored[name].dtype.kind in "fiU" for name in stored.files)
    model = Laterality.read(WEIGHTS)
    assert model.mirrored_below < 0
    assert WEIGHTS.stat().st_size < 400_000


def test_over_real_radiographs(shared_data: Path) -> None:
    """Some of these it was fitted on: docs/looks.md has the figures of patients who were held back."""
    files = [
        *sorted((shared_data / "images").glob("qata_*"))[::4],
        *sorted((shared_data / "control").iterdir())[::4],
    ]
    below = Laterality.read(WEIGHTS).mirrored_below
    scores = np.array([mirror_score(read_picture(file, gray=True)) for file in files])
    assert len(scores) > 500
    assert np.mean(scores < below) <= 0.015
    assert np.mean(-scores < below) >= 0.92


@pytest.mark.alone
def test_it_costs_little(drawn: list[NDArray[np.uint8]]) -> None:
    pixels = cv2.resize(drawn[0], (3000, 3000)).astype(np.uint8)
    times_ms = []
    for _ in range(20):
        started = time.perf_counter()
        mirror_score(pixels)
        times_ms.append(1e3 * (time.perf_counter() - started))
    assert min(times_ms) < 5
