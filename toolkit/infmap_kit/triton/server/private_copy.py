"""The files that a server loads: a copy of a repository that nobody else can change.

What was hashed is what is opened. In the repository itself, whoever may write there could exchange a file
after it was looked at, or plant bytecode that Python prefers to a hashed source.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from pathlib import Path

from infmap_kit.errors import ServerError
from infmap_kit.triton.repository import Manifest, check_files, check_repository, files_of
from infmap_kit.triton.server.shared_memory import PREFIX, is_stale

# The python backend starts its stub through a shell and does not quote the path.
_PLAIN = re.compile(r"[A-Za-z0-9_./-]+")


class PrivateCopy:
    """A folder for one server, which is its owner's alone, with a copy of a repository.

    Parameters
    ----------
    repository
        The repository.
    prefix
        Beginning of the folder's name; it says which process it belongs to.
    manifest
        What the copy must hold; ``None`` for a folder that was not published.

    Raises
    ------
    SpecError
        When the copy does not hold what the manifest names.
    ServerError
        When there is no room for it.
    """

    def __init__(self, repository: Path, *, prefix: str, manifest: Manifest | None) -> None:
        try:
            remove_stale_copies()
            self.folder = Path(tempfile.mkdtemp(prefix=prefix, dir=temporary_folder()))
        except OSError as error:
            raise ServerError(
                f"cannot make a folder for a copy of {repository}: {error.strerror}"
            ) from error
        self._manifest = manifest
        try:
            for name in files_of(repository, with_manifest=True):
                target = self.models / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(repository / name, target)
            self._require_whole()
        except OSError as error:
            self.remove()
            raise ServerError(
                f"cannot copy {repository} to {self.folder.parent} to serve it: {error.strerror}"
            ) from error
        except BaseException:
            self.remove()
            raise
        for path in (*self.models.rglob("*"), self.models):
            path.chmod(0o500 if path.is_dir() else 0o400)

    @property
    def models(self) -> Path:
        """The copy, as Triton's model repository."""
        return self.folder / "models"

    def backends(self, folder: Path) -> Path:
        """The server's backends under a plain path: links, but copies of what Python reads.

        So that no bytecode is read that lies beside the originals. Programs and libraries are not copied, since
        nothing can be run in a temporary folder that is mounted ``noexec``.
        """
        backends = self.folder / "backends"
        for source in folder.rglob("*"):
            if source.is_dir() or "__pycache__" in source.parts:
                continue
            target = backends / source.relative_to(folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.suffix == ".py":
                shutil.copyfile(source, target)
            else:
                target.symlink_to(source)
        return backends

    def _require_whole(self) -> None:
        if self._manifest is not None and check_repository(self.models) != self._manifest:
            raise ServerError("another release was published while this one was read: try again")

    def check(self) -> None:
        """Refuse a copy whose files are no longer what was published.

        Raises
        ------
        SpecError
            Naming the file.
        """
        # Not the folders: a server of root writes bytecode there, of what it has loaded already.
        if self._manifest is not None:
            check_files(self.models, self._manifest)

    def remove(self) -> None:
        """Take the copy away."""
        _remove(self.folder)


def remove_stale_copies() -> None:
    """Take away the copies of processes that are gone (a kill -9 gives them no time to)."""
    for folder in temporary_folder().glob(f"{PREFIX}*"):
        if is_stale(folder.name) and folder.is_dir() and folder.stat().st_uid == os.getuid():
            _remove(folder)


def _remove(folder: Path) -> None:
    with contextlib.suppress(OSError):
        for path in (folder, *folder.rglob("*")):
            if path.is_dir() and not path.is_symlink():
                path.chmod(0o700)
    shutil.rmtree(folder, ignore_errors=True)


def temporary_folder() -> Path:
    """The folder of the copies: a plain path, whatever ``TMPDIR`` says."""
    folder = Path(tempfile.gettempdir())
    return folder if _PLAIN.fullmatch(str(folder)) else Path("/tmp")  # noqa: S108  # made by mkdtemp
