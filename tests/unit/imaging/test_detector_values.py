"""A radiograph in all its bits: the same picture at its own tone, and the values that the file speaks of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset

from dicom_files import as_file, chest_dataset, drawn_chest
from infmap_kit.imaging.dicom.detector_values import DetectorValues, detector_values
from infmap_kit.imaging.readers import decode_radiograph, read_radiograph


def _deep(dataset: Dataset) -> tuple[DetectorValues, NDArray[np.uint8]]:
    content = as_file(dataset)
    pixels = decode_radiograph(content, "x").pixels
    deep = detector_values(content, pixels)
    assert deep is not None
    return deep, pixels


def _shown(deep: DetectorValues) -> NDArray[np.intp]:
    """Levels by the tone, as a viewer works them out."""
    return np.searchsorted(deep.tone, deep.values, side="right")


WAYS: dict[str, dict[str, Any]] = {
    "a window": {"WindowCenter": 1800, "WindowWidth": 2600},
    "a sigmoid": {"WindowCenter": 1800, "WindowWidth": 2600, "VOILUTFunction": "SIGMOID"},
    "no window": {"WindowCenter": None, "WindowWidth": None},
    "rescaled": {
        "RescaleSlope": 2,
        "RescaleIntercept": -100,
        "WindowCenter": 3500,
        "WindowWidth": 5000,
    },
    "lying on its side": {"PatientOrientation": ["F", "R"]},
    "head down": {"PatientOrientation": ["L", "H"]},
}


@pytest.mark.parametrize("tags", WAYS.values(), ids=WAYS)
def test_at_its_own_tone_it_is_the_picture_that_the_model_was_given(tags: dict[str, Any]) -> None:
    deep, pixels = _deep(chest_dataset(**tags))
    assert np.array_equal(_shown(deep), pixels)
    assert len(np.unique(deep.values)) > 1000, "and all the bits are there"


def test_values_are_those_of_the_file() -> None:
    stored = drawn_chest()
    rescaled = chest_dataset(stored, RescaleSlope=2, RescaleIntercept=-100)
    deep, _ = _deep(rescaled)
    assert np.array_equal(deep.offset + deep.slope * deep.values, 2.0 * stored - 100)


def test_large_values_that_are_shown_dark_are_turned() -> None:
    stored = (4095 - drawn_chest()).astype(np.uint16)
    deep, pixels = _deep(chest_dataset(stored, PhotometricInterpretation="MONOCHROME1"))
    assert np.array_equal(_shown(deep), pixels)
    assert deep.slope < 0
    assert np.array_equal(deep.offset + deep.slope * deep.values, stored)


def test_signed_values() -> None:
    stored = (drawn_chest().astype(np.int16) - 2048).astype(np.int16)
    deep, pixels = _deep(chest_dataset(stored, WindowCenter=-248, WindowWidth=2600))
    assert np.array_equal(_shown(deep), pixels)
    assert np.array_equal(deep.offset + deep.slope * deep.values, stored)


def test_padding_is_black_although_its_value_is_the_largest() -> None:
    stored = drawn_chest().copy()
    stored[:, :20] = 4095
    dataset = chest_dataset(stored, WindowCenter=1800, WindowWidth=2600)
    dataset.PixelPaddingValue = 4095
    dataset["PixelPaddingValue"].VR = "US"
    deep, pixels = _deep(dataset)
    assert (pixels[:, :20] == 0).all()
    assert np.array_equal(_shown(deep), pixels)


def test_eight_bits_are_all_there_is() -> None:
    content = as_file(chest_dataset((drawn_chest() >> 4).astype(np.uint8)))
    assert detector_values(content, decode_radiograph(content, "x").pixels) is None


def test_a_file_that_changed_meanwhile_is_not_shown_for_the_other() -> None:
    pixels = decode_radiograph(as_file(chest_dataset()), "x").pixels
    other = as_file(chest_dataset(drawn_chest(seed=9)))
    assert detector_values(other, pixels) is None


def test_radiographs_of_real_devices(chest_dicoms: list[Path]) -> None:
    deep = 0
    for path in chest_dicoms:
        pixels = read_radiograph(path, secondary_capture=True).pixels
        values = detector_values(path.read_bytes(), pixels)
        if values is not None:
            deep += 1
            assert np.array_equal(_shown(values), pixels), path.name
    assert deep
