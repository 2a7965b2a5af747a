"""Releases of a repository: published in one step or not at all, archived, and gone back to.

::

    model_repository/             what is served
    .model_repository.releases/   what was served before, a complete repository each
        1/  2/  3/                hard links where the file system has them: they cost no space
        lock                      held while a release is published

Publishing writes beside, archives the present release, and lets the two folders change names in one step of
the file system (``renameat2`` with exchange). A crash at any moment leaves either the old repository or the
new one, complete.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from infmap_kit.errors import ExportError, SpecError
from infmap_kit.model.files import sync_folder
from infmap_kit.model.identity import adapter_text
from infmap_kit.report.table import Table
from infmap_kit.triton.repository import (
    MANIFEST,
    Manifest,
    check_repository,
    files_of,
    version_folder,
)

ARCHIVED = 5
"""Releases that are archived besides the present one."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Draft:
    """A repository that is being made.

    Parameters
    ----------
    folder
        The folder to write it into.
    release
        Its number, if it comes to be published.
    """

    folder: Path
    release: int

    def write(self, model: str, file: str, content: bytes) -> Path:
        """Write a file into a model's version folder; returns its path."""
        path = version_folder(self.folder, model, self.release) / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def take(self, repository: Path, release: int) -> None:
        """Copy a repository, whose version folders get this draft's number."""
        # Needs Triton's protobuf, which whoever lists releases or goes back to one may lack.
        from infmap_kit.triton.config import config_text, parse_config

        for name in files_of(repository):
            parts = (str(self.release) if p == str(release) else p for p in Path(name).parts)
            target = self.folder.joinpath(*parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(repository / name, target)
        for path in self.folder.glob("*/config.pbtxt"):
            config = parse_config(path.read_text(encoding="utf-8"))
            config.version_policy.specific.versions[:] = [self.release]
            path.write_text(config_text(config), encoding="utf-8")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Release:
    """A release that is served, or that can be gone back to.

    Parameters
    ----------
    manifest
        Its manifest.
    folder
        The folder that holds it.
    current
        Whether it is served.
    """

    manifest: Manifest
    folder: Path
    current: bool


@contextlib.contextmanager
def publishing(repository: Path, *, archived: int = ARCHIVED) -> Iterator[Draft]:
    """A draft beside ``repository`` that takes its place when the block ends well.

    Parameters
    ----------
    repository
        The repository to replace; the release in it is archived.
    archived
        Earlier releases that stay.

    Raises
    ------
    ExportError
        When ``repository`` is no repository, its file system cannot exchange folders, or another process
        is publishing it.
    """
    repository = repository.absolute()
    _refuse_foreign(repository)
    with _locked(repository), _beside(repository) as folder:
        numbers = [release.manifest.release for release in releases_of(repository)]
        try:
            yield Draft(folder=folder, release=max(numbers, default=0) + 1)
        except OSError as error:
            raise ExportError(f"cannot write beside {repository}: {error}") from error
        _take_place(folder, repository)
        _forget(repository, archived)


def roll_back(repository: Path, release: int | None = None) -> Manifest:
    """Serve an earlier release again.

    Parameters
    ----------
    repository
        The repository; the release in it is archived.
    release
        The number of the release to serve; without it, the highest below the present one.

    Returns
    -------
    Manifest
        The manifest of the release that is served now.

    Raises
    ------
    SpecError
        When there is no such release, or a file of it was altered.
    ExportError
        When another process is publishing, or the file system refuses.
    """
    repository = repository.absolute()
    present = Manifest.read(repository).release
    with _locked(repository):
        earlier = _earlier_release(repository, present, release)
        # Before anything moves: what is gone back to must be what was published.
        manifest = check_repository(earlier.folder)
        with _beside(repository) as folder:
            _link_all(earlier.folder, folder)
            _take_place(folder, repository)
    return manifest


def releases_of(repository: Path) -> list[Release]:
    """The present release and those that are archived, newest number first; empty when there is none."""
    repository = repository.absolute()
    releases: dict[int, Release] = {}
    for folder in (*_archive(repository).glob("[0-9]*"), repository):
        # A release that lost its manifest can no longer be gone back to.
        with contextlib.suppress(SpecError):
            manifest = Manifest.read(folder)
            current = folder == repository
            releases[manifest.release] = Release(manifest=manifest, folder=folder, current=current)
    return [releases[number] for number in sorted(releases, reverse=True)]


def releases_table(releases: Sequence[Release]) -> Table:
    """A table with a row for each release, newest first, and for networks of others what is put around them."""
    adapted = any(adapter_text(release.manifest.model) for release in releases)
    rows = []
    for release in releases:
        manifest = release.manifest
        dice = manifest.gate.get("dice")
        rows.append(
            (
                str(manifest.release),
                str(manifest.model.get("version", "-")),
                manifest.target,
                manifest.precision,
                manifest.published[:16].replace("T", " "),
                "-" if dice is None else f"{dice:.5f}",
                *([adapter_text(manifest.model)] if adapted else []),
                "served" if release.current else "",
            )
        )
    columns = ("release", "version", "target", "precision", "published (UTC)", "Dice")
    return Table("", (*columns, *(["adapter"] if adapted else []), ""), rows)


def _earlier_release(repository: Path, present: int, number: int | None) -> Release:
    archived = {r.manifest.release: r for r in releases_of(repository) if not r.current}
    if number is None:
        number = max((earlier for earlier in archived if earlier < present), default=None)
        if number is None:
            raise SpecError(f"{repository} has no release before {present} to go back to")
    elif number == present:
        raise SpecError(f"release {number} is what {repository} holds already")
    if number not in archived:
        numbers = ", ".join(map(str, archived)) or "none"
        raise SpecError(f"{repository} has no release {number}: kept are {numbers}")
    return archived[number]


def _take_place(folder: Path, repository: Path) -> None:
    """Let a folder become the repository in one step; what the repository held is archived."""
    try:
        _sync(folder)
        if repository.exists():
            _archive_present(repository)
            _exchange(folder, repository)
        else:
            folder.rename(repository)
        sync_folder(repository.parent)
    except OSError as error:
        raise ExportError(f"cannot publish {repository}: {error}") from error


def _archive_present(repository: Path) -> None:
    try:
        archived = _archive(repository) / str(Manifest.read(repository).release)
    except SpecError:
        return
    if archived.exists():
        return
    part = archived.with_name(f".{archived.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    _link_all(repository, part)
    _sync(part)
    part.rename(archived)
    sync_folder(archived.parent)


def _forget(repository: Path, archived: int) -> None:
    """Take away old releases; renamed first, so that a crash leaves no half release to go back to."""
    earlier = [release for release in releases_of(repository) if not release.current]
    for release in earlier[archived:]:
        release.folder.rename(release.folder.with_name(f".{release.folder.name}.gone"))
    for gone in _archive(repository).glob(".*.gone"):
        shutil.rmtree(gone, ignore_errors=True)


def _link_all(source: Path, target: Path) -> None:
    """Fill ``target`` with what ``source`` holds, by hard links where the file system has them."""

    def link(path: str, there: str) -> None:
        try:
            os.link(path, there, follow_symlinks=False)
        except OSError:
            shutil.copy2(path, there)

    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(
        source, target, symlinks=True, ignore=ignored, copy_function=link, dirs_exist_ok=True
    )


@contextlib.contextmanager
def _locked(repository: Path) -> Iterator[None]:
    """Let no other process publish meanwhile; the system releases the lock when the process ends."""
    folder = _archive(repository)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "lock").open("w")
    except OSError as error:
        raise ExportError(f"cannot write beside {repository}: {error.strerror}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ExportError(
                f"somebody else is publishing {repository} just now: try again when they are done"
            ) from error
        yield


@contextlib.contextmanager
def _beside(repository: Path) -> Iterator[Path]:
    """An empty folder beside ``repository``, gone at the end; so is what a killed publication left."""
    prefix = f".{repository.name}.part-"
    try:
        for leftover in repository.parent.glob(f"{prefix}*"):
            shutil.rmtree(leftover, ignore_errors=True)
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=repository.parent))
    except OSError as error:
        raise ExportError(f"cannot write beside {repository}: {error.strerror}") from error
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _archive(repository: Path) -> Path:
    return repository.with_name(f".{repository.name}.releases")


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


def _sync(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
    sync_folder(folder)


_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


def _exchange(draft: Path, repository: Path) -> None:
    """Let two folders change names in one step (Linux ``renameat2``; Python has no call for it)."""
    libc = ctypes.CDLL(None, use_errno=True)
    paths = _AT_FDCWD, os.fsencode(draft), _AT_FDCWD, os.fsencode(repository)
    if libc.renameat2(*paths, _RENAME_EXCHANGE):
        code = ctypes.get_errno()
        if code in (errno.EINVAL, errno.ENOSYS, errno.EBUSY):
            raise ExportError(
                f"{repository} cannot be replaced in one step ({os.strerror(code)}): put the repository on "
                "a local file system, below a mount point and not on it"
            )
        raise OSError(code, os.strerror(code))
