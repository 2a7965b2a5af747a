"""Polarity: told by likeness to a drawn chest, over drawn and over real radiographs."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from dicom_files import as_file, chest_dataset, drawn_chest
from infmap_kit.errors import InputRejected
from infmap_kit.imaging.looks.chest import DOUBTFUL_BELOW, NEGATIVE_BELOW, chest_likeness
from infmap_kit.imaging.looks.judging import judge_picture
from infmap_kit.imaging.readers import decode_radiograph
from infmap_kit.imaging.synthetic.drawing import synthetic_radiograph
from pictures import read_picture


@pytest.fixture(scope="module")
def drawn() -> list[NDArray[np.uint8]]:
    sizes = ((300, 300), (700, 500), (400, 640))
    return [
        synthetic_radiograph(seed, height=height, width=width).radiograph.pixels
        for seed in range(4)
        for height, width in sizes
    ]


def test_drawn_chests_are_right_and_their_negatives_refused(
    drawn: list[NDArray[np.uint8]],
) -> None:
    for pixels in drawn:
        likeness = chest_likeness(pixels)
        assert likeness > 0.3
        assert judge_picture(pixels) == ()
        assert chest_likeness(255 - pixels) == pytest.approx(-likeness, abs=0.02)
        with pytest.raises(InputRejected) as rejected:
            judge_picture(255 - pixels)
        assert rejected.value.code == "polarity"
        assert rejected.value.found["likeness"] < NEGATIVE_BELOW


def test_collimated_edges_change_nothing(drawn: list[NDArray[np.uint8]]) -> None:
    framed = cv2.copyMakeBorder(drawn[1], 20, 260, 130, 15, cv2.BORDER_CONSTANT, value=0)
    assert chest_likeness(np.asarray(framed, np.uint8)) > 0.5 * chest_likeness(drawn[1])


def test_a_false_tag_in_dicom_is_refused() -> None:
    false = chest_dataset(PhotometricInterpretation="MONOCHROME1")
    with pytest.raises(InputRejected) as rejected:
        decode_radiograph(as_file(false), "x")
    assert rejected.value.code == "polarity"


def test_a_negative_png_is_refused() -> None:
    negative = 255 - (drawn_chest() // 16).astype(np.uint8)
    with pytest.raises(InputRejected, match="looks like the negative"):
        decode_radiograph(cv2.imencode(".png", negative)[1].tobytes(), "x.png")


@pytest.mark.parametrize("level", [0, 3, 120, 250])
def test_nearly_blank(level: int) -> None:
    noise = np.random.default_rng(1).integers(level, level + 6, (200, 300)).astype(np.uint8)
    with pytest.raises(InputRejected, match="nearly one brightness") as rejected:
        judge_picture(noise)
    assert rejected.value.code == "blank"
    # A burnt-in letter is no picture either.
    noise[5:15, 5:30] = 255
    with pytest.raises(InputRejected):
        judge_picture(noise)


def test_something_else_is_warned_of() -> None:
    stripes = np.tile(np.repeat(np.array([40, 200], np.uint8), 20), (300, 8))
    (warning,) = judge_picture(stripes)
    assert NEGATIVE_BELOW < chest_likeness(stripes) < DOUBTFUL_BELOW
    assert warning.code == "unlike-a-chest"


@pytest.mark.parametrize(("height", "width"), [(300, 3000), (2000, 256), (1400, 500)])
def test_a_strip_is_no_whole_chest(height: int, width: int) -> None:
    """It was called a chest, over whose lungs something was drawn: whole ribs are as thin as lines there."""
    pixels = synthetic_radiograph(3, height=height, width=width).radiograph.pixels
    (warning,) = judge_picture(pixels)
    assert warning.code == "unlike-a-chest"
    assert "longer side" in warning.text
    # Bars beside a chest make it no longer.
    chest = synthetic_radiograph(3, height=400, width=400).radiograph.pixels
    assert judge_picture(np.pad(chest, ((0, 0), (400, 400)))) == ()


def test_over_real_radiographs(shared_data: Path) -> None:
    files = [
        *sorted((shared_data / "images").iterdir()),
        *sorted((shared_data / "control").iterdir()),
    ]
    likeness = np.array([chest_likeness(read_picture(file, gray=True)) for file in files[::3]])
    assert len(likeness) > 700
    assert (likeness > NEGATIVE_BELOW).all(), "none is refused"
    assert (likeness < DOUBTFUL_BELOW).mean() < 0.005, "few are warned of"
    assert (-likeness < NEGATIVE_BELOW).mean() > 0.99, "their negatives are"
