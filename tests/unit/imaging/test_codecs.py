"""One chest in every transfer syntax: the network sees the same bits."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import (
    ExplicitVRBigEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
)

from dicom_files import LOSSLESS, as_file, chest_dataset, drawn_chest, encoded, through_dcmtk
from infmap_kit.errors import InputRejected
from infmap_kit.imaging.dicom.reader import decode_dicom
from infmap_kit.imaging.network_input import network_input
from infmap_kit.imaging.readers import decode_radiograph, read_radiograph


@pytest.mark.parametrize("photometric", ["MONOCHROME2", "MONOCHROME1"])
@pytest.mark.parametrize("syntax", LOSSLESS.values(), ids=LOSSLESS)
def test_lossless_syntaxes_give_the_same_network_input(
    syntax: str, photometric: str, tmp_path: Path
) -> None:
    expected = network_input(decode_dicom(as_file(chest_dataset()), "x").pixels)
    # The inverted twin: every stored value mirrored, and the tag that says so.
    values = drawn_chest() if photometric == "MONOCHROME2" else 4095 - drawn_chest()
    content = encoded(
        chest_dataset(values, PhotometricInterpretation=photometric), syntax, tmp_path
    )
    assert dcmread(io.BytesIO(content)).file_meta.TransferSyntaxUID == syntax
    radiograph = decode_radiograph(content, "x")
    np.testing.assert_array_equal(network_input(radiograph.pixels), expected)
    assert radiograph.warnings == ()


@pytest.mark.parametrize("syntax", LOSSLESS.values(), ids=LOSSLESS)
def test_eight_bits_in_every_syntax(syntax: str, tmp_path: Path) -> None:
    values = (drawn_chest() // 16).astype(np.uint8)
    content = encoded(chest_dataset(values), syntax, tmp_path)
    np.testing.assert_array_equal(decode_dicom(content, "x").pixels, values)


def test_a_file_without_preamble_and_meta_group() -> None:
    dataset, buffer = chest_dataset(), io.BytesIO()
    del dataset.file_meta
    dataset.save_as(buffer, implicit_vr=True, little_endian=True)
    expected = decode_dicom(as_file(chest_dataset()), "x").pixels
    np.testing.assert_array_equal(decode_radiograph(buffer.getvalue(), "x").pixels, expected)


def test_jpeg_baseline_stays_near() -> None:
    values = (drawn_chest() // 16).astype(np.uint8)
    dataset = chest_dataset(values)
    jpeg = cv2.imencode(".jpg", values, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
    dataset.PixelData = encapsulate([jpeg])
    dataset["PixelData"].VR = "OB"
    dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    difference = values.astype(int) - decode_dicom(as_file(dataset), "x").pixels
    assert np.abs(difference).mean() < 2
    assert np.abs(difference).max() < 16


def test_jpeg_extended_of_twelve_bits_stays_near(tmp_path: Path) -> None:
    dataset = chest_dataset()
    content = through_dcmtk(as_file(dataset), tmp_path, "dcmcjpeg", "+ee", "+q", "95")
    packed = dcmread(io.BytesIO(content))
    assert packed.file_meta.TransferSyntaxUID == JPEGExtended12Bit
    assert packed.BitsStored == 12
    expected = decode_dicom(as_file(dataset), "x").pixels.astype(int)
    assert np.abs(decode_dicom(content, "x").pixels - expected).max() <= 6


@pytest.mark.parametrize(
    ("packed", "plain"),
    [("RG1_J2KR.dcm", "RG1_UNCR.dcm"), ("RG1_J2KI.dcm", "RG1_UNCI.dcm")],
)
def test_the_rg1_family(packed: str, plain: str, chest_dicoms: list[Path]) -> None:
    folder = chest_dicoms[0].parent
    first, second = read_radiograph(folder / packed), read_radiograph(folder / plain)
    np.testing.assert_array_equal(network_input(first.pixels), network_input(second.pixels))
    assert first.notes == ("window of the file: centre 15000, width 30000", "MONOCHROME1 inverted")
    assert first.warnings == second.warnings == ()


@pytest.mark.parametrize("signed", [False, True], ids=["tag unsigned", "tag signed"])
@pytest.mark.parametrize("stream_bits", [12, 16])
def test_a_jpeg_2000_whose_sign_is_not_the_tags(signed: bool, stream_bits: int) -> None:
    """As in pydicom's J2K_pixelrep_mismatch: negative values were shown white, or the upper half black."""
    values = drawn_chest().astype(np.int16) - 2048 * signed
    dataset = chest_dataset(values if signed else drawn_chest(), WindowCenter=2048 - 2048 * signed)
    expected = decode_dicom(as_file(dataset), "x").pixels
    above = 16 - stream_bits
    written = values << above
    written = (written.view(np.uint16) if signed else written) >> above
    frame = imagecodecs.jpeg2k_encode(
        written, codecformat="J2K", reversible=True, level=0, bitspersample=stream_bits
    )
    dataset.PixelData = encapsulate([bytes(frame)])
    dataset["PixelData"].VR = "OB"
    dataset.file_meta.TransferSyntaxUID = JPEG2000Lossless
    content = as_file(dataset)
    np.testing.assert_array_equal(dcmread(io.BytesIO(content)).pixel_array, values)
    radiograph = decode_dicom(content, "x")
    np.testing.assert_array_equal(radiograph.pixels, expected)
    assert radiograph.warnings == ()


