"""DICOM pixels, against values worked out from the standard and against real files."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
    generate_uid,
)

from infmap_kit.errors import InputRejected
from infmap_kit.imaging.dicom.reader import decode_dicom
from infmap_kit.imaging.readers import decode_radiograph, read_radiograph

# (64, 128), each value from 0 to 4095 twice.
_RAMP = np.arange(8192).reshape(64, 128) // 2


def _dataset(values: NDArray[Any], **tags: Any) -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID = ComputedRadiographyImageStorage
    dataset.SOPInstanceUID = generate_uid(entropy_srcs=["infmap"])
    dataset.PatientName = "Secret^Person"
    dataset.Modality = "CR"
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.SamplesPerPixel = 1
    dataset.Rows, dataset.Columns = values.shape[:2]
    bits = values.dtype.itemsize * 8
    dataset.BitsAllocated, dataset.BitsStored = bits, bits if bits == 8 else 12
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(values.dtype.kind == "i")
    dataset.PixelData = values.tobytes()
    dataset["PixelData"].VR = "OB" if bits == 8 else "OW"
    for name, value in tags.items():
        setattr(dataset, name, value)
        if value is None:
            delattr(dataset, name)
    return dataset


def _file(dataset: Dataset, *, syntax: str = ExplicitVRLittleEndian) -> bytes:
    buffer = io.BytesIO()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _bare(dataset: Dataset) -> bytes:
    """The data set alone: no preamble, no mark, no meta group."""
    buffer = io.BytesIO()
    dataset.save_as(buffer, implicit_vr=True, little_endian=True)
    return buffer.getvalue()


def _twelve_bits(**tags: Any) -> Dataset:
    return _dataset(_RAMP.astype("<u2"), **tags)


def _rejected(content: bytes) -> InputRejected:
    with pytest.raises(InputRejected) as rejected:
        decode_radiograph(content, "x")
    assert "Secret" not in str(rejected.value)
    return rejected.value


def test_window_of_the_file() -> None:
    radiograph = decode_dicom(_file(_twelve_bits(WindowCenter=2048, WindowWidth=4096)), "x")
    expected = np.floor(_RAMP * 255 / 4095 + 0.5)
    np.testing.assert_array_equal(radiograph.pixels, expected)
    assert radiograph.media_type == "application/dicom"
    assert radiograph.notes == ("window of the file: centre 2048, width 4096",)


def test_first_of_several_windows() -> None:
    content = _file(_twelve_bits(WindowCenter=[2000, 7], WindowWidth=[3001, 9]))
    expected = np.floor(np.clip((_RAMP - 1999.5) / 3000 + 0.5, 0, 1) * 255 + 0.5)
    np.testing.assert_array_equal(decode_dicom(content, "x").pixels, expected)


def test_monochrome1_is_the_negative() -> None:
    window = {"WindowCenter": 1500, "WindowWidth": 2000}
    positive = decode_dicom(_file(_twelve_bits(**window)), "x")
    negative = decode_dicom(
        _file(_twelve_bits(PhotometricInterpretation="MONOCHROME1", **window)), "x"
    )
    np.testing.assert_array_equal(negative.pixels, 255 - positive.pixels)
    assert negative.notes[-1] == "MONOCHROME1 inverted"


def test_rescaling_comes_before_the_window() -> None:
    rescaled = _twelve_bits(
        RescaleSlope=2, RescaleIntercept=-1000, WindowCenter=3095.5, WindowWidth=8191
    )
    # Units are 2 x - 1000, from -1000 to 7190; the window spans -1000 to 7190 (C.11.2.1.2.1).
    expected = np.floor(np.clip(_RAMP * 2 / 8190, 0, 1) * 255 + 0.5)
    np.testing.assert_array_equal(decode_dicom(_file(rescaled), "x").pixels, expected)


def test_signed_values() -> None:
    values = (_RAMP - 2048).astype("<i2")
    content = _file(_dataset(values, WindowCenter=0, WindowWidth=4096))
    expected = np.floor(np.clip((values + 0.5) / 4095 + 0.5, 0, 1) * 255 + 0.5)
    np.testing.assert_array_equal(decode_dicom(content, "x").pixels, expected)


def test_voi_lut_goes_before_the_window() -> None:
    item = Dataset()
    item.LUTDescriptor = [4096, 0, 10]
    item.LUTData = [1023 - entry // 4 for entry in range(4096)]
    item["LUTData"].VR = "US"
    content = _file(_twelve_bits(VOILUTSequence=Sequence([item]), WindowCenter=9, WindowWidth=9))
    radiograph = decode_dicom(content, "x")
    np.testing.assert_array_equal(
        radiograph.pixels, np.floor((1023 - _RAMP // 4) * 255 / 1023 + 0.5)
    )
    assert radiograph.notes == ("VOI LUT of the file",)


def test_without_a_window_the_range_is_the_pictures_own() -> None:
    radiograph = decode_dicom(_file(_twelve_bits()), "x")
    assert (radiograph.pixels.min(), radiograph.pixels.max()) == (0, 255)
    assert radiograph.notes[0].startswith("values scaled from ")
    assert (np.diff(radiograph.pixels.astype(int).ravel()) >= 0).all()


def test_eight_bits_stay_as_they_are() -> None:
    values = (_RAMP // 16).astype(np.uint8)
    radiograph = decode_dicom(_file(_dataset(values)), "x")
    np.testing.assert_array_equal(radiograph.pixels, values)
    assert radiograph.notes == ()


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, RLELossless])
def test_other_transfer_syntaxes_say_the_same(syntax: str) -> None:
    expected = decode_dicom(_file(_twelve_bits()), "x").pixels
    dataset = _twelve_bits()
    if syntax == ExplicitVRBigEndian:
        dataset.PixelData = _RAMP.astype(">u2").tobytes()
    if syntax == RLELossless:
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.compress(RLELossless, generate_instance_uid=False)
    np.testing.assert_array_equal(decode_dicom(_file(dataset, syntax=syntax), "x").pixels, expected)


def test_a_file_without_preamble() -> None:
    expected = decode_dicom(_file(_twelve_bits()), "x").pixels
    np.testing.assert_array_equal(decode_radiograph(_bare(_twelve_bits()), "x").pixels, expected)


@pytest.mark.parametrize(
    ("tags", "code", "actual"),
    [
        ({"Modality": "CT"}, "modality", "found CT"),
        ({"Modality": "MR"}, "modality", "found MR"),
        ({"Modality": "SECRETPERSON"}, "modality", "found none of them"),
        ({"Modality": None}, "modality", "found none of them"),
        ({"PixelData": None}, "no-pixels", "without pixels"),
        ({"NumberOfFrames": 30}, "multi-frame", "30 frames"),
        ({"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}, "colour", "colour"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "colour", "colour"),
        ({"Rows": 20, "Columns": 30}, "too-small", "30x20"),
        ({"Rows": 20000, "Columns": 20000}, "too-large", "20000x20000"),
        ({"Rows": 65}, "truncated", "128x65"),
        ({"BitsAllocated": 32}, "pixel-type", "32"),
        ({"Rows": None}, "unreadable", "number of Rows"),
    ],
)
def test_unsuitable_files_are_refused(tags: dict[str, Any], code: str, actual: str) -> None:
    rejected = _rejected(_file(_twelve_bits(**tags)))
    assert rejected.code == code
    assert actual in str(rejected)


@pytest.mark.parametrize("modality", ["CR", "DX", "RG", "DR"])
def test_plain_radiography_is_accepted(modality: str) -> None:
    assert decode_dicom(_file(_twelve_bits(Modality=modality)), "x").pixels.shape == (64, 128)


def test_a_deflated_file() -> None:
    expected = decode_dicom(_file(_twelve_bits()), "x").pixels
    content = _file(_twelve_bits(), syntax=DeflatedExplicitVRLittleEndian)
    np.testing.assert_array_equal(decode_dicom(content, "x").pixels, expected)


def test_an_unknown_transfer_syntax() -> None:
    content = _file(_twelve_bits())
    assert content.count(b"1.2.840.10008.1.2.1\0") == 1
    unknown = content.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.9.9.9\0")
    rejected = _rejected(unknown)
    assert rejected.code == "unsupported-transfer-syntax"
    assert "an unknown one" in str(rejected)


_SAMPLES = [
    _file(_twelve_bits(WindowCenter=2048, WindowWidth=4096)),
    _file(_dataset((_RAMP // 16).astype(np.uint8))),
    _bare(_twelve_bits(RescaleSlope=1, RescaleIntercept=0)),
]


@settings(max_examples=300, deadline=5000)
@given(data=st.data())
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_damaged_bytes_give_a_picture_or_a_reason(data: st.DataObject) -> None:
    content = bytearray(data.draw(st.sampled_from(_SAMPLES)))
    for _ in range(data.draw(st.integers(0, 4))):
        content[data.draw(st.integers(132, 700))] = data.draw(st.integers(0, 255))
    remaining = bytes(content[: data.draw(st.integers(400, len(content)))])
    message = ""
    try:
        assert decode_radiograph(remaining, "x").pixels.dtype == np.uint8
    except InputRejected as rejected:
        message = str(rejected)
    assert "Secret" not in message


def _mean(
    pixels: NDArray[np.uint8], rows: tuple[float, float], columns: tuple[float, float]
) -> float:
    height, width = pixels.shape
    top, bottom = (round(share * height) for share in rows)
    left, right = (round(share * width) for share in columns)
    return float(pixels[top:bottom, left:right].mean())


def _assert_chest(pixels: NDArray[np.uint8]) -> None:
    """Both lungs are darker than the spine between them and the belly below."""
    spine = _mean(pixels, (0.35, 0.55), (0.42, 0.50))
    belly = _mean(pixels, (0.88, 0.98), (0.30, 0.45))
    for columns in ((0.22, 0.34), (0.66, 0.78)):
        lung = _mean(pixels, (0.30, 0.50), columns)
        assert lung + 25 < spine
        assert lung + 25 < belly


@pytest.mark.parametrize("name", ["RG1_UNCI.dcm", "RG1_UNCR.dcm"])
def test_a_real_chest(name: str) -> None:
    store = pytest.importorskip("data_store", reason="needs pydicom-data")
    radiograph = read_radiograph(Path(store.__path__[0]) / "data" / name)
    assert radiograph.pixels.shape == (1955, 1841)
    _assert_chest(radiograph.pixels)


# What docs/dicom.md says of these files. They are public; where each came from stands beside them.
_SECONDARY = "secondary-capture"


@pytest.mark.parametrize(
    ("name", "answer", "where_asked"),
    [
        ("cr_mono1_10bit_chest_explicitle.dcm", "read", "read"),
        ("cr_mono1_10bit_chest_nopreamble.dcm", "read", "read"),
        ("cr_mono1_10bit_extremity_j2k_lossless.dcm", "not-a-chest", "not-a-chest"),
        ("cr_mono1_10bit_extremity_jpegls.dcm", "not-a-chest", "not-a-chest"),
        ("cr_mono1_10bit_extremity_rle.dcm", "not-a-chest", "not-a-chest"),
        ("cr_mono1_faketag_8bit_chest_jpegbaseline.dcm", _SECONDARY, "polarity"),
        ("cr_mono2_8bit_chest_rsna_jpegbaseline.dcm", _SECONDARY, "read"),
        ("ct_modality_tag_on_chest_xray_implicitle.dcm", "modality", "modality"),
        ("dx_mono2_8bit_bodypart_ribcage_implicitle.dcm", _SECONDARY, "read"),
        ("dx_mono2_8bit_chest_nih_nofinding_implicitle.dcm", _SECONDARY, "read"),
    ],
)
def test_public_files_of_other_makes(
    shared_data: Path, name: str, answer: str, where_asked: str
) -> None:
    for asked, expected in ((False, answer), (True, where_asked)):
        if expected == "read":
            _assert_chest(
                read_radiograph(shared_data / "dicom" / name, secondary_capture=asked).pixels
            )
            continue
        with pytest.raises(InputRejected) as rejected:
            read_radiograph(shared_data / "dicom" / name, secondary_capture=asked)
        assert rejected.value.code == expected


def test_the_extremity_is_decoded_alike_in_three_syntaxes(shared_data: Path) -> None:
    # Refused as no chest; with the tag set right, the pixels say whether the decoders agree.
    shown = []
    for syntax in ("j2k_lossless", "jpegls", "rle"):
        dataset = dcmread(shared_data / "dicom" / f"cr_mono1_10bit_extremity_{syntax}.dcm")
        dataset.BodyPartExamined = "CHEST"
        buffer = io.BytesIO()
        dataset.save_as(buffer)
        shown.append(decode_dicom(buffer.getvalue(), "x").pixels)
    np.testing.assert_array_equal(shown[0], shown[1])
    np.testing.assert_array_equal(shown[0], shown[2])


@pytest.mark.parametrize("name", ["RG3_J2KI", "RG3_J2KR", "RG3_UNCI", "RG3_UNCR"])
def test_the_rg3_family_is_no_chest(name: str, chest_dicoms: list[Path]) -> None:
    with pytest.raises(InputRejected) as rejected:
        read_radiograph(chest_dicoms[0].parent / f"{name}.dcm")
    assert rejected.value.code == "not-a-chest"
