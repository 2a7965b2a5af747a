"""Archives in which every byte is accounted for."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from pathlib import Path

import pytest

from infmap_kit.errors import BundleError
from infmap_kit.release.archive import CHECKSUM, read_archive, write_archive

FILES = {"one.json": b"{}", "folder/two.bin": bytes(range(256)) * 5, "empty": b""}


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    write_archive(tmp_path / "a.bundle", FILES, sign=lambda digest: digest + digest)
    return tmp_path / "a.bundle"


def test_what_was_written_is_read(archive: Path) -> None:
    seen = []
    read = read_archive(archive, verify=lambda *signed: seen.append(signed))
    assert read.files == FILES
    assert read.signed
    ((digest, signature),) = seen
    assert signature == digest + digest


def test_tar_reads_it_too(archive: Path) -> None:
    with tarfile.open(archive) as tar:
        assert tar.getnames() == [*FILES, "signature.ed25519", CHECKSUM]
        inside = tar.extractfile("folder/two.bin")
        assert inside is not None
        assert inside.read() == FILES["folder/two.bin"]


def test_the_checksum_is_that_of_all_before_it(archive: Path) -> None:
    content = archive.read_bytes()
    with tarfile.open(archive) as tar:
        member = tar.getmember(CHECKSUM)
        inside = tar.extractfile(member)
        assert inside is not None
        digest = inside.read().decode().strip()
    assert digest == hashlib.sha256(content[: member.offset]).hexdigest()


def test_the_same_content_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_archive(tmp_path / name, FILES)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_any_flipped_bit_of_any_byte_is_found(archive: Path) -> None:
    content = archive.read_bytes()
    for position in range(len(content)):
        flipped = bytearray(content)
        flipped[position] ^= 1 << position % 8
        archive.write_bytes(flipped)
        with pytest.raises(BundleError):
            read_archive(archive)


@pytest.mark.parametrize("length", [0, 1, 511, 512, 2048, -512, -1024, -1])
def test_a_cut_off_archive_is_found(archive: Path, length: int) -> None:
    archive.write_bytes(archive.read_bytes()[:length])
    with pytest.raises(BundleError, match="cut off"):
        read_archive(archive)


def _crafted(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    """An archive by an attacker who knows how the checksum is made."""
    body = b"".join(
        info.tobuf(tarfile.USTAR_FORMAT) + content + bytes(-len(content) % 512)
        for info, content in members
    )
    digest = (hashlib.sha256(body).hexdigest() + "\n").encode()
    last = tarfile.TarInfo(CHECKSUM)
    last.size = len(digest)
    trailer = last.tobuf(tarfile.USTAR_FORMAT) + digest + bytes(-len(digest) % 512) + bytes(1024)
    path.write_bytes(body + trailer)
    return path


def _info(name: str, kind: bytes = tarfile.REGTYPE, size: int = 0) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.size, info.mode = kind, size, 0o644
    return info


@pytest.mark.parametrize(
    ("name", "kind", "reason"),
    [
        ("link", tarfile.SYMTYPE, "holds a symbolic link"),
        ("link", tarfile.LNKTYPE, "holds a hard link"),
        ("folder", tarfile.DIRTYPE, "holds a folder"),
        ("../escape", tarfile.REGTYPE, "of the name '../escape'"),
        ("/etc/passwd", tarfile.REGTYPE, "of the name '/etc/passwd'"),
        ("a/../../b", tarfile.REGTYPE, "of the name"),
        (".hidden", tarfile.REGTYPE, "of the name"),
    ],
)
def test_what_leads_out_is_refused(tmp_path: Path, name: str, kind: bytes, reason: str) -> None:
    info = _info(name, kind)
    info.linkname = "/etc/passwd" if kind != tarfile.REGTYPE else ""
    with pytest.raises(BundleError, match=reason):
        read_archive(_crafted(tmp_path / "a", (info, b"")))


def test_a_name_given_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="of the name 'a'"):
        read_archive(_crafted(tmp_path / "a", (_info("a"), b""), (_info("a"), b"")))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("bundle.json", "bundle.json/x"),
        ("a/b/c", "a/b"),
        ("spec.json", "SPEC.JSON"),
        ("a/b", "A"),
        ("signature.ed25519", "a"),
        ("a", "checksum.sha256"),
    ],
)
def test_a_name_that_another_would_hide_is_refused(tmp_path: Path, first: str, second: str) -> None:
    """Unpacked by `tar`, one of them would take the place of the other, or lie in it."""
    with pytest.raises(BundleError, match=f"of the name '{second}'"):
        read_archive(_crafted(tmp_path / "a", (_info(first), b""), (_info(second), b"")))


def test_a_size_beyond_the_end_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="not as bundles are written"):
        read_archive(_crafted(tmp_path / "a", (_info("a", size=10**9), b"")))


def test_a_tar_of_somebody_elses_is_no_bundle(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        info = tarfile.TarInfo("a")
        info.size = 3
        tar.addfile(info, io.BytesIO(b"abc"))
    with pytest.raises(BundleError, match="is no bundle"):
        read_archive(tmp_path / "a.tar")


def test_a_pipe_is_no_bundle_and_makes_nobody_wait(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BundleError, match="it is no file"):
        read_archive(tmp_path / "pipe")


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="cannot read .*No such file"):
        read_archive(tmp_path / "none")
