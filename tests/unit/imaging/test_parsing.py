"""The one reader of DICOM files: in bounds of elements, bytes and depth, whoever asks."""

from __future__ import annotations

import ast
import io
import struct
import zlib
from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless

import infmap_kit
from dicom_files import LOSSLESS, as_file, chest_dataset, encoded
from infmap_kit.errors import InputRejected
from infmap_kit.imaging.dicom.dataset import read_dataset, read_header
from infmap_kit.imaging.dicom.reader import decode_dicom
from memory import read_each

_FIRST = b"\x08\x00\x16\x00UI"
_READERS = {
    "dcmread",
    "read_file",
    "read_partial",
    "read_dataset",
    "read_file_meta_info",
    "read_sequence",
}


def _with(extra: bytes) -> bytes:
    content = as_file(chest_dataset())
    start = content.index(_FIRST)
    return content[:start] + extra + content[start:]


def _refused(content: bytes) -> str:
    """Why: the same by both ways to read."""
    reasons = []
    for read in (read_dataset, lambda data: read_header(io.BytesIO(data))):
        with pytest.raises(InputRejected) as rejected:
            read(content)
        assert rejected.value.code == "too-large"
        reasons.append(rejected.value.reason)
    assert reasons[0] == reasons[1]
    return reasons[0]


def test_nobody_else_calls_pydicoms_reader() -> None:
    root = Path(infmap_kit.__file__).parents[2]
    callers = set()
    for package in (root / "toolkit", root / "training"):
        for path in package.rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                names = {
                    alias.name
                    for alias in getattr(node, "names", [])
                    if isinstance(alias, ast.alias)
                }
                if str(getattr(node, "module", "")).startswith("pydicom") and names & _READERS:
                    callers.add(path.relative_to(root).as_posix())
    assert callers == {"toolkit/infmap_kit/imaging/dicom/parsing.py"}


def test_sequences_inside_each_other() -> None:
    item = b"\x08\x00\x40\x11SQ\x00\x00\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    assert "inside each other" in _refused(_with(item * 20_000))


def test_millions_of_elements() -> None:
    assert "tens of thousands" in _refused(_with(b"\x08\x00\x00\x10LO\x00\x00" * 2**20))


def test_long_values_in_a_sequence_that_nobody_asks_for() -> None:
    """It has no length, so that it must be parsed to be passed over; 8 GiB of 16 senders at once."""
    value = struct.pack("<HH2sHI", 0x0009, 0x1001, b"OB", 0, 2**26) + bytes(2**26)
    start = b"\x09\x00\x02\x10SQ\x00\x00\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    end = b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0"
    assert "MiB of attributes" in _refused(_with(start + value + end))
    # With its length it is passed over.
    read_dataset(_with(value))


def test_a_sequence_of_a_hundred_thousand_items() -> None:
    """It is parsed whole when its first item is asked for: 5 s."""
    items = b"\xfe\xff\x00\xe0\0\0\0\0" * 100_000
    name = struct.pack("<HH2sHI", 0x0008, 0x2218, b"SQ", 0, len(items))
    assert "1000 items, found 100000" in _refused(_with(name + items))


def test_a_long_value_of_a_tag_that_is_asked_for() -> None:
    for length, reason in (
        (2**17, "values of at most 64 KiB"),
        (2**22, "values of at most 64 KiB"),
    ):
        name = struct.pack("<HH2sHI", 0x0010, 0x0021, b"UN", 0, length) + b"x" * length
        assert reason in _refused(_with(name))


@pytest.mark.parametrize("syntax", [JPEGLSLossless, JPEG2000Lossless])
def test_a_compressed_picture_that_is_cut(syntax: str, tmp_path: Path) -> None:
    """All attributes were gone then, and it was refused for a modality that it has."""
    content = encoded(chest_dataset(), syntax, tmp_path)
    start = content.index(b"\xe0\x7f\x10\x00") + 12
    for end in (start + 8, start + 300, len(content) - 8):
        with pytest.raises(InputRejected, match="in the middle of its compressed") as rejected:
            decode_dicom(content[:end], "x")
        assert rejected.value.code == "truncated"


def test_what_does_not_begin_as_dicom_does() -> None:
    with pytest.raises(InvalidDicomError):
        read_header(io.BytesIO(bytes(200) + b"\x08\x00\x16\x00"))


def test_a_deflated_file_without_preamble_is_not_inflated_whole(tmp_path: Path) -> None:
    """The check looked for its meta information behind the preamble only, and pydicom inflated all: 1 GiB."""
    only = Dataset()
    only.file_meta = chest_dataset().file_meta
    only.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    only.SOPClassUID, only.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1", "1.2.3"
    head = as_file(only)
    meta = head[132 : 144 + struct.unpack_from("<I", head, 140)[0]]
    plain = as_file(chest_dataset())
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = packer.compress(plain[plain.index(_FIRST) :])
    path = tmp_path / "small"
    path.write_bytes(meta + body + packer.copy().flush())
    body += packer.compress(struct.pack("<HH2sHI", 0x7FE1, 0x1001, b"OB", 0, 2**30))
    body += b"".join(packer.compress(bytes(2**24)) for _ in range(64)) + packer.flush()
    (tmp_path / "bomb").write_bytes(meta + body)
    readings = read_each({name: tmp_path / name for name in ("small", "bomb")})
    assert readings["small"].outcome == "read"
    assert readings["bomb"].outcome == "too-large"
    assert readings["bomb"].peak_mib < 400


@pytest.mark.parametrize("syntax", LOSSLESS.values(), ids=LOSSLESS)
def test_every_way_to_read_finds_the_same_attributes(syntax: str, tmp_path: Path) -> None:
    content = encoded(chest_dataset(), syntax, tmp_path)
    whole = read_dataset(content)
    if syntax == DeflatedExplicitVRLittleEndian:
        with pytest.raises(InputRejected, match="not deflated"):
            read_header(io.BytesIO(content))
        return
    stream = io.BytesIO(content)
    header = read_header(stream)
    del whole.PixelData
    assert header == whole
    assert header.file_meta == whole.file_meta
    little = "big" not in {uid: name for name, uid in LOSSLESS.items()}[syntax]
    assert stream.read(4) == (b"\xe0\x7f\x10\x00" if little else b"\x7f\xe0\x00\x10")
