"""The node's folder, and locks that end with the process that holds them."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Self

from infmap_kit.errors import NodeError
from infmap_kit.model.files import sync_folder


class Spool:
    """The folder and the folders in it.

    ::

        arriving/   being received; nothing here was accepted
        images/     accepted, synced, in the store
        results/    made, synced, in the store
        workers/    one lock file for each worker that lives
        node.db     the store
        node.lock   held by the node

    Parameters
    ----------
    folder
        Made when it is missing. On a disk of this machine: SQLite's log and the locks do not work over
        a network.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.arriving = folder / "arriving"
        self.images = folder / "images"
        self.results = folder / "results"
        self.workers = folder / "workers"
        self.database = folder / "node.db"
        try:
            # Patients' pictures, to be read by the node's user alone.
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for room in (self.arriving, self.images, self.results, self.workers):
                room.mkdir(mode=0o700, exist_ok=True)
            # One that was there before, too.
            for room in (folder, self.arriving, self.images, self.results, self.workers):
                if room.stat().st_mode & 0o077:
                    room.chmod(0o700)
        except OSError as error:
            raise NodeError(f"cannot use {folder} as a spool: {error.strerror}") from error

    def free_bytes(self) -> int:
        """Space that is left on the spool's disk."""
        return shutil.disk_usage(self.folder).free

    def used_bytes(self) -> int:
        """Size of the images and results."""
        return sum(
            file.stat().st_size
            for room in (self.images, self.results)
            for file in room.iterdir()
            if file.is_file()
        )

    def sweep(self, known: set[str], image_ids: set[int]) -> int:
        """Remove halves of transfers, and files that the store does not know; give their number.

        Only for the node itself, before it listens.

        Parameters
        ----------
        known, image_ids
            Names of the files in the store, and numbers of its radiographs.
        """
        strays = [
            *self.arriving.iterdir(),
            *(file for file in self.images.iterdir() if file.name not in known),
            *(file for file in self.results.iterdir() if self._is_stray(file, image_ids)),
        ]
        for file in strays:
            file.unlink(missing_ok=True)
        return len(strays)

    def _is_stray(self, result: Path, image_ids: set[int]) -> bool:
        """Whether a result will never have an entry; a living worker may be about to make it."""
        number, _, rest = result.name.partition("-")
        if not number.isdecimal() or int(number) not in image_ids:
            return True
        return rest.endswith(".part") and is_dead(self, rest.split(".")[1])

    @contextlib.contextmanager
    def others_held_off(self, *, by_node: bool) -> Iterator[None]:
        """Keep :meth:`sweep` (``by_node``) and other processes' intake apart."""
        with (self.folder / "intake.lock").open("w", encoding="ascii") as file:
            fcntl.flock(file, fcntl.LOCK_EX if by_node else fcntl.LOCK_SH)
            yield


def settle(part: Path, final: Path) -> None:
    """Move a complete file to its final name on the same disk, such that it outlives a power cut."""
    with part.open("rb") as file:
        os.fchmod(file.fileno(), 0o600)
        os.fsync(file.fileno())
    part.replace(final)
    # The new name is on disk when its folder is.
    sync_folder(final.parent)


class NodeLock:
    """One node for each spool; held until the process ends, however it ends.

    Raises
    ------
    NodeError
        When another node has the spool.
    """

    def __init__(self, spool: Spool) -> None:
        self._file = _node_lock_file(spool)
        # is_running() holds the lock for a moment.
        if not any(_lock(self._file, wait_s=wait_s) for wait_s in (0, 0.1, 0.2)):
            self._file.seek(0)
            owner = self._file.read().strip() or "unknown"
            self._file.close()
            raise NodeError(
                f"expected {spool.folder} to be free, found another node on it (process {owner}): "
                "end that one, or give this one a spool of its own"
            )
        self._file.truncate(0)
        self._file.write(f"{os.getpid()}\n")
        self._file.flush()

    def release(self) -> None:
        """Leave the spool."""
        self._file.close()


def is_running(spool: Spool) -> bool:
    """Whether a node has the spool."""
    with _node_lock_file(spool) as file:
        return not _lock(file)


def _node_lock_file(spool: Spool) -> IO[str]:
    return (spool.folder / "node.lock").open("a+", encoding="ascii")


class WorkerLock:
    """Proof that a worker lives: a lock that the kernel takes away with its process.

    So no lease needs a clock: a job whose worker's lock is free may be claimed.
    """

    def __init__(self, spool: Spool) -> None:
        self.name = f"{os.getpid()}-{uuid.uuid4().hex[:12]}"
        self._path = spool.workers / self.name
        self._file = self._path.open("w", encoding="ascii")
        if not _lock(self._file):
            raise NodeError(
                f"cannot lock {self._path}, which nobody else has: put the spool on a file system with locks"
            )

    def release(self) -> None:
        """End this worker."""
        self._path.unlink(missing_ok=True)
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def is_dead(spool: Spool, worker: str) -> bool:
    """Whether the worker of this name has ended; its lock file is then removed."""
    path = spool.workers / worker
    try:
        file = path.open("r+", encoding="ascii")
    except FileNotFoundError:
        return True
    with file:
        if not _lock(file):
            return False
        path.unlink(missing_ok=True)
        return True


def _lock(file: IO[str], *, wait_s: float = 0.0) -> bool:
    time.sleep(wait_s)
    with contextlib.suppress(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False
