"""Attributes that are missing or badly written: a safe value with a word, or a refusal that names the tag."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.encaps import encapsulate

from dicom_files import as_file, chest_dataset
from infmap_kit.errors import InputRejected
from infmap_kit.imaging.dicom.reader import decode_dicom
from infmap_kit.imaging.radiograph import Radiograph


def _with_bytes(keyword: str, raw: bytes, **tags: Any) -> bytes:
    """A chest whose decimal string is just these bytes."""
    mark = b"1" * (len(raw) + len(raw) % 2)
    content = as_file(chest_dataset(**{**tags, keyword: mark.decode()}))
    assert content.count(mark) == 1
    return content.replace(mark, raw + b" " * (len(raw) % 2))


def _mended(content: bytes) -> tuple[Radiograph, str]:
    radiograph = decode_dicom(content, "x")
    texts = [w.text for w in radiograph.warnings if w.code == "mended-tags"]
    return radiograph, texts[0] if texts else ""


def _without(keyword: str) -> bytes:
    dataset: Dataset = chest_dataset()
    delattr(dataset, keyword)
    return as_file(dataset)


def test_a_decimal_comma_is_a_point() -> None:
    right = decode_dicom(as_file(chest_dataset(WindowCenter="2048.5", WindowWidth="4000")), "x")
    read, said = _mended(_with_bytes("WindowCenter", b"2048,5", WindowWidth="4000"))
    np.testing.assert_array_equal(read.pixels, right.pixels)
    assert said == "Window Center has a decimal comma: it is read as a point"


def test_an_empty_first_window_is_left_out() -> None:
    right = decode_dicom(as_file(chest_dataset(WindowCenter="2048", WindowWidth="4000")), "x")
    read, said = _mended(_with_bytes("WindowCenter", b"\\2048", WindowWidth=["100", "4000"]))
    np.testing.assert_array_equal(read.pixels, right.pixels)
    assert "without a partner" in said


def test_a_window_of_words_is_left_out() -> None:
    right = decode_dicom(as_file(chest_dataset(WindowCenter=None, WindowWidth=None)), "x")
    read, said = _mended(_with_bytes("WindowCenter", b"Bone", WindowWidth="4000"))
    np.testing.assert_array_equal(read.pixels, right.pixels)
    assert "Window Center holds what is no number" in said
    assert "Bone" not in said


@pytest.mark.parametrize(
    ("keyword", "said"),
    [
        ("PixelRepresentation", "Pixel Representation is missing: 0 is taken"),
        (
            "PhotometricInterpretation",
            "Photometric Interpretation is missing: MONOCHROME2 is taken",
        ),
        ("BitsStored", "Bits Stored is missing: 12 is taken"),
        ("SamplesPerPixel", "Samples per Pixel is missing: 1 is taken"),
    ],
)
def test_what_has_a_safe_value_is_read_with_a_word(keyword: str, said: str) -> None:
    right = decode_dicom(as_file(chest_dataset()), "x")
    read, warned = _mended(_without(keyword))
    np.testing.assert_array_equal(read.pixels, right.pixels)
    assert warned == said


@pytest.mark.parametrize(
    ("keyword", "name"),
    [("Rows", "Rows"), ("Columns", "Columns"), ("BitsAllocated", "Bits Allocated")],
)
def test_what_has_no_safe_value_is_refused_by_its_name(keyword: str, name: str) -> None:
    with pytest.raises(InputRejected, match=f"expected a number of {name}, found none"):
        decode_dicom(_without(keyword), "x")


def test_a_slope_that_is_none_is_refused_by_its_name() -> None:
    with pytest.raises(InputRejected, match="expected a number as Rescale Slope"):
        decode_dicom(_with_bytes("RescaleSlope", b"one", RescaleIntercept="0"), "x")


def test_compressed_pixels_without_a_transfer_syntax_are_refused_for_that() -> None:
    dataset = chest_dataset()
    dataset.PixelData = encapsulate([b"\xff\xd8\xff\xd9"])
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.50"
    content = as_file(dataset)
    at = content.index(b"\x02\x00\x10\x00UI")
    length = int.from_bytes(content[at + 6 : at + 8], "little")
    meta_length = content.index(b"\x02\x00\x00\x00UL") + 8
    left = int.from_bytes(content[meta_length : meta_length + 4], "little") - 8 - length
    without = content[:meta_length] + left.to_bytes(4, "little") + content[meta_length + 4 : at]
    with pytest.raises(InputRejected, match="expected a Transfer Syntax UID") as rejected:
        decode_dicom(without + content[at + 8 + length :], "x")
    assert rejected.value.code == "unsupported-transfer-syntax"


@pytest.mark.parametrize("orientation", ["L", "PA", "P"])
def test_one_value_of_patient_orientation_makes_no_lateral_view(orientation: str) -> None:
    read, said = _mended(as_file(chest_dataset(PatientOrientation=orientation, ViewPosition="PA")))
    assert read.orientation.is_upright
    assert "Patient Orientation has one value instead of two" in said