_CUT: dict[str, Callable[[NDArray[Any]], Any]] = {
    JPEGBaseline8Bit: lambda v: imagecodecs.jpeg8_encode((v // 16).astype(np.uint8), level=95),
    JPEGExtended12Bit: lambda v: imagecodecs.jpeg8_encode(v, level=95, bitspersample=12),
    JPEGLosslessSV1: lambda v: imagecodecs.jpeg8_encode(v, lossless=True, bitspersample=12),
    JPEGLSLossless: imagecodecs.jpegls_encode,
    JPEG2000Lossless: lambda v: imagecodecs.jpeg2k_encode(v, codecformat="J2K", level=0),
    HTJ2KLossless: lambda v: imagecodecs.htj2k_encode(v, reversible=True),
}


@pytest.mark.parametrize("syntax", _CUT)
def test_a_compressed_picture_that_is_cut_inside_its_item_is_refused(
    syntax: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Decoders make up the rest: of JPEG the last line again, of high throughput whatever was there."""
    values = np.ascontiguousarray(drawn_chest())
    stream = bytes(_CUT[syntax](values))
    dataset = chest_dataset()
    if syntax == JPEGBaseline8Bit:
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
    dataset.file_meta.TransferSyntaxUID = syntax
    for share in (1, 0.9, 0.5, 0.2):
        dataset.PixelData = encapsulate([stream[: int(share * len(stream))]])
        dataset["PixelData"].VR = "OB"
        content = as_file(dataset)
        if share == 1:
            assert decode_dicom(content, "x").pixels.shape == values.shape
            continue
        with pytest.raises(InputRejected) as rejected:
            decode_dicom(content, "x")
        assert rejected.value.code in ("truncated", "unreadable")
    assert capfd.readouterr().err == ""


_WITHOUT_IMAGECODECS = """
import sys
sys.modules["imagecodecs"] = None
from pathlib import Path
from infmap_kit.errors import InputRejected
from infmap_kit.imaging.readers import read_radiograph
for path in sys.argv[1:]:
    try:
        read_radiograph(Path(path))
    except InputRejected as rejected:
        print(Path(path).name, rejected.code, rejected.reason, sep="|")
"""


def test_without_the_decoders_the_refusal_names_the_extra(tmp_path: Path) -> None:
    paths = []
    for name, syntax in LOSSLESS.items():
        paths.append(tmp_path / name)
        paths[-1].write_bytes(encoded(chest_dataset(), syntax, tmp_path))
    # JPEG-LS comes with highdicom's own requirements where that is installed.
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT_IMAGECODECS, *map(str, paths)],
        capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    refused = [line.split("|") for line in done.stdout.splitlines()]
    assert [name for name, *_ in refused] == ["JPEG lossless", "JPEG lossless, first order"]
    for _, code, reason in refused:
        assert code == "unsupported-transfer-syntax"
        assert "pip install 'infmap-kit[dicom]'" in reason


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian])
@pytest.mark.parametrize("signed", [False, True])
def test_pictures_that_stay_in_the_files_bytes(syntax: str, signed: bool, tmp_path: Path) -> None:
    # Above a mebibyte pixels are not copied out of the file; whatever their byte order.
    values = drawn_chest(900, 700).astype(np.int32) - (2048 if signed else 0)
    stored = values.astype(np.int16 if signed else np.uint16)
    centre = 0 if signed else 2048
    content = encoded(chest_dataset(stored, WindowCenter=centre), syntax, tmp_path)
    expected = np.floor((drawn_chest(900, 700) / 4095) * 255 + 0.5)
    difference = decode_dicom(content, "x").pixels - expected
    assert np.abs(difference).max() <= 1
