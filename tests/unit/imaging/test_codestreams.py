"""JPEG 2000 inside DICOM that announces more parts than its picture has: refused before they are decoded."""

from __future__ import annotations

import functools
import io
import struct
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless

from dicom_files import as_file, chest_dataset, drawn_chest
from infmap_kit.errors import InputRejected
from infmap_kit.imaging.dicom.reader import decode_dicom
from memory import read_each

_SIDE = 6300


@functools.cache
def _large() -> bytes:
    """A bare codestream just below the limit of 40 million pixels."""
    return bytes(
        imagecodecs.jpeg2k_encode(
            np.zeros((_SIDE, _SIDE), np.uint16), codecformat="J2K", reversible=True, level=0
        )
    )


def _noise() -> bytes:
    values = np.random.default_rng(3).integers(0, 4096, (_SIDE, _SIDE)).astype(np.uint16)
    return bytes(imagecodecs.jpeg2k_encode(values, codecformat="J2K", reversible=True, level=0))


def _with_offsets(table: bytes) -> bytes:
    content = _file(_small())
    start = content.rindex(b"\xfe\xff\x00\xe0", 0, content.rindex(b"\xfe\xff\x00\xe0"))
    after = content.index(b"\xfe\xff\x00\xe0", start + 4)
    return (
        content[:start] + struct.pack("<HHI", 0xFFFE, 0xE000, len(table)) + table + content[after:]
    )


def _small(kind: str = "J2K") -> bytes:
    return bytes(
        imagecodecs.jpeg2k_encode(
            np.ascontiguousarray(drawn_chest()), codecformat=kind, reversible=True, level=0
        )
    )


def _file(stream: bytes, *, large: bool = False, syntax: str = JPEG2000Lossless) -> bytes:
    dataset = chest_dataset(drawn_chest())
    if large:
        dataset.Rows = dataset.Columns = _SIDE
    dataset.PixelData = encapsulate([stream])
    dataset["PixelData"].VR = "OB"
    dataset.file_meta.TransferSyntaxUID = syntax
    return as_file(dataset)


def _styled(
    stream: bytes,
    *,
    block: int | None = None,
    layers: int | None = None,
    precinct: int | None = None,
) -> bytes:
    """Another coding style (T.800, A.6.1), and of the pixels 200 bytes."""
    start = stream.index(b"\xff\x52")
    (length,) = struct.unpack_from(">H", stream, start + 2)
    style = bytearray(stream[start : start + 2 + length])
    if layers is not None:
        struct.pack_into(">H", style, 6, layers)
    if block is not None:
        style[10] = style[11] = block
    if precinct is not None:
        style[4] |= 1
        style = style[:14] + bytes([precinct]) * (style[9] + 1)
    struct.pack_into(">H", style, 2, len(style) - 2)
    return _cut(stream[:start] + bytes(style) + stream[start + 2 + length :])


def _cut(stream: bytes) -> bytes:
    short = bytearray(stream[: stream.index(b"\xff\x93") + 200])
    struct.pack_into(">I", short, short.index(b"\xff\x90") + 6, 0)
    return bytes(short)


def _tiled(stream: bytes, side: int) -> bytes:
    tiled = bytearray(stream)
    struct.pack_into(">II", tiled, tiled.index(b"\xff\x51") + 22, side, side)
    return _cut(bytes(tiled))


