"""A node out of its backup: everything is hashed before any of it is put in place, the queue last."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import sqlite3
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from infmap_kit.errors import NodeError
from infmap_kit.model.files import sync_folder
from infmap_kit.node.audit.trail import audit_folder
from infmap_kit.node.config import NodeConfig
from infmap_kit.node.custody.backup import CONFIG, FORMAT, MANIFEST, QUEUE, ROOMS
from infmap_kit.node.queue.database import Database
from infmap_kit.node.spool import NodeLock, Spool, settle

_MEMBER = re.compile(rf"(?:(?:{'|'.join(ROOMS)})/)?[A-Za-z0-9_-][A-Za-z0-9._-]{{0,200}}")
_UNPACKED = "restoring"
"""Folder in the spool for what is not yet known to be whole."""


def take_config(backup: Path, target: Path) -> None:
    """Write a backup's node.toml, as it is.

    Raises
    ------
    NodeError
        When the backup holds none, or is none.
    """
    with _opened(backup) as tar:
        content = next((tar.extractfile(one) for one in tar if one.name == CONFIG), None)
        if content is None:
            raise NodeError(f"expected a backup of a node, found no {CONFIG} in {backup}")
        part = target.with_name(f".{target.name}.part")
        part.write_bytes(content.read())
    settle(part, target)


def restore(backup: Path, config: NodeConfig) -> dict[str, Any]:
    """Put a backup into the empty folder of a node, which can then be started.

    A call that was killed is finished by calling it again.

    Parameters
    ----------
    backup
        File that :func:`~infmap_kit.node.custody.backup.back_up` wrote.
    config
        The file of the node that shall go on.

    Returns
    -------
    dict
        ``made_at`` and ``infmap_kit`` of the backup, and how many files each of its rooms has.

    Raises
    ------
    NodeError
        When the folder is a node's already, or the backup is damaged; nothing was put in place.
    """
    folder = config.node.spool
    unpacked = folder / _UNPACKED
    if not unpacked.exists() and folder.is_dir():
        _refuse_unless_empty(folder)
    spool = Spool(folder)
    # No node may begin on it meanwhile.
    lock = NodeLock(spool)
    try:
        if spool.database.exists():
            raise NodeError(_occupied(folder))
        shutil.rmtree(unpacked, ignore_errors=True)
        unpacked.mkdir(mode=0o700)
        try:
            manifest = _unpack(backup, unpacked)
            _check_queue(unpacked / QUEUE)
        except BaseException:
            shutil.rmtree(unpacked)
            raise
        rooms = {"images": spool.images, "results": spool.results, "audit": audit_folder(config)}
        counts = {room: _move(unpacked / room, into, spool) for room, into in rooms.items()}
        _give_to_owner(unpacked / QUEUE, spool)
        settle(unpacked / QUEUE, spool.database)
        shutil.rmtree(unpacked)
    finally:
        lock.release()
        _give_to_owner(folder / "node.lock", spool)
    return {"made_at": manifest["made_at"], "infmap_kit": manifest["infmap_kit"], **counts}


def _occupied(folder: Path) -> str:
    return (
        f"expected an empty folder {folder}, found a node's: nothing was restored; end that node and move its "
        "folder away, or name another one in [node] spool"
    )


def _refuse_unless_empty(folder: Path) -> None:
    """Refuse a folder with files or a queue. The empty folders that a starting node makes are accepted."""
    made = {"arriving", "images", "results", "workers", "audit", "node.lock", "intake.lock"}
    for one in folder.iterdir():
        if one.name not in made or (one.is_dir() and any(one.iterdir())):
            raise NodeError(_occupied(folder))


@contextlib.contextmanager
def _opened(backup: Path) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(backup, mode="r:") as tar:
            yield tar
    except (tarfile.TarError, EOFError) as error:
        raise NodeError(f"{backup} is damaged, or no backup of a node: {error}") from error


def _unpack(backup: Path, folder: Path) -> dict[str, Any]:
    """Unpack what a node's backup may hold, check its hashes, and give its manifest."""
    hashes: dict[str, str] = {}
    with _opened(backup) as tar:
        for member in tar:
            content = tar.extractfile(member)
            if content is None or not _MEMBER.fullmatch(member.name):
                raise NodeError(
                    f"expected a backup of a node, found other files in {backup}: name another"
                )
            target = folder / member.name
            target.parent.mkdir(mode=0o700, exist_ok=True)
            digest = hashlib.sha256()
            with target.open("xb") as file:
                os.fchmod(file.fileno(), 0o600)
                while chunk := content.read(2**20):
                    digest.update(chunk)
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
            hashes[member.name] = digest.hexdigest()
    hashes.pop(MANIFEST, None)
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_bytes())
        expected, version = manifest["sha256"], manifest["format"]
    except (OSError, ValueError, KeyError) as error:
        raise NodeError(f"{backup} was cut short: its manifest is missing or damaged") from error
    if version != FORMAT:
        raise NodeError(
            f"expected a backup of format {FORMAT}, found {version}: restore it with the "
            "version of infmap-kit that made it"
        )
    wrong = sorted(name for name in {*hashes, *expected} if hashes.get(name) != expected.get(name))
    if wrong or QUEUE not in hashes:
        named = ", ".join(wrong[:5]) or QUEUE
        raise NodeError(
            f"{backup} is damaged ({named} is not what it was), nothing was restored: take another backup"
        )
    return manifest


def _check_queue(file: Path) -> None:
    """Open the queue as the node will: it is of a version that can be used, and whole."""
    database = Database(file)
    try:
        ((answer,),) = database.reading().execute("PRAGMA integrity_check(1)").fetchall()
        # Into the one file, for it alone is moved.
        database.reading().execute("PRAGMA journal_mode = DELETE")
    except (sqlite3.DatabaseError, ValueError) as error:
        raise NodeError(f"the backup's queue is damaged ({error}): take another backup") from error
    finally:
        database.close()
    if answer != "ok":
        raise NodeError(f"the backup's queue is damaged ({answer}): take another backup")


def _move(source: Path, into: Path, spool: Spool) -> int:
    if not source.is_dir():
        return 0
    into.mkdir(mode=0o700, parents=True, exist_ok=True)
    _give_to_owner(into, spool)
    files = list(source.iterdir())
    for file in files:
        _give_to_owner(file, spool)
        # The audit log may lie on another disk.
        shutil.move(file, into / file.name)
    sync_folder(into)
    return len(files)


def _give_to_owner(path: Path, spool: Spool) -> None:
    """Give restored files to the owner of the folder, the node's user, if root restores them."""
    if os.geteuid() == 0:
        owner = spool.folder.stat()
        os.chown(path, owner.st_uid, owner.st_gid)
