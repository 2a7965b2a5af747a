"""PNG, JPEG and TIFF that are damaged, too large or read in two ways are refused for a named reason."""

from __future__ import annotations

import io
import struct
import subprocess
import sys

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from infmap_kit.errors import InputRejected
from infmap_kit.imaging.raster import decode_raster
from rasters import (
    HEIGHT_PX,
    WIDTH_PX,
    encoded_picture,
    gray_picture,
    png_chunk,
    rejection_of,
    tiff_file,
)


def test_a_chunk_that_is_longer_than_its_png_is_refused(gray: NDArray[np.uint8]) -> None:
    plain = encoded_picture(".png", gray)
    longer = plain[:33] + b"\xff\xff\xff\xffeXIf" + plain[33:]
    assert rejection_of(longer).code == "truncated"
    assert (
        rejection_of(plain[:33] + png_chunk(b"teXt", b"") * 2**17 + plain[33:]).code == "unreadable"
    )


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
def test_a_picture_that_is_cut_anywhere_is_refused(suffix: str, gray: NDArray[np.uint8]) -> None:
    content = encoded_picture(suffix, gray)
    for length in range(12, len(content), 7):
        assert rejection_of(content[:length]).code in {"truncated", "unreadable"}, length
    for length in (len(content) // 2, len(content) - 40, len(content) - 1):
        assert rejection_of(content[:length]).code == "truncated", length


def test_the_end_of_a_thumbnail_is_not_the_end_of_the_picture(gray: NDArray[np.uint8]) -> None:
    plain = encoded_picture(".jpg", gray)
    thumbnail = b"\xff\xe1" + struct.pack(">H", len(plain) + 2) + plain
    content = plain[:2] + thumbnail + plain[2:]
    assert decode_raster(content, "x").pixels.shape == gray.shape
    assert rejection_of(content[:-300]).code == "truncated"


@pytest.mark.parametrize("size", [(1, 1), (63, 200), (20_000, 20_000), (2**31 - 1, 64)])
def test_size_is_refused_by_the_header_alone(size: tuple[int, int]) -> None:
    width, height = size
    code = "too-small" if min(size) < 64 else "too-large"
    png = b"\x89PNG\r\n\x1a\n" + png_chunk(
        b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    )
    assert rejection_of(png).code == code
    assert rejection_of(tiff_file(b"", width=width, height=height)).code == code
    if max(size) < 2**16:
        frame = struct.pack(">HBHHBBBB", 11, 8, height, width, 1, 1, 0x11, 0)
        assert rejection_of(b"\xff\xd8\xff\xc0" + frame + b"\xff\xda").code == code


def test_tiffs_that_are_no_single_gray_picture(gray: NDArray[np.uint8]) -> None:
    assert rejection_of(tiff_file(gray.tobytes(), more=8)).code == "multi-frame"
    assert (
        rejection_of(tiff_file(gray.astype("<f4").tobytes(), bits=32, format=3)).code
        == "pixel-type"
    )
    assert (
        rejection_of(tiff_file(gray.astype("<i2").tobytes(), bits=16, format=2)).code
        == "pixel-type"
    )


def test_a_tiff_whose_strip_cannot_be_decoded_is_refused(gray: NDArray[np.uint8]) -> None:
    """OpenCV leaves such a strip black, without a word."""
    for compression in ("tiff_lzw", "tiff_adobe_deflate"):
        file = io.BytesIO()
        Image.fromarray(np.tile(gray, (4, 4))).save(file, "tiff", compression=compression)
        assert decode_raster(file.getvalue(), "x").pixels.shape == (4 * HEIGHT_PX, 4 * WIDTH_PX)
        content = bytearray(file.getvalue())
        middle = len(content) // 2
        content[middle : middle + 64] = bytes(64)
        assert rejection_of(bytes(content)).code == "unreadable"
    # JPEG 2000, and one that nobody knows.
    for unknown in (34712, 50999):
        assert rejection_of(tiff_file(gray.tobytes(), compression=unknown)).code == "unreadable"


def test_a_tiff_that_decoders_read_in_two_ways_is_refused(gray: NDArray[np.uint8]) -> None:
    deep = gray.astype("<u2") * 257
    planes = tiff_file(deep.tobytes() * 3, samples=3, bits=16, photometric=2, planes=2)
    assert rejection_of(planes).code == "pixel-type"
    both = np.stack([deep, np.full_like(deep, 65535)], -1)
    assert rejection_of(tiff_file(both.tobytes(), samples=2, bits=16)).code == "pixel-type"
    assert rejection_of(tiff_file(gray.tobytes(), predictor=2)).code == "unreadable"


def test_a_damaged_checksum_is_refused(gray: NDArray[np.uint8]) -> None:
    content = bytearray(encoded_picture(".png", gray))
    content[len(content) // 2] ^= 0xFF
    assert rejection_of(bytes(content)).code == "unreadable"


_SAMPLES = [
    encoded_picture(".png", gray_picture()),
    encoded_picture(".jpg", gray_picture()),
    encoded_picture(".jpg", cv2.merge([gray_picture()] * 3), cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
    encoded_picture(".tif", gray_picture().astype(np.uint16) * 100),
    tiff_file(gray_picture().tobytes()),
]


@settings(max_examples=300, deadline=5000)
@given(data=st.data())
def test_damaged_bytes_give_a_picture_or_a_reason(data: st.DataObject) -> None:
    content = bytearray(data.draw(st.sampled_from(_SAMPLES)))
    # Most damage goes where it hurts: into the first and last 300 bytes.
    near = st.one_of(st.integers(4, 300), st.integers(len(content) - 300, len(content) - 1))
    places = st.one_of(near, st.integers(4, len(content) - 1))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(places)] = data.draw(st.integers(0, 255))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(content)), max_size=2)))
    remaining = bytes(content[: cuts[0]] + content[cuts[-1] :]) if cuts else bytes(content)
    try:
        radiograph = decode_raster(remaining, "x")
    except InputRejected:
        return
    assert radiograph.pixels.dtype == np.uint8
    assert radiograph.pixels.ndim == 2


