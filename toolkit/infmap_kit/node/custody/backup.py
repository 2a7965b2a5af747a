"""A backup of a node: its queue, its files, its configuration and its audit log in one tar, made while it runs.

The queue comes from SQLite's online backup, in one step: the state of one moment. Files are synced before the
queue knows them and never change afterwards, so that they are copied later; what was forgotten meanwhile leaves
the backup's queue, too.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import io
import json
import os
import sqlite3
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from infmap_kit import __version__
from infmap_kit.errors import NodeError
from infmap_kit.node.audit.trail import audit_folder
from infmap_kit.node.config import NodeConfig
from infmap_kit.node.queue.clock import utc_now
from infmap_kit.node.queue.database import Database
from infmap_kit.node.queue.states import State
from infmap_kit.node.spool import Spool, settle

FORMAT = 1
"""Version of the layout of the tar."""

MANIFEST, QUEUE, CONFIG = "manifest.json", "node.db", "node.toml"
ROOMS = ("images", "results", "audit")
"""Folders in the tar."""

_TRIES = 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class Saved:
    """The contents of a backup.

    Parameters
    ----------
    images, results, audit
        Numbers of files.
    unfinished
        Radiographs on the way: waiting, or being delivered.
    size_bytes
        Size of the backup.
    """

    images: int
    results: int
    audit: int
    unfinished: int
    size_bytes: int

    def as_json(self) -> dict[str, Any]:
        """Return the record as a JSON document."""
        return dataclasses.asdict(self)


class _Replaced(Exception):
    """A radiograph got another file while the files were copied."""


class _Hashed:
    """A file that is hashed as it is read."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        content = self._file.read(size)
        self.digest.update(content)
        return content


def back_up(config: NodeConfig, config_file: Path, target: Path) -> Saved:
    """Write a backup of a node, whether it runs or not.

    Parameters
    ----------
    config, config_file
        The node's file, read and as it is.
    target
        The backup; written beside and renamed.

    Raises
    ------
    NodeError
        When the target is there already, or radiographs are replaced faster than they can be copied.
    """
    if target.exists():
        raise NodeError(f"expected no file {target}, found one: name another, or move it away")
    for _ in range(_TRIES):
        with contextlib.suppress(_Replaced):
            return _written(config, config_file, target)
    raise NodeError("radiographs are being replaced faster than they are copied: call this again")


def _written(config: NodeConfig, config_file: Path, target: Path) -> Saved:
    spool = Spool(config.node.spool)
    part, copy = (target.with_name(f".{target.name}.{end}") for end in ("part", "db"))
    try:
        with (
            contextlib.closing(_snapshot(spool, copy)) as queue,
            _private(part) as file,
            tarfile.open(fileobj=file, mode="w") as tar,
        ):
            writer = _Writer(tar)
            missing = writer.add_room("images", spool.images, _named(queue, "image"))
            missing |= writer.add_room("results", spool.results, _named(queue, "result"))
            folder = audit_folder(config)
            if folder.is_dir():
                logs = {one.name for one in folder.glob("audit-*.jsonl")}
                writer.add_room("audit", folder, logs)
            _leave_out(queue, spool, missing)
            row = queue.execute(
                "SELECT count(*) FROM image WHERE state IN (?, ?)",
                (State.WAITING, State.DELIVERING),
            ).fetchone()
            queue.execute("VACUUM")
            writer.add(QUEUE, copy)
            writer.add(CONFIG, config_file)
            writer.add_manifest()
        settle(part, target)
    finally:
        part.unlink(missing_ok=True)
        copy.unlink(missing_ok=True)
    return Saved(
        **{room: writer.count(room) for room in ROOMS},
        unfinished=row[0],
        size_bytes=target.stat().st_size,
    )


@contextlib.contextmanager
def _private(path: Path) -> Iterator[IO[bytes]]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w+b") as file:
        yield file


def _snapshot(spool: Spool, copy: Path) -> sqlite3.Connection:
    """The queue as it is now, in a file of its own; what a worker holds waits in it."""
    with _private(copy):
        pass
    queue = sqlite3.connect(copy, isolation_level=None)
    try:
        live = Database(spool.database)
        try:
            live.reading().backup(queue)
        finally:
            live.close()
        # One file, without a log beside it.
        queue.execute("PRAGMA journal_mode = DELETE")
        queue.execute("PRAGMA foreign_keys = ON")
        queue.execute(
            "UPDATE image SET state = ?, worker = NULL WHERE state = ?",
            (State.WAITING, State.WORKING),
        )
    except BaseException:
        queue.close()
        raise
    return queue


def _named(queue: sqlite3.Connection, table: str) -> set[str]:
    return {row[0] for row in queue.execute(f"SELECT file FROM {table}")}  # noqa: S608  # one of two names


def _leave_out(queue: sqlite3.Connection, spool: Spool, missing: set[str]) -> None:
    """Take out of the backup's queue what was forgotten while files were copied."""
    if not missing:
        return
    live = Database(spool.database)
    try:
        rows = live.reading().execute("SELECT id, file FROM image").fetchall()
    finally:
        live.close()
    now = {row["id"]: row["file"] for row in rows}
    for image_id, file in queue.execute("SELECT id, file FROM image").fetchall():
        if image_id not in now:
            queue.execute("DELETE FROM image WHERE id = ?", (image_id,))
        elif now[image_id] != file and file in missing:
            raise _Replaced
    # What somebody removed by hand is missing here as it is there.


class _Writer:
    """Adds files to a tar, and their hashes to its manifest."""

    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar
        self._hashes: dict[str, str] = {}

    def count(self, room: str) -> int:
        """Number of files that were added from a folder of the spool."""
        return sum(name.startswith(f"{room}/") for name in self._hashes)

    def add_room(self, room: str, folder: Path, names: set[str]) -> set[str]:
        """Add files of a folder; those that are not there any more are given back."""
        missing = set()
        for name in sorted(names):
            try:
                self.add(f"{room}/{name}", folder / name)
            except FileNotFoundError:
                missing.add(name)
        return missing

    def add(self, name: str, path: Path) -> None:
        """Add a file; of one that grows, what it held in the beginning."""
        with path.open("rb") as file:
            member = tarfile.TarInfo(name)
            member.size, member.mode = os.fstat(file.fileno()).st_size, 0o600
            content = _Hashed(file)
            self._tar.addfile(member, content)
            self._hashes[name] = content.digest.hexdigest()

    def add_manifest(self) -> None:
        """Add the manifest, last: a backup that was cut short has none."""
        document = {
            "format": FORMAT,
            "infmap_kit": __version__,
            "made_at": utc_now(),
            "sha256": self._hashes,
        }
        content = json.dumps(document, indent=2).encode()
        member = tarfile.TarInfo(MANIFEST)
        member.size, member.mode = len(content), 0o600
        self._tar.addfile(member, io.BytesIO(content))
