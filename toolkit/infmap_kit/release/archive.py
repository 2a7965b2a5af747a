"""Archives in which every byte is accounted for.

A POSIX tar (``tar tf`` lists it) of regular files only, with headers in one canonical form, so that the same
content gives the same bytes. Its last members are ``signature.ed25519``, if it is signed, over everything
before it, and ``checksum.sha256``, of everything before that.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
import tarfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from infmap_kit.errors import BundleError
from infmap_kit.model.files import write_bytes

CHECKSUM = "checksum.sha256"
SIGNATURE = "signature.ed25519"

Verify = Callable[[bytes, bytes | None], None]
"""Called with the SHA-256 digest of what was signed and the signature, or ``None`` where there is none; raises
:class:`~infmap_kit.errors.BundleError` when that is not enough."""

MAX_BYTES = 2**31
MAX_MEMBERS = 10_000

_BLOCK = 512
_END = bytes(2 * _BLOCK)
_TRAILER_BYTES = 2 * _BLOCK + len(_END)
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*(/[A-Za-z0-9_-][A-Za-z0-9_.-]*)*")
_KINDS = {
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.LNKTYPE: "a hard link",
    tarfile.DIRTYPE: "a folder",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a pipe",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Archive:
    """The files of an archive that was checked, by name, and whether it bears a signature."""

    files: dict[str, bytes]
    signed: bool


@dataclasses.dataclass(frozen=True)
class _Member:
    name: str
    header_offset: int
    size: int

    @property
    def offset(self) -> int:
        return self.header_offset + _BLOCK

    @property
    def end(self) -> int:
        return self.offset + self.size + -self.size % _BLOCK


def write_archive(
    path: Path, files: Mapping[str, bytes], *, sign: Callable[[bytes], bytes] | None = None
) -> str:
    """Write an archive; written beside and renamed.

    Parameters
    ----------
    path
        File to write.
    files
        Name to content; written in this order.
    sign
        Makes the signature of a SHA-256 digest.

    Returns
    -------
    str
        The archive's checksum, in hexadecimal.
    """
    parts = [part for name, content in files.items() for part in _member(name, content)]
    if sign is not None:
        signature = sign(hashlib.sha256(b"".join(parts)).digest())
        parts += _member(SIGNATURE, signature)
    digest = hashlib.sha256(b"".join(parts)).hexdigest()
    try:
        write_bytes(path, b"".join([*parts, _trailer(digest)]))
    except OSError as error:
        raise BundleError(f"cannot write {path}: {error.strerror}") from error
    return digest


def read_archive(path: Path, *, verify: Verify = lambda *_: None) -> Archive:
    """Check an archive and its signature from the first byte to the last, then read its files.

    Raises
    ------
    BundleError
        When it is no such archive, is cut off, was altered in any byte, or holds links, folders or names that
        lead out of it.
    """
    # Read once: what is checked is what is used, whatever happens to the file meanwhile.
    content = _content(path)
    end = len(content) - _TRAILER_BYTES
    if content[end:] != _trailer(hashlib.sha256(content[:end]).hexdigest()):
        raise BundleError(
            f"{path} is no bundle, is cut off, or was altered (its checksum does not fit): fetch it again"
        )
    members = list(_members(path, content[:end]))
    signed, signature = end, None
    if members and members[-1].name == SIGNATURE:
        last = members.pop()
        signed, signature = last.header_offset, bytes(content[last.offset :][: last.size])
    verify(hashlib.sha256(content[:signed]).digest(), signature)
    files = {member.name: bytes(content[member.offset :][: member.size]) for member in members}
    return Archive(files=files, signed=signature is not None)


def is_archive(path: Path) -> bool:
    """Whether a file begins like an archive."""
    try:
        with path.open("rb") as file:
            return file.read(_BLOCK)[257:262] == b"ustar"
    except OSError:
        return False


def _content(path: Path) -> memoryview:
    try:
        # A pipe would make it wait.
        if path.exists() and not path.is_file():
            raise BundleError(f"cannot read {path}: it is no file")
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise BundleError(f"cannot read {path}: {error.strerror}") from error
    if len(content) > MAX_BYTES:
        raise BundleError(f"{path} has more than {MAX_BYTES} bytes, which no bundle has")
    if len(content) < _TRAILER_BYTES or len(content) % _BLOCK:
        raise BundleError(f"{path} is no bundle, or is cut off: fetch it again")
    return memoryview(content)


def _member(name: str, content: bytes) -> list[bytes]:
    if not _NAME.fullmatch(name) or len(name) > 100:
        raise BundleError(f"a bundle cannot hold a file of the name {name!r}")
    return [_header(name, len(content)), content, bytes(-len(content) % _BLOCK)]


def _header(name: str, size: int) -> bytes:
    """The one form in which a file's header is written."""
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = size, 0o644, 0
    return info.tobuf(tarfile.USTAR_FORMAT)


def _trailer(digest: str) -> bytes:
    return b"".join([*_member(CHECKSUM, f"{digest}\n".encode()), _END])


def _members(path: Path, content: memoryview) -> Iterator[_Member]:
    offset, names, folders = 0, set[str](), set[str]()
    while offset < len(content):
        block = bytes(content[offset : offset + _BLOCK])
        try:
            info = tarfile.TarInfo.frombuf(block, "ascii", "strict")
        except (tarfile.HeaderError, UnicodeDecodeError) as error:
            raise BundleError(f"{path} is no bundle: {error} at byte {offset}") from error
        if info.type in _KINDS:
            raise BundleError(
                f"{path} holds {_KINDS[info.type]} ({info.name!r}), not plain files alone: bundle again"
            )
        # As file systems without large and small letters, which it may be unpacked on, see it.
        name = info.name.lower()
        around = {name[: match.start()] for match in re.finditer("/", name)}
        taken = name in names | folders or not names.isdisjoint({*around, SIGNATURE})
        if not _NAME.fullmatch(info.name) or taken or name == CHECKSUM or len(names) >= MAX_MEMBERS:
            raise BundleError(
                f"{path} holds a file of the name {info.name!r}, which no bundle has: bundle again"
            )
        member = _Member(info.name, offset, info.size)
        if block != _header(info.name, info.size) or member.end > len(content):
            raise BundleError(
                f"{path} is not as bundles are written, at {info.name!r}: bundle again"
            )
        names.add(name)
        folders |= around
        yield member
        offset = member.end
