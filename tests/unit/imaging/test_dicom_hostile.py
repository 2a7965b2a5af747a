"""Files that were made to break something: a result or a named reject, in bounded time and memory."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    RLELossless,
)

from dicom_files import LOSSLESS, as_file, chest_dataset, drawn_chest, encoded
from infmap_kit.errors import InputRejected
from infmap_kit.imaging.dicom.parsing import MAX_INFLATED_BYTES
from infmap_kit.imaging.dicom.reader import decode_dicom

_HERE = Path(__file__).resolve().parents[2]

PEAK_MIB = 300
"""Most memory that a reader of small files may ever need, interpreter and libraries included."""

LARGEST_MIB = 400
"""The same for the largest picture that is accepted."""


def _rejected(content: bytes) -> InputRejected:
    with pytest.raises(InputRejected) as rejected:
        decode_dicom(content, "x")
    assert "Secret" not in str(rejected.value)
    return rejected.value


def _encapsulated(codestream: bytes, syntax: str, **tags: Any) -> bytes:
    dataset = chest_dataset(**tags)
    dataset.PixelData = encapsulate([codestream])
    dataset["PixelData"].VR = "OB"
    dataset.file_meta.TransferSyntaxUID = syntax
    return as_file(dataset)


def test_a_deflate_bomb_is_not_inflated_whole() -> None:
    # A valid data set, then a private element of 256 MiB of zeros: a quarter of a MiB deflated.
    head = as_file(chest_dataset())
    start = head.index(b"\x08\x00\x16\x00UI")
    meta = _encapsulated_meta()
    deflater = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = deflater.compress(head[start:])
    body += deflater.compress(struct.pack("<HH2sHI", 0x7FE1, 0x1001, b"OB", 0, 2**28))
    zeros = bytes(2**24)
    for _ in range(2**28 // len(zeros)):
        body += deflater.compress(zeros)
    content = meta + body + deflater.flush()
    assert len(content) < 2**20
    rejected = _rejected(content)
    assert rejected.code == "too-large"
    assert rejected.found == {"limit_bytes": MAX_INFLATED_BYTES}


def _encapsulated_meta() -> bytes:
    dataset = Dataset()
    dataset.file_meta = chest_dataset().file_meta
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.1"
    dataset.SOPInstanceUID = "1.2.3"
    content = as_file(dataset)
    length = struct.unpack_from("<I", content, 140)[0]
    return content[: 144 + length]


def test_a_jpeg_that_announces_more_than_its_tags() -> None:
    values = (drawn_chest() // 16).astype(np.uint8)
    jpeg = bytearray(cv2.imencode(".jpg", values)[1].tobytes())
    frame = jpeg.index(b"\xff\xc0")
    struct.pack_into(">HH", jpeg, frame + 5, 65500, 65500)
    rejected = _rejected(
        _encapsulated(bytes(jpeg), JPEGBaseline8Bit, BitsAllocated=8, BitsStored=8, HighBit=7)
    )
    assert rejected.code == "unreadable"
    assert rejected.found == {"width": 65500, "height": 65500, "samples": 1}


@pytest.mark.parametrize(
    ("fields", "value", "reason"),
    [
        ((0,), 2**31, "announce"),
        ((1,), 40000, "announce"),
        ((4,), 0, "tiles"),
        ((4, 5), 1, "tiles"),
    ],
)
def test_a_jpeg_2000_that_announces_more(
    fields: tuple[int, ...], value: int, reason: str, tmp_path: Path
) -> None:
    content = bytearray(encoded(chest_dataset(), JPEG2000Lossless, tmp_path))
    size = content.index(b"\xff\x4f\xff\x51")
    # Two markers, a length, capabilities; then Xsiz, Ysiz, XOsiz, YOsiz, XTsiz, YTsiz.
    for field in fields:
        struct.pack_into(">I", content, size + 8 + 4 * field, value)
    rejected = _rejected(bytes(content))
    assert rejected.code == "unreadable"
    assert reason in str(rejected)


def test_an_rle_bomb() -> None:
    runs = b"\x81\x00" * 2**21
    header = struct.pack("<16I", 2, 64, 64 + len(runs), *([0] * 13))
    rejected = _rejected(_encapsulated(header + runs + runs, RLELossless))
    assert rejected.code == "too-large"


@pytest.mark.parametrize("count", [0, 16, 2**31])
def test_rle_segments_that_cannot_be(count: int) -> None:
    header = struct.pack("<16I", count, *([64] * 15))
    assert _rejected(_encapsulated(header + b"\x00" * 90, RLELossless)).code == "unreadable"


def test_a_huge_picture_is_refused_by_its_tags() -> None:
    assert _rejected(as_file(chest_dataset(Rows=60000, Columns=60000))).code == "too-large"


def test_millions_of_elements() -> None:
    content = as_file(chest_dataset())
    start = content.index(b"\x08\x00\x16\x00UI")
    empty = b"\x08\x00\x00\x10LO\x00\x00" * 2**20
    rejected = _rejected(content[:start] + empty + content[start:])
    assert rejected.code == "too-large"


def test_deeply_nested_sequences() -> None:
    content = as_file(chest_dataset())
    start = content.index(b"\x08\x00\x16\x00UI")
    item = b"\x08\x00\x40\x11SQ\x00\x00\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    rejected = _rejected(content[:start] + item * 20000 + content[start:])
    assert rejected.code in ("unreadable", "too-large")


def test_a_long_sequence_is_not_looked_into() -> None:
    item = Dataset()
    item.LUTDescriptor, item.LUTExplanation = [4096, 0, 8], "x" * 60
    item.add_new("LUTData", "US", [0] * 4096)
    content = as_file(chest_dataset(VOILUTSequence=Sequence([item] * 200)))
    assert _rejected(content).code == "too-large"


_NUMBERS = {
    "Rows": st.integers(0, 65535),
    "Columns": st.integers(0, 65535),
    "BitsAllocated": st.integers(0, 65535),
    "BitsStored": st.integers(0, 65535),
    "HighBit": st.integers(0, 65535),
    "PixelRepresentation": st.integers(0, 65535),
    "SamplesPerPixel": st.integers(0, 65535),
    "PixelPaddingValue": st.integers(0, 65535),
    "NumberOfFrames": st.integers(-(2**31), 2**31 - 1),
    "WindowCenter": st.floats(-1e30, 1e30),
    "WindowWidth": st.floats(-1e30, 1e30),
    "RescaleSlope": st.floats(-1e30, 1e30),
    "RescaleIntercept": st.floats(-1e30, 1e30),
    "VOILUTFunction": st.sampled_from(["LINEAR", "LINEAR_EXACT", "SIGMOID", "", "X"]),
    "PhotometricInterpretation": st.sampled_from(["MONOCHROME1", "MONOCHROME2", "RGB", "", "X"]),
    "PatientOrientation": st.lists(st.sampled_from(["A", "F", "L", "R", "H", "", "Q"]), max_size=3),
    "PatientAge": st.text("0123456789YMWD", max_size=4),
}


@settings(max_examples=250, deadline=5000)
@given(tags=st.fixed_dictionaries({}, optional=_NUMBERS))
@pytest.mark.filterwarnings("ignore")
def test_any_tags_give_a_picture_or_a_reason(tags: dict[str, Any]) -> None:
    small = drawn_chest()[:80, :70]
    dataset = chest_dataset(np.ascontiguousarray(small))
    for keyword, value in tags.items():
        if isinstance(value, float):
            value = f"{value:.9g}"[:16]
        setattr(dataset, keyword, value)
    try:
        content = as_file(dataset)
    except (OSError, ValueError, OverflowError, TypeError, struct.error):
        return
    try:
        assert decode_dicom(content, "x").pixels.dtype == np.uint8
    except InputRejected as rejected:
        assert "Secret" not in str(rejected)  # noqa: PT017


def _fuzz(folder: Path, seed: int, count: int) -> dict[str, Any]:
    for name, syntax in LOSSLESS.items():
        small = np.ascontiguousarray(drawn_chest()[:200, :160])
        (folder / name).write_bytes(encoded(chest_dataset(small), syntax, folder.parent))
    done = subprocess.run(
        [sys.executable, str(_HERE / "fuzz_dicom.py"), str(folder), str(seed), str(count)],
        capture_output=True, text=True, check=False, timeout=900,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert done.returncode == 0, f"died with {done.returncode}: {done.stderr[-2000:]}"
    # No library's voice either: what it would quote may be a name.
    assert "ecret" not in done.stderr
    record: dict[str, Any] = json.loads(done.stdout)
    return record


def _assert_bounded(record: dict[str, Any], count: int) -> None:
    outcomes = record["outcomes"]
    assert "unnamed" not in outcomes, record["unnamed"]
    assert "leaked" not in outcomes
    assert sum(outcomes.values()) == count
    assert outcomes["read"] > count / 20, "mutations that all fail at the door test nothing"
    assert len(outcomes) >= 5
    assert record["slowest_s"] < 10
    assert record["peak_mib"] < PEAK_MIB


def test_mutated_files(tmp_path: Path) -> None:
    (tmp_path / "seeds").mkdir()
    _assert_bounded(_fuzz(tmp_path / "seeds", 1, 1500), 1500)


@pytest.mark.slow
def test_many_mutated_files(tmp_path: Path) -> None:
    """`make fuzz` reads a hundred thousand."""
    (tmp_path / "seeds").mkdir()
    _assert_bounded(_fuzz(tmp_path / "seeds", 2, 6000), 6000)


_READ_ONE = """
import sys
from pathlib import Path
from memory import peak_mib
from infmap_kit.imaging.readers import read_radiograph
pixels = read_radiograph(Path(sys.argv[1])).pixels
print(pixels.size, peak_mib())
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("syntax", "windowed"),
    # What is decoded is shown in one of two ways, whatever it was decoded from.
    [*((syntax, True) for syntax in LOSSLESS.values()), (next(iter(LOSSLESS.values())), False)],
    ids=[*LOSSLESS, "without a window"],
)
def test_the_largest_picture_stays_within_its_memory(
    tmp_path: Path, syntax: str, windowed: bool
) -> None:
    values = cv2.resize(drawn_chest(), (6320, 6320), interpolation=cv2.INTER_NEAREST)
    tags: dict[str, Any] = {} if windowed else {"WindowCenter": None, "WindowWidth": None}
    dataset = chest_dataset(values.astype(np.uint16), **tags)
    path = tmp_path / "largest.dcm"
    path.write_bytes(encoded(dataset, syntax, tmp_path))
    done = subprocess.run(
        [sys.executable, "-c", _READ_ONE, str(path)], capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    pixels, peak = map(int, done.stdout.split())
    assert pixels == 6320 * 6320
    assert peak < LARGEST_MIB