def test_two_headers_of_which_decoders_read_one_or_the_other_are_refused(
    gray: NDArray[np.uint8],
) -> None:
    """Of two frames of a JPEG, or two values of a TIFF tag, our check and OpenCV might take another."""
    jpeg = encoded_picture(".jpg", gray)
    start = jpeg.index(b"\xff\xc0")
    (length,) = struct.unpack_from(">H", jpeg, start + 2)
    frame = jpeg[start : start + 2 + length]
    huge = frame[:5] + struct.pack(">HH", 60000, 60000) + frame[9:]
    for content in (
        jpeg[:start] + huge + jpeg[start:],
        jpeg[: start + len(frame)] + huge + jpeg[start + len(frame) :],
    ):
        assert rejection_of(content).code in ("unreadable", "too-large")
    tiff = tiff_file(gray.tobytes())
    (directory,) = struct.unpack_from("<I", tiff, 4)
    (count,) = struct.unpack_from("<H", tiff, directory)
    entries = tiff[directory + 2 : directory + 2 + 12 * count]
    doubled = bytearray(tiff[:4] + struct.pack("<I", len(tiff)) + tiff[8:])
    width = struct.pack("<HHII", 256, 4, 1, 2**20)
    doubled += struct.pack("<H", count + 1) + entries[:12] + width + entries[12:] + bytes(4)
    assert rejection_of(bytes(doubled)).code == "unreadable"


def test_a_jpeg_of_endless_scans_is_refused(gray: NDArray[np.uint8]) -> None:
    jpeg = encoded_picture(".jpg", gray, cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    start = jpeg.rindex(b"\xff\xda")
    scan = jpeg[start:-2]
    assert decode_raster(jpeg, "x").pixels.shape == gray.shape
    assert rejection_of(jpeg[:start] + scan * 500 + b"\xff\xd9").code == "unreadable"


def test_opencv_itself_decodes_no_more_than_the_largest_radiograph() -> None:
    """Should our own check be led astray; in a process of its own, since OpenCV reads its limit once."""
    program = (
        "import infmap_kit.imaging.raster, cv2, numpy as np\n"
        "ok, data = cv2.imencode('.png', np.zeros((8000, 5100), np.uint8))\n"
        "try:\n print(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE))\n"
        "except cv2.error as error:\n print('refused', 'CV_IO_MAX_IMAGE_PIXELS' in str(error))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "refused True"
