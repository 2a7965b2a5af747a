"""The grayscale pipeline, against DCMTK's dcm2pnm and against the standard worked out by hand."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import JPEG2000, JPEGLSNearLossless

imagecodecs = pytest.importorskip("imagecodecs", reason="needs infmap-kit[dicom]")

from dicom_files import as_file, chest_dataset, drawn_chest
from infmap_kit.errors import InputRejected
from infmap_kit.imaging.dicom.reader import decode_dicom
from infmap_kit.imaging.radiograph import Radiograph

_STEPS = np.arange(4096)


def _lut(entries: NDArray[np.int64], *, first: int, bits: int, vr: str = "US") -> Dataset:
    item = Dataset()
    item.LUTDescriptor = [len(entries) % 2**16, first % 2**16, bits]
    if vr == "OW":
        item.add_new("LUTData", "OW", entries.astype("<u2").tobytes())
    else:
        item.add_new("LUTData", "US", entries.tolist())
    item["LUTDescriptor"].VR = "US"
    return item


def _shown(dataset: Dataset) -> Radiograph:
    return decode_dicom(as_file(dataset), "x")


def _curve(steps: NDArray[np.int64], top: int) -> NDArray[np.int64]:
    """A sigmoid-like curve from 0 to ``top``, as vendors store them."""
    curve = top / (1 + np.exp(-(steps - steps.mean()) / (len(steps) / 9)))
    rounded: NDArray[np.int64] = np.rint(curve).astype(np.int64)
    return rounded


def _overlaid() -> NDArray[np.uint16]:
    """Twelve stored bits with an old overlay's bits above them."""
    values = drawn_chest().copy()
    values[10:40, 10:90] |= 0xA000
    return values


