"""Triton model repositories: published whole or not at all, and checked before they are served."""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import errno
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import infmap_kit
from infmap_kit.errors import ExportError, SpecError
from infmap_kit.spec import read_json, sha256_of, write_json

MANIFEST = "manifest.json"
_SCHEMA = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Manifest:
    """``manifest.json``: what a repository holds and where it came from.

    Parameters
    ----------
    target, precision
        What the engines are made for, and what they compute in.
    model
        Name, version, network and provenance of the trained model.
    files
        Path below the repository to SHA-256, of every file but the manifest.
    built_with
        Versions of what made it.
    """

    target: str
    precision: str
    model: dict[str, Any]
    files: dict[str, str]
    built_with: dict[str, str]
    schema: int = _SCHEMA

    @classmethod
    def read(cls, repository: Path) -> Self:
        """Read a repository's manifest.

        Raises
        ------
        SpecError
            When there is none, or it is damaged or of a newer kind.
        """
        path = repository / MANIFEST
        if not path.is_file():
            raise SpecError(f"{repository} has no {MANIFEST}: fill it with `infmap-kit export`")
        document = read_json(path)
        if document.get("schema") != _SCHEMA:
            raise SpecError(
                f"expected {path} of schema {_SCHEMA}, found {document.get('schema')!r}: "
                "export again with this version"
            )
        try:
            return cls(**document)
        except TypeError as error:
            raise SpecError(f"{path} is not a manifest: {error}") from error


def versions(*packages: str) -> dict[str, str]:
    """Installed versions of ``packages``, of Python and of infmap-kit."""
    from importlib.metadata import PackageNotFoundError, version

    found = {"infmap-kit": infmap_kit.__version__, "python": platform.python_version()}
    for package in packages:
        with contextlib.suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def check_repository(repository: Path) -> Manifest:
    """Compare every file of a repository with its manifest.

    Raises
    ------
    SpecError
        Naming the file that was altered, is missing, is a link or is not in the manifest.
    """
    manifest = Manifest.read(repository)
    present = set(_files(repository))
    expected = set(manifest.files)
    for name in sorted(expected - present):
        raise SpecError(f"{repository} lacks {name}: export again")
    for name in sorted(present - expected):
        raise SpecError(
            f"{repository} holds {name}, which its manifest does not name: export again"
        )
    for name, digest in sorted(manifest.files.items()):
        if sha256_of(repository / name) != digest:
            raise SpecError(
                f"{repository / name} is not what was exported (SHA-256 differs): export again"
            )
    return manifest


@contextlib.contextmanager
def publishing(repository: Path) -> Iterator[Path]:
    """A new folder beside ``repository`` that takes its place when the block ends well.

    The two folders change names in one step of the file system (``renameat2`` with exchange), so
    that whoever looks finds the old repository or the new one, whole.

    Raises
    ------
    ExportError
        When ``repository`` is no repository, or its file system cannot exchange folders.
    """
    repository = repository.absolute()
    _refuse_foreign(repository)
    try:
        repository.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(repository)
        beside = Path(
            tempfile.mkdtemp(prefix=f"{_prefix(repository)}{os.getpid()}-", dir=repository.parent)
        )
    except OSError as error:
        raise ExportError(f"cannot write beside {repository}: {error.strerror}") from error
    beside.chmod(0o755)
    try:
        yield beside
        _sync(beside)
        if repository.exists():
            _exchange(beside, repository)
        else:
            beside.rename(repository)
        _sync_folder(repository.parent)
    except OSError as error:
        raise ExportError(f"cannot publish {repository}: {error}") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def write_manifest(
    folder: Path,
    *,
    target: str,
    precision: str,
    model: Mapping[str, Any],
    built_with: Mapping[str, str],
) -> Manifest:
    """Hash everything in ``folder`` and write its manifest."""
    manifest = Manifest(
        target=target,
        precision=precision,
        model=dict(model),
        files={name: sha256_of(folder / name) for name in sorted(_files(folder))},
        built_with=dict(built_with),
    )
    write_json(folder / MANIFEST, dataclasses.asdict(manifest))
    return manifest


def _files(repository: Path) -> Iterator[str]:
    for path in sorted(repository.rglob("*")):
        name = path.relative_to(repository).as_posix()
        if path.is_symlink():
            raise SpecError(f"{path} is a link; a repository holds plain files only")
        # Python writes caches beside the runner when a server loads it.
        if path.is_file() and name != MANIFEST and "__pycache__" not in path.parts:
            yield name


def _prefix(repository: Path) -> str:
    return f".{repository.name}.part-"


def _refuse_foreign(repository: Path) -> None:
    if repository.is_symlink() or (repository.exists() and not repository.is_dir()):
        raise ExportError(f"expected a folder, found {repository}: name another repository")
    if not repository.is_dir():
        return
    strangers = [
        child.name
        for child in repository.iterdir()
        if child.name != MANIFEST and not (child / "config.pbtxt").is_file()
    ]
    if strangers:
        raise ExportError(
            f"{repository} holds {', '.join(sorted(strangers)[:3])}, which no export made and which "
            "publishing would replace: name another repository"
        )


def _remove_leftovers(repository: Path) -> None:
    """Take away what a killed export left beside the repository; one that still runs keeps its own."""
    for leftover in repository.parent.glob(f"{_prefix(repository)}*"):
        owner = leftover.name.removeprefix(_prefix(repository)).partition("-")[0]
        if not Path(f"/proc/{owner}").exists():
            shutil.rmtree(leftover, ignore_errors=True)


def _sync(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
    _sync_folder(folder)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


def _exchange(one: Path, other: Path) -> None:
    """Let two folders change names in one step (Linux ``renameat2``; Python has no call for it)."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE):
        code = ctypes.get_errno()
        if code in (errno.EINVAL, errno.ENOSYS, errno.EBUSY):
            raise ExportError(
                f"{other} cannot be replaced in one step ({os.strerror(code)}): put the repository on "
                "a local file system, below a mount point and not on it"
            )
        raise OSError(code, os.strerror(code))
