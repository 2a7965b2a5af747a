"""Attributes that are missing or badly written: a safe value with a word, or a refusal that names the tag."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian

from dicom_files import as_file, chest_dataset, drawn_chest, encoded, with_raw
from infmap_kit.errors import InputRejected
from infmap_kit.imaging.dicom.attributes.values import NAMES
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


# What is put into a file, and the one way in which it must be read: the same picture, and what is said.
_READ: dict[str, tuple[dict[str, tuple[str, bytes] | None], str]] = {
    "window of binary numbers": (
        {"WindowCenter": ("US", b"\0\x08"), "WindowWidth": ("US", b"\0\x10")},
        "Window Center has another VR than its own",
    ),
    "window of texts": (
        {"WindowCenter": ("LO", b"2048"), "WindowWidth": ("SH", b"4096")},
        "Window Center has another VR than its own",
    ),
    "first window without width": (
        {"WindowCenter": ("DS", b"7\\2048"), "WindowWidth": ("DS", b"0\\4096")},
        "Window Width is none that a window can have",
    ),
    "function in small letters": ({"VOILUTFunction": ("CS", b"linear")}, "it is read as LINEAR"),
    "function that is none": ({"VOILUTFunction": ("CS", b"BONE")}, "LINEAR is taken"),
    "slope of binary number": (
        {"RescaleSlope": ("US", b"\1\0"), "RescaleIntercept": ("SS", b"\0\0")},
        "Rescale Slope has another VR than its own",
    ),
    "slope twice": (
        {"RescaleSlope": ("DS", b"1\\1"), "RescaleIntercept": ("DS", b"0")},
        "Rescale Slope has the same value several times",
    ),
    "slope alone": ({"RescaleSlope": ("DS", b"1")}, "0 is taken"),
    "intercept alone": ({"RescaleIntercept": ("DS", b"0")}, "1 is taken"),
    "rows as text": (
        {"Rows": ("LO", b"320")},
        "Rows is no integer as it is stored: it is read as 320",
    ),
    "rows as decimal": ({"Rows": ("DS", b"320.0")}, "it is read as 320"),
    "rows twice": ({"Rows": ("US", b"\x40\1\x40\1")}, "it is read as 320"),
    "rows as unsigned long": ({"Rows": ("UL", b"\x40\1\0\0")}, ""),
    "bits stored as text": (
        {"BitsStored": ("LO", b"12")},
        "Bits Stored is no integer as it is stored",
    ),
    "bits stored of words": (
        {"BitsStored": ("LO", b"many")},
        "Bits Stored is no number: 12 is taken",
    ),
    "no bits stored": ({"BitsStored": ("US", b"\0\0")}, "12 is taken"),
    "high bit of words": ({"HighBit": ("LO", b"top")}, ""),
    "sign as text": ({"PixelRepresentation": ("IS", b"0")}, "it is read as 0"),
    "frames of words": ({"NumberOfFrames": ("IS", b"one")}, ""),
    "frames twice": ({"NumberOfFrames": ("IS", b"1\\1")}, "it is read as 1"),
    "polarity in small letters": (
        {"PhotometricInterpretation": ("CS", b"monochrome 2")},
        "it is read as MONOCHROME2",
    ),
    "shape that is none": ({"PresentationLUTShape": ("CS", b"LIN OD")}, "it is left out"),
    "padding of words": (
        {"PixelPaddingValue": ("LO", b"none")},
        "Pixel Padding Value is no number",
    ),
    "three directions": (
        {"PatientOrientation": ("CS", b"L\\F\\H")},
        "Patient Orientation has not the two directions",
    ),
    "a direction against itself": (
        {"PatientOrientation": ("CS", b"PA\\PA")},
        "Patient Orientation has not the two directions",
    ),
    "the same axis twice": (
        {"PatientOrientation": ("CS", b"L\\R")},
        "Patient Orientation has not the two directions",
    ),
    "spacing with comma": (
        {"PixelSpacing": ("DS", b"0,2\\0,2")},
        "Pixel Spacing has a decimal comma: it is read as a point",
    ),
}


@pytest.mark.parametrize(("raw", "said"), _READ.values(), ids=_READ)
def test_what_is_stored_in_another_way_is_the_same_picture(
    raw: dict[str, tuple[str, bytes] | None], said: str
) -> None:
    right = decode_dicom(as_file(chest_dataset()), "x")
    read, warned = _mended(with_raw(as_file(chest_dataset()), **raw))
    np.testing.assert_array_equal(read.pixels, right.pixels)
    assert said in warned
    assert bool(said) == bool(warned) or raw.keys() & {"HighBit", "NumberOfFrames"}
    for _, value in filter(None, raw.values()):
        assert not value.isalpha() or value.isupper() or value.decode() not in warned


_REFUSED: dict[str, tuple[dict[str, tuple[str, bytes] | None], str]] = {
    "two slopes": (
        {"RescaleSlope": ("DS", b"1\\2"), "RescaleIntercept": ("DS", b"0")},
        "expected a number as Rescale Slope",
    ),
    "slope of 0": (
        {"RescaleSlope": ("DS", b"0"), "RescaleIntercept": ("DS", b"0")},
        "expected a Rescale Slope other than 0",
    ),
    "two numbers of rows": ({"Rows": ("US", b"\x40\1\x41\1")}, "expected a number of Rows"),
    "sign of 2": ({"PixelRepresentation": ("US", b"\2\0")}, "0 or 1 as Pixel Representation"),
    "sign of words": ({"PixelRepresentation": ("LO", b"no")}, "0 or 1 as Pixel Representation"),
    "polarity that is none": (
        {"PhotometricInterpretation": ("CS", b"MONOCHROME")},
        "expected MONOCHROME1 or MONOCHROME2 as Photometric Interpretation",
    ),
    "both polarities": (
        {"PhotometricInterpretation": ("CS", b"MONOCHROME1\\MONOCHROME2")},
        "expected MONOCHROME1 or MONOCHROME2 as Photometric Interpretation",
    ),
}


@pytest.mark.parametrize(("raw", "reason"), _REFUSED.values(), ids=_REFUSED)
def test_what_may_be_read_in_two_ways_is_refused_by_name(
    raw: dict[str, tuple[str, bytes] | None], reason: str
) -> None:
    with pytest.raises(InputRejected, match=reason) as rejected:
        decode_dicom(with_raw(as_file(chest_dataset()), **raw), "x")
    assert rejected.value.code == "unreadable"


def test_a_window_without_partner_or_width_leaves_the_values_own_range() -> None:
    right = decode_dicom(as_file(chest_dataset(WindowCenter=None, WindowWidth=None)), "x")
    for width in (b"", b"0", b"-4096", b"1e999"):
        content = with_raw(as_file(chest_dataset()), WindowWidth=("DS", width))
        read, said = _mended(content)
        np.testing.assert_array_equal(read.pixels, right.pixels)
        assert "Window Width" in said


def test_an_intercept_without_slope_moves_the_values() -> None:
    right = decode_dicom(as_file(chest_dataset(RescaleSlope=1, RescaleIntercept=-1000)), "x")
    read, said = _mended(with_raw(as_file(chest_dataset()), RescaleIntercept=("DS", b"-1000")))
    np.testing.assert_array_equal(read.pixels, right.pixels)
    assert said == "Rescale Intercept has no Rescale Slope: 1 is taken"


def test_a_shape_in_small_letters_inverts_as_in_capitals() -> None:
    right = decode_dicom(as_file(chest_dataset(PresentationLUTShape="INVERSE")), "x")
    read, said = _mended(
        with_raw(as_file(chest_dataset()), PresentationLUTShape=("CS", b"inverse"))
    )
    np.testing.assert_array_equal(read.pixels, right.pixels)
    assert said == "Presentation LUT Shape is badly written: it is read as INVERSE"


@pytest.mark.parametrize(
    ("vr", "value"), [("OW", b"\xd0\x07"), ("UN", b"\xd0\x07"), ("IS", b"2000")]
)
def test_padding_of_another_kind_is_padding(vr: str, value: bytes) -> None:
    values = drawn_chest().copy()
    values[:40] = 2000
    right = decode_dicom(as_file(chest_dataset(values, PixelPaddingValue=2000)), "x")
    assert not right.pixels[:40].any()
    read, _ = _mended(with_raw(as_file(chest_dataset(values)), PixelPaddingValue=(vr, value)))
    np.testing.assert_array_equal(read.pixels, right.pixels)


def test_values_in_the_upper_bits_are_said() -> None:
    right = decode_dicom(as_file(chest_dataset()), "x")
    read, said = _mended(as_file(chest_dataset(drawn_chest() << 4, HighBit=15)))
    np.testing.assert_array_equal(read.pixels, right.pixels)
    assert said.startswith("High Bit is 15 with 12 Bits Stored")


@pytest.mark.parametrize("missing", ["LUTDescriptor", "LUTData"])
def test_a_lut_that_is_not_whole_is_refused_by_name(missing: str) -> None:
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [4096, 0, 12])
    item.add_new("LUTData", "US", list(range(4096)))
    delattr(item, missing)
    with pytest.raises(InputRejected, match="expected a LUT with LUT Data and three numbers"):
        decode_dicom(as_file(chest_dataset(VOILUTSequence=[item])), "x")


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_numbers_whose_bytes_are_spaces_are_numbers(syntax: str, tmp_path: Path) -> None:
    """0x2020 rows, and 0x20 in the bytes of other numbers."""
    values = np.tile(drawn_chest()[:257, :64], (32, 1))
    dataset = chest_dataset(values, PixelPaddingValue=0x2020 & 0xFFF)
    read, said = _mended(encoded(dataset, syntax, tmp_path))
    assert read.pixels.shape == (0x2020, 64)
    assert not said


@settings(deadline=None)
@given(st.data())
def test_any_bytes_under_any_vr_give_a_picture_or_a_reason(data: st.DataObject) -> None:
    content = as_file(chest_dataset())
    raw = data.draw(
        st.dictionaries(
            st.sampled_from(sorted(NAMES | {"PatientOrientation": ""})),
            st.tuples(
                st.sampled_from(["DS", "IS", "CS", "LO", "US", "SS", "UL", "FD", "OW", "UN", "PN"]),
                st.binary(max_size=10) | st.from_regex(rb"[0-9 .,\\eE+-]{0,10}", fullmatch=True),
            ),
            min_size=1, max_size=3,
        )
    )  # fmt: skip
    reason = ""
    try:
        decode_dicom(with_raw(content, **raw), "x")
    except InputRejected as rejected:
        reason = rejected.reason
    assert "damaged or incomplete" not in reason