_SIGNED = (drawn_chest().astype(np.int32) - 2048).astype(np.int16)
_VOI: dict[str, Any] = {"WindowCenter": None, "WindowWidth": None}
_CASES: dict[str, tuple[NDArray[Any], dict[str, Any]]] = {
    "window": (drawn_chest(), {"WindowCenter": 1800, "WindowWidth": 2500}),
    "first of two windows": (
        drawn_chest(),
        {"WindowCenter": [1500, 9], "WindowWidth": [900, 9]},
    ),
    "narrow window": (drawn_chest(), {"WindowCenter": 1800, "WindowWidth": 1000}),
    "fractional window": (drawn_chest(), {"WindowCenter": 1800.5, "WindowWidth": 1234.25}),
    "sigmoid": (
        drawn_chest(),
        {"WindowCenter": 1800, "WindowWidth": 1500, "VOILUTFunction": "SIGMOID"},
    ),
    "rescale": (
        drawn_chest(),
        {"RescaleSlope": 2.5, "RescaleIntercept": -1000, "WindowCenter": 3000, "WindowWidth": 8000},
    ),
    "negative slope": (
        drawn_chest(),
        {"RescaleSlope": -1, "RescaleIntercept": 4095, "WindowCenter": 2048, "WindowWidth": 3000},
    ),
    "signed": (_SIGNED, {"WindowCenter": 0, "WindowWidth": 3000}),
    "MONOCHROME1": (
        drawn_chest(),
        {"PhotometricInterpretation": "MONOCHROME1", "WindowCenter": 1800, "WindowWidth": 2500},
    ),
    "MONOCHROME1 and INVERSE": (
        drawn_chest(),
        {"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "INVERSE"},
    ),
    "VOI LUT of 16 bits": (
        drawn_chest(),
        {**_VOI, "VOILUTSequence": Sequence([_lut(_curve(_STEPS, 65535), first=0, bits=16)])},
    ),
    "VOI LUT of 12 bits in words": (
        drawn_chest(),
        {
            **_VOI,
            "VOILUTSequence": Sequence(
                [_lut(_curve(_STEPS[:3000], 4095), first=500, bits=12, vr="OW")]
            ),
        },
    ),
    "VOI LUT of 8 bits with 4096 entries": (
        drawn_chest(),
        {**_VOI, "VOILUTSequence": Sequence([_lut(_curve(_STEPS, 255), first=0, bits=8)])},
    ),
    "modality LUT, then window": (
        drawn_chest(),
        {
            "ModalityLUTSequence": Sequence([_lut(_curve(_STEPS, 65535), first=0, bits=16)]),
            "WindowCenter": 30000,
            "WindowWidth": 50000,
        },
    ),
    "bits above the stored ones": (_overlaid(), {"WindowCenter": 1800, "WindowWidth": 2500}),
}


@pytest.mark.parametrize(("values", "tags"), _CASES.values(), ids=_CASES)
def test_as_dcmtk_shows_it(values: NDArray[Any], tags: dict[str, Any], tmp_path: Path) -> None:
    if shutil.which("dcm2pnm") is None:
        pytest.skip("needs dcm2pnm: apt-get install dcmtk")
    dataset = chest_dataset(values, **tags)
    if "ModalityLUTSequence" in dataset:
        dataset.ModalityLUTSequence[0].ModalityLUTType = "US"
    source, picture = tmp_path / "x.dcm", tmp_path / "x.pgm"
    source.write_bytes(as_file(dataset))
    chosen = "+Wl" if "VOILUTSequence" in dataset else "+Wi"
    subprocess.run(["dcm2pnm", chosen, "1", "--write-raw-pnm", source, picture], check=True)
    expected = cv2.imread(str(picture), cv2.IMREAD_UNCHANGED)
    assert expected is not None
    difference = _shown(dataset).pixels.astype(int) - expected
    # Both round; a window of two values leaves room for a step.
    assert np.abs(difference).max() <= 1
    assert np.abs(difference).mean() < 0.6


def test_linear_exact_by_hand() -> None:
    tags: dict[str, Any] = {
        "WindowCenter": 2000,
        "WindowWidth": 1000,
        "VOILUTFunction": "LINEAR_EXACT",
    }
    expected = np.clip((drawn_chest() - 2000.0) / 1000 + 0.5, 0, 1) * 255
    assert np.abs(_shown(chest_dataset(**tags)).pixels - expected).max() <= 0.5


def test_pixel_padding_is_black_in_both_polarities_and_outside_the_range() -> None:
    drawn = np.clip(drawn_chest(), 50, 4000)
    # Without a window the range is the picture's own: padding must not stretch it.
    for photometric, inside in (("MONOCHROME2", drawn), ("MONOCHROME1", 4050 - drawn)):
        stored = inside.astype(np.uint16)
        stored[:60] = 4095
        tags: dict[str, Any] = {
            **_VOI,
            "PhotometricInterpretation": photometric,
            "PixelPaddingValue": 4095,
        }
        radiograph = _shown(chest_dataset(stored, **tags))
        assert (radiograph.pixels[:60] == 0).all()
        plain = _shown(chest_dataset(drawn[60:], **_VOI))
        assert np.abs(radiograph.pixels[60:].astype(int) - plain.pixels).max() <= 2
        assert radiograph.notes[-1] == "pixel padding shown black"


def test_a_range_of_padding() -> None:
    values = drawn_chest().copy()
    values[:60, :100], values[:60, 100:] = 3900, 4000
    radiograph = _shown(chest_dataset(values, PixelPaddingValue=4000, PixelPaddingRangeLimit=3900))
    assert (radiograph.pixels[:60] == 0).all()


def test_padding_of_signed_pixels_said_unsigned() -> None:
    values = _SIGNED.copy()
    values[:60] = -2000
    dataset = chest_dataset(values, WindowCenter=0, WindowWidth=4096)
    dataset.add_new("PixelPaddingValue", "US", 2**16 - 2000)
    assert (_shown(dataset).pixels[:60] == 0).all()


@pytest.mark.parametrize(
    ("photometric", "shape", "inverted"),
    [("MONOCHROME1", "IDENTITY", False), ("MONOCHROME2", "INVERSE", True)],
)
def test_contradictory_polarity_is_warned_of(photometric: str, shape: str, inverted: bool) -> None:
    plain = _shown(chest_dataset()).pixels
    radiograph = _shown(
        chest_dataset(PhotometricInterpretation=photometric, PresentationLUTShape=shape)
    )
    np.testing.assert_array_equal(radiograph.pixels, 255 - plain if inverted else plain)
    assert [warning.code for warning in radiograph.warnings] == ["contradictory-polarity"]


def test_agreeing_polarity_inverts_once() -> None:
    tags = {"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "INVERSE"}
    radiograph = _shown(chest_dataset(4095 - drawn_chest(), **tags))
    np.testing.assert_array_equal(radiograph.pixels, _shown(chest_dataset()).pixels)
    assert radiograph.warnings == ()


@pytest.mark.parametrize(
    "tags",
    [
        {"RescaleSlope": 0, "RescaleIntercept": 0},
        {"BitsStored": 17},
        {"HighBit": 3},
        {"VOILUTSequence": Sequence([_lut(_STEPS[:9], first=0, bits=40)])},
    ],
)
def test_impossible_displays_are_refused(tags: dict[str, Any]) -> None:
    with pytest.raises(InputRejected) as rejected:
        _shown(chest_dataset(**tags))
    assert rejected.value.code == "unreadable"
    assert (
        rejected.value.reason
        != "the file begins as a DICOM file does, but is damaged or incomplete"
    )


def test_a_lut_that_is_shorter_than_it_says() -> None:
    item = _lut(_curve(_STEPS, 255), first=0, bits=8)
    item.LUTDescriptor = [5000, 0, 8]
    with pytest.raises(InputRejected, match="the 5000 entries that the LUT announces, found 4096"):
        _shown(chest_dataset(VOILUTSequence=Sequence([item])))


@pytest.mark.parametrize("name", ["mlut_18.dcm", "vlut_04.dcm"])
def test_real_luts_as_dcmtk_shows_them(name: str, chest_dicoms: list[Path], tmp_path: Path) -> None:
    if shutil.which("dcm2pnm") is None:
        pytest.skip("needs dcm2pnm: apt-get install dcmtk")
    source, picture = chest_dicoms[0].parent / name, tmp_path / "x.pgm"
    chosen = ["+Wl", "1"] if name.startswith("vlut") else ["+Wh", "0"]
    subprocess.run(["dcm2pnm", *chosen, "--write-raw-pnm", source, picture], check=True)
    expected = cv2.imread(str(picture), cv2.IMREAD_UNCHANGED)
    assert expected is not None
    actual = decode_dicom(source.read_bytes(), "x", secondary_capture=True).pixels
    if name.startswith("vlut"):
        assert np.abs(actual.astype(int) - expected).max() <= 1
    else:
        # No window: each takes its own range, so that only the order of tones can be compared.
        assert np.corrcoef(actual.ravel(), expected.ravel())[0, 1] > 0.99


def _compressed(values: NDArray[Any], codestream: bytes, syntax: str, *, bits: int) -> Dataset:
    """A picture whose codestream may hold more than the bits that its tags announce."""
    dataset = chest_dataset(values, BitsStored=bits, HighBit=bits - 1, WindowCenter=2 ** (bits - 1))
    dataset.WindowWidth = 2**bits
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.PixelData = encapsulate([codestream])
    dataset["PixelData"].VR = "OB"
    return dataset


def _overshooting() -> NDArray[np.uint16]:
    """Ten stored bits; what is brightest lies a little above them, as a lossy decoder gives it."""
    values = (drawn_chest() // 4).astype(np.uint16)
    values[100:220, 60:120] = 1021
    values[120:200, 70:110] = 1026
    return values


@pytest.mark.parametrize(
    ("encode", "syntax"),
    [
        (lambda values: imagecodecs.jpeg2k_encode(values, level=0), JPEG2000),
        (lambda values: imagecodecs.jpegls_encode(values, level=0), JPEGLSNearLossless),
    ],
    ids=["JPEG 2000", "JPEG-LS"],
)
def test_what_a_lossy_decoder_gives_above_the_stored_bits_is_white(
    encode: Any, syntax: str
) -> None:
    """Cut to its low bits, it would turn black (dcm4che 512), and an infection would be missed."""
    values = _overshooting()
    dataset = _compressed(values, encode(values), syntax, bits=10)
    expected = _shown(
        chest_dataset(np.minimum(values, 1023), BitsStored=10, HighBit=9, WindowCenter=512, WindowWidth=1024)
    )  # fmt: skip
    shown = _shown(dataset)
    np.testing.assert_array_equal(shown.pixels, expected.pixels)
    assert shown.pixels[160, 90] >= 254
    (warning,) = shown.warnings
    assert warning.code == "beyond-bits-stored"
    assert "3.8% of the pixels lie beyond the 10 bits stored" in warning.text


def test_signed_values_that_overshoot_keep_their_sign() -> None:
    values = _SIGNED.copy()
    values[100:220, 60:120] = 2051
    values[10:20, 10:20] = -2052
    dataset = _compressed(values, imagecodecs.jpeg2k_encode(values, level=0), JPEG2000, bits=12)
    dataset.WindowCenter = 0
    shown = _shown(dataset)
    assert shown.pixels[160, 90] == 255
    assert shown.pixels[15, 15] == 0
    assert [warning.code for warning in shown.warnings] == ["beyond-bits-stored"]


def test_values_beyond_the_stored_bits_of_an_uncompressed_file_are_named() -> None:
    """Bits of an old overlay and values that are too large look alike; neither passes without a word."""
    shown = _shown(chest_dataset(_overlaid(), WindowCenter=1800, WindowWidth=2500))
    (warning,) = shown.warnings
    assert warning.code == "beyond-bits-stored"
    assert "2.9% of the pixels" in warning.text
    few = drawn_chest().copy()
    few[0, 0] |= 0x1000
    assert _shown(chest_dataset(few)).warnings == ()


@pytest.mark.parametrize(
    ("tags", "instead"),
    [
        ({"WindowCenter": 9000, "WindowWidth": 800}, "shown by values scaled from 145 ... 4015.6"),
        ({"WindowCenter": 2000, "WindowWidth": 2}, "shown by values scaled from 145 ... 4015.6"),
        (
            {"WindowCenter": [40, 2048], "WindowWidth": [80, 4096]},
            "shown by window of the file: centre 2048, width 4096 instead",
        ),
    ],
    ids=["missed", "without width", "second of two"],
)
def test_a_window_that_misses_the_values_is_not_used(tags: dict[str, Any], instead: str) -> None:
    """A picture that is white or black nearly everywhere shows a network nothing (fo-dicom 752)."""
    shown = _shown(chest_dataset(**tags))
    (warning,) = shown.warnings
    assert warning.code == "window-misses-values"
    assert instead in warning.text
    whole = _shown(chest_dataset(WindowCenter=2048, WindowWidth=4096))
    likeness = np.corrcoef(shown.pixels.ravel(), whole.pixels.ravel())[0, 1]
    assert likeness > 0.97
    assert np.mean((shown.pixels == 0) | (shown.pixels == 255)) < 0.1


def test_a_picture_that_is_sheared_by_too_few_columns_does_not_pass_without_a_word() -> None:
    dataset = chest_dataset(drawn_chest())
    assert _shown(dataset).warnings == ()
    dataset.Columns -= 3
    (warning,) = _shown(dataset).warnings
    assert warning.code == "beyond-the-picture"
    assert f"hold {2 * 3 * dataset.Rows} bytes more than the {dataset.Columns}x" in warning.text


def test_a_byte_that_makes_the_length_even_is_no_more_than_that() -> None:
    odd = np.resize(drawn_chest() // 16, (301, 401)).astype(np.uint8)
    dataset = chest_dataset(odd)
    dataset.PixelData = odd.tobytes() + b"\0"
    assert _shown(dataset).warnings == ()
