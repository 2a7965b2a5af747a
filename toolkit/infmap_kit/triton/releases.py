"""Releases of a repository: published whole or not at all, kept, and gone back to.

::

    model_repository/             what is served
    .model_repository.releases/   what was served before, a whole repository each
        1/  2/  3/                hard links where the file system has them: they cost no space
        lock                      held by whoever publishes

Publishing writes beside, keeps the present release, and lets the two folders change names in one step of
the file system (``renameat2`` with exchange). A crash at any moment leaves the old repository or the new one,
whole.
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
from infmap_kit.report.table import Table
from infmap_kit.triton.repository import MANIFEST, Manifest, check_repository

KEPT = 5
"""How many releases besides the present one are kept."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Draft:
    """A repository that is being made.

    Parameters
    ----------
    folder
        Where to write it.
    release
        Its number, if it comes to be published.
    """

    folder: Path
    release: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Release:
    """A release that is served, or that can be gone back to.

    Parameters
    ----------
    manifest
        What it is.
    folder
        Where it lies.
    current
        Whether it is the one that is served.
    """

    manifest: Manifest
    folder: Path
    current: bool


@contextlib.contextmanager
def publishing(repository: Path, *, kept: int = KEPT) -> Iterator[Draft]:
    """A draft beside ``repository`` that takes its place when the block ends well.

    Parameters
    ----------
    repository
        What will be replaced; the release in it is kept.
    kept
        How many earlier releases stay.

    Raises
    ------
    ExportError
        When ``repository`` is no repository, its file system cannot exchange folders, or somebody else
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
        _forget(repository, kept)


def roll_back(repository: Path, release: int | None = None) -> Manifest:
    """Serve an earlier release again.

    Parameters
    ----------
    repository
        Where; the release in it is kept.
    release
        Its number; the one before the present one, when it is not given.

    Returns
    -------
    Manifest
        Of what is served now.

    Raises
    ------
    SpecError
        When there is no such release, or a file of it was altered.
    ExportError
        When somebody else is publishing, or the file system refuses.
    """
    repository = repository.absolute()
    present = Manifest.read(repository).release
    with _locked(repository):
        wanted = _release_to_go_back_to(repository, present, release)
        # Before anything moves: what is gone back to must be what was published.
        manifest = check_repository(wanted.folder)
        with _beside(repository) as folder:
            _link_all(wanted.folder, folder)
            _take_place(folder, repository)
    return manifest


def releases_of(repository: Path) -> list[Release]:
    """The present release and those that are kept, newest number first; empty when there is none."""
    repository = repository.absolute()
    found: dict[int, Release] = {}
    folders = [folder for folder in _kept_folder(repository).glob("[0-9]*") if folder.is_dir()]
    for folder in [*folders, repository]:
        # One that lost its manifest can no longer be gone back to.
        with contextlib.suppress(SpecError):
            manifest = Manifest.read(folder)
            current = folder == repository
            found[manifest.release] = Release(manifest=manifest, folder=folder, current=current)
    return [found[number] for number in sorted(found, reverse=True)]


def releases_table(releases: Sequence[Release]) -> Table:
    """One row a release, newest first."""
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
                "served" if release.current else "",
            )
        )
    columns = ("release", "version", "target", "precision", "published (UTC)", "Dice", "")
    return Table("", columns, rows)


def _release_to_go_back_to(repository: Path, present: int, release: int | None) -> Release:
    kept = [one for one in releases_of(repository) if not one.current]
    if release is None:
        kept = [one for one in kept if one.manifest.release < present]
        if not kept:
            raise SpecError(f"{repository} has no release before {present} to go back to")
        return kept[0]
    if release == present:
        raise SpecError(f"release {release} is what {repository} holds already")
    for one in kept:
        if one.manifest.release == release:
            return one
    numbers = ", ".join(str(one.manifest.release) for one in kept) or "none"
    raise SpecError(f"{repository} has no release {release}: kept are {numbers}")


def _take_place(folder: Path, repository: Path) -> None:
    """Let a whole folder become the repository, in one step; what it held is kept."""
    try:
        _sync(folder)
        if repository.exists():
            _keep(repository)
            _exchange(folder, repository)
        else:
            folder.rename(repository)
        _sync_folder(repository.parent)
    except OSError as error:
        raise ExportError(f"cannot publish {repository}: {error}") from error


def _keep(repository: Path) -> None:
    """Keep the present release, before another one takes its place."""
    try:
        release = Manifest.read(repository).release
    except SpecError:
        return
    kept = _kept_folder(repository) / str(release)
    if kept.exists():
        return
    part = kept.with_name(f".{kept.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    _link_all(repository, part)
    _sync(part)
    part.rename(kept)
    _sync_folder(kept.parent)


def _forget(repository: Path, kept: int) -> None:
    """Take away old releases; renamed first, so that a crash leaves no half of one to go back to."""
    earlier = [release for release in releases_of(repository) if not release.current]
    for release in earlier[kept:]:
        release.folder.rename(release.folder.with_name(f".{release.folder.name}.gone"))
    for gone in _kept_folder(repository).glob(".*.gone"):
        shutil.rmtree(gone, ignore_errors=True)


def _link_all(source: Path, target: Path) -> None:
    """Fill ``target`` with what ``source`` holds; ``manifest.json`` comes last."""
    paths = sorted(source.rglob("*"), key=lambda path: (path.name == MANIFEST, path))
    for path in paths:
        if "__pycache__" in path.parts:
            continue
        there = target / path.relative_to(source)
        if path.is_dir():
            there.mkdir(parents=True, exist_ok=True)
            continue
        there.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(path, there, follow_symlinks=False)
        except OSError:
            # A file system without hard links.
            shutil.copy2(path, there, follow_symlinks=False)


@contextlib.contextmanager
def _locked(repository: Path) -> Iterator[None]:
    """Let nobody else publish meanwhile; the system lets go of the lock when the process ends."""
    folder = _kept_folder(repository)
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


def _kept_folder(repository: Path) -> Path:
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