def _boxes(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content


def _with_palette() -> bytes:
    """A JP2 whose palette makes 255 pictures of one: at 40 million pixels, 40 GB."""
    stream = _small("JP2")
    start = stream.index(b"jp2h") - 4
    (length,) = struct.unpack_from(">I", stream, start)
    palette = _boxes(b"pclr", struct.pack(">HB", 1, 255) + bytes([15]) * 255 + bytes(510))
    mapped = _boxes(b"cmap", b"".join(struct.pack(">HBB", 0, 1, n) for n in range(255)))
    header = _boxes(b"jp2h", stream[start + 8 : start + length] + palette + mapped)
    return stream[:start] + header + stream[start + length :]


def test_real_codestreams_are_read() -> None:
    expected = decode_dicom(as_file(chest_dataset(drawn_chest())), "x").pixels
    for stream in (_small(), _small("JP2"), _with_palette()):
        np.testing.assert_array_equal(decode_dicom(_file(stream), "x").pixels, expected)


@pytest.mark.parametrize(
    "options",
    [
        {"tile_size": (64, 64)},
        {"tile_size": (128, 96), "num_resolutions": 3},
        {"num_resolutions": 1},
        {"codeblock_size": (16, 16), "progression": "RPCL"},
        {"precinct_size": (64, 64), "codeblock_size": (32, 32), "progression": "PCRL"},
        {"tile_size": (100, 100), "precinct_size": (32, 32), "codeblock_size": (16, 16)},
        {"quality_mode": "rates", "quality_layers": [8, 4, 1]},
    ],
    ids=str,
)
def test_whatever_real_encoders_offer_is_read(options: dict[str, Any]) -> None:
    # Of 8 bits: Pillow writes tiles of 16 bits wrongly.
    values = (drawn_chest() // 16).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, "JPEG2000", no_jp2=True, irreversible=False, **options)
    expected = decode_dicom(as_file(chest_dataset(values)), "x").pixels
    dataset = chest_dataset(values)
    dataset.PixelData = encapsulate([buffer.getvalue()])
    dataset.file_meta.TransferSyntaxUID = JPEG2000Lossless
    np.testing.assert_array_equal(decode_dicom(as_file(dataset), "x").pixels, expected)


def test_a_picture_behind_another_is_not_taken_for_it() -> None:
    """A box before the codestream held one of the right size, and the codestream was 36 million pixels."""
    file = bytes(
        imagecodecs.jpeg2k_encode(
            np.zeros((600, 600), np.uint16), codecformat="JP2", reversible=True, level=0
        )
    )
    start = file.index(b"jp2h") - 4
    hidden = file[:start] + _boxes(b"free", _small()[:200]) + file[start:]
    with pytest.raises(InputRejected, match="announce 260x320 gray pixels.*600x600"):
        decode_dicom(_file(hidden), "x")


@pytest.mark.parametrize(
    "cut",
    [b"\x00\x00\x00\x0cjP  \r\n\x87\n", _small("JP2")[:60], _small()[:30], b"\xff\x4f\xff\x51"],
)
def test_boxes_and_headers_that_are_cut(cut: bytes) -> None:
    with pytest.raises(InputRejected) as rejected:
        decode_dicom(_file(cut), "x")
    assert rejected.value.code in ("truncated", "unreadable")


def test_memory_is_that_of_the_picture(tmp_path: Path) -> None:
    """Of these the first took 1 GiB, from 1 KB."""
    contents = {
        "blocks": _file(_styled(_large(), block=0), large=True),
        "precincts": _file(_styled(_large(), precinct=0), large=True),
        "layers": _file(_styled(_large(), layers=65535, precinct=0x55), large=True),
        "tiles": _file(_tiled(_large(), 25), large=True),
        "palette": _file(_with_palette()),
        "large": _file(_large(), large=True),
        # As much as a file may have, where the decoder takes most: 750 MB.
        "noise": _file(_noise() + bytes(2**24), large=True),
        "behind the picture": _file(_small() + bytes(100 * 2**20)),
        # Its entries became a list of 30 million numbers: 800 MB.
        "table of offsets": _with_offsets(bytes(100 * 2**20)),
    }
    files = {}
    for name, content in contents.items():
        files[name] = tmp_path / name
        files[name].write_bytes(content)
    readings = read_each(files)
    assert {name: r for name, r in readings.items() if r.peak_mib > 600} == {}
    refused = {name for name, reading in readings.items() if reading.outcome == "unreadable"}
    assert refused == {"blocks", "precincts", "layers", "tiles"}
    assert readings["behind the picture"].outcome == "too-large"
    assert readings["noise"].outcome == readings["table of offsets"].outcome == "read"
    assert max(readings[name].peak_mib for name in refused) < 300


def test_a_jpeg_ls_of_another_size_in_its_parameters() -> None:
    """T.87 lets a segment after the frame's, or before it, say a size beyond 65535 (C.2.4.1.4)."""
    stream = bytes(imagecodecs.jpegls_encode(np.ascontiguousarray(drawn_chest())))
    larger = b"\xff\xf8" + struct.pack(">HBBII", 12, 4, 4, 60_000, 60_000)
    with pytest.raises(InputRejected):
        decode_dicom(_file(stream[:2] + larger + stream[2:], syntax=JPEGLSLossless), "x")
