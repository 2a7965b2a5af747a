"""Files of any kind: the right decoder by content, or a reason that names the file."""

from __future__ import annotations

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
from numpy.typing import NDArray

from infmap_kit.errors import InputRejected
from infmap_kit.imaging.readers import decode_radiograph, has_picture_signature, read_radiograph


@pytest.fixture
def gray() -> NDArray[np.uint8]:
    return np.add.outer(np.arange(90), np.arange(110)).astype(np.uint8)


def _encoded(suffix: str, picture: NDArray[Any]) -> bytes:
    return cv2.imencode(suffix, picture)[1].tobytes()


def _huge_png(side: int) -> bytes:
    """A sound PNG of that size, black, of some hundred kilobytes."""
    packer = zlib.compressobj(9)
    row = bytes(side + 1)
    data = b"".join([packer.compress(row) for _ in range(side)]) + packer.flush()

    def chunk(kind: bytes, content: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + check

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    return start + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def _rejected(path: Path) -> InputRejected:
    with pytest.raises(InputRejected) as rejected:
        read_radiograph(path)
    message = str(rejected.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return rejected.value


def test_content_counts_and_not_the_suffix(tmp_path: Path, gray: NDArray[np.uint8]) -> None:
    for suffix, name in ((".png", "scan.dcm"), (".tif", "scan.jpg"), (".png", "scan")):
        path = tmp_path / name
        path.write_bytes(_encoded(suffix, gray))
        radiograph = read_radiograph(path)
        np.testing.assert_array_equal(radiograph.pixels, gray)
        assert radiograph.name == name


@pytest.mark.parametrize(
    ("content", "code", "actual"),
    [
        (b"", "empty", "an empty file"),
        (b"Dear colleague, the picture follows.\n", "unknown-format", "found text"),
        (b"%PDF-1.7\n", "unknown-format", "a PDF"),
        (b"GIF89a\0\0", "unknown-format", "a GIF"),
        (bytes(range(1, 200)), "unknown-format", "none of their signatures"),
        (b"\x89PNG\r\n\x1a\n", "truncated", "ends inside its header"),
        (b"\xff\xd8\xff\xe0", "truncated", "ends inside its header"),
        (b"II*\0\x08\0\0\0", "truncated", "ends inside its header"),
        (b"MM\0*\xff\xff\xff\xff", "truncated", "ends inside its header"),
        (b"\x08\0\x05\0", "unknown-format", "none of their signatures"),
    ],
)
def test_what_is_no_picture(tmp_path: Path, content: bytes, code: str, actual: str) -> None:
    path = tmp_path / "scan.png"
    path.write_bytes(content)
    rejected = _rejected(path)
    assert rejected.code == code
    assert actual in str(rejected)


@pytest.mark.parametrize(
    ("picture", "code"),
    [
        (np.full((1, 1), 9, np.uint8), "too-small"),
        (np.zeros((200, 200), np.uint8), "blank"),
        (np.full((200, 200), 30000, np.uint16), "blank"),
    ],
)
def test_pictures_that_show_nothing(tmp_path: Path, picture: NDArray[Any], code: str) -> None:
    path = tmp_path / "scan.png"
    path.write_bytes(_encoded(".png", picture))
    assert _rejected(path).code == code


def test_a_cut_jpeg(tmp_path: Path, gray: NDArray[np.uint8]) -> None:
    path = tmp_path / "scan.jpg"
    content = _encoded(".jpg", gray)
    path.write_bytes(content[: len(content) * 3 // 4])
    assert _rejected(path).code == "truncated"


def test_a_huge_picture_is_refused_without_being_decoded(tmp_path: Path) -> None:
    path = tmp_path / "huge.png"
    path.write_bytes(_huge_png(20_000))
    script = (
        "import resource, sys; from pathlib import Path\n"
        "from infmap_kit.errors import InputRejected\n"
        "from infmap_kit.imaging.readers import read_radiograph\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try: read_radiograph(Path(sys.argv[1]))\n"
        "except InputRejected as rejected: print(rejected.code)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True
    )
    code, more_kib = answer.stdout.split()
    assert code == "too-large"
    assert int(more_kib) < 20_000


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.dcm"
    with path.open("wb") as file:
        file.truncate(200 * 2**20)
    rejected = _rejected(path)
    assert rejected.code == "too-large"
    assert "at most 128 MiB, found 200 MiB" in str(rejected)


def test_what_is_no_file(tmp_path: Path) -> None:
    assert _rejected(tmp_path / "nowhere.png").code == "missing"
    assert _rejected(tmp_path).code == "not-a-file"
    wanted = "expected a PNG, JPEG, TIFF or DICOM file, found"
    assert f"{wanted} an empty folder: check the path" in str(_rejected(tmp_path))
    (tmp_path / "notes.csv").touch()
    assert f"{wanted} a folder: name files in it" in str(_rejected(tmp_path))
    os.mkfifo(tmp_path / "pipe.png")
    assert f"{wanted} a pipe, socket or device" in str(_rejected(tmp_path / "pipe.png"))
    (tmp_path / "loop.png").symlink_to("loop.png")
    assert _rejected(tmp_path / "loop.png").code == "unreadable"
    assert _rejected(tmp_path / ("x" * 300)).code == "unreadable"


def test_decoding_names_what_it_was_given() -> None:
    with pytest.raises(InputRejected, match=r"^bed 7: expected a picture, found an empty file$"):
        decode_radiograph(b"", "bed 7")


def test_signatures(gray: NDArray[np.uint8]) -> None:
    for suffix in (".png", ".jpg", ".tif"):
        assert has_picture_signature(_encoded(suffix, gray)[:132])
    assert has_picture_signature(b"II*\0" + bytes(124) + b"DICM")
    assert not has_picture_signature(b"BM" + bytes(130))
    assert not has_picture_signature(b"")


@settings(max_examples=200, deadline=5000)
@given(content=st.binary(max_size=400), start=st.sampled_from([b"", b"\x89PNG\r\n\x1a\n",
       b"\xff\xd8\xff", b"II*\0", b"MM\0*", bytes(128) + b"DICM", b"\x08\0\x05\0CS"]))  # fmt: skip
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_random_bytes_are_refused(content: bytes, start: bytes) -> None:
    with pytest.raises(InputRejected):
        decode_radiograph(start + content, "x")


def test_a_picture_is_read_without_pydicom(tmp_path: Path, gray: NDArray[np.uint8]) -> None:
    path = tmp_path / "scan.png"
    path.write_bytes(_encoded(".png", gray))
    script = (
        "import sys; from pathlib import Path\n"
        "from infmap_kit.imaging.readers import read_radiograph\n"
        "read_radiograph(Path(sys.argv[1]))\n"
        "print([n for n in ('pydicom', 'matplotlib', 'tensorflow') if n in sys.modules])\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "[]"
