"""The store's SQLite file: its tables, and transactions that last."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

from infmap_kit.errors import NodeError

_VERSION = 1
_BUSY_S = 30.0

_TABLES = """
CREATE TABLE image (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    sop_instance_uid TEXT NOT NULL UNIQUE,
    sha256 TEXT NOT NULL,
    file TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    results_bytes INTEGER NOT NULL,
    caller TEXT NOT NULL,
    state TEXT NOT NULL,
    outcome TEXT NOT NULL DEFAULT '',
    reason TEXT NOT NULL DEFAULT '',
    attempts INTEGER NOT NULL DEFAULT 0,
    crashes INTEGER NOT NULL DEFAULT 0,
    worker TEXT,
    received_at TEXT NOT NULL,
    finished_at TEXT,
    boot_id TEXT NOT NULL,
    received_s REAL NOT NULL
);
CREATE INDEX image_to_do ON image (state, crashes, attempts, id);
CREATE TABLE result (
    id INTEGER PRIMARY KEY,
    image_id INTEGER NOT NULL REFERENCES image ON DELETE CASCADE,
    kind TEXT NOT NULL,
    sop_instance_uid TEXT NOT NULL,
    file TEXT NOT NULL
);
CREATE INDEX result_of ON result (image_id);
CREATE TABLE delivery (
    id INTEGER PRIMARY KEY,
    image_id INTEGER NOT NULL REFERENCES image ON DELETE CASCADE,
    result_id INTEGER NOT NULL REFERENCES result ON DELETE CASCADE,
    destination TEXT NOT NULL,
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    waited_s REAL NOT NULL DEFAULT 0,
    reason TEXT NOT NULL DEFAULT '',
    delivered_at TEXT,
    UNIQUE (result_id, destination)
);
CREATE INDEX delivery_to_do ON delivery (destination, state, id);
CREATE INDEX delivery_of ON delivery (image_id, state);
CREATE TABLE event (
    id INTEGER PRIMARY KEY,
    image_id INTEGER NOT NULL REFERENCES image ON DELETE CASCADE,
    at TEXT NOT NULL,
    what TEXT NOT NULL
);
CREATE INDEX event_of ON event (image_id);
CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
"""


class Database:
    """One SQLite file; every thread gets its own connection.

    Parameters
    ----------
    path
        Made when it is missing.

    Raises
    ------
    NodeError
        When the file is damaged, no store, or of another version.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._local = threading.local()
        try:
            with self.transaction() as sql:
                (found,) = sql.execute("PRAGMA user_version").fetchone()
                if found == 0:
                    for statement in _TABLES.split(";"):
                        sql.execute(statement)
                    sql.execute(f"PRAGMA user_version = {_VERSION}")
        except sqlite3.DatabaseError as error:
            raise NodeError(f"cannot use {path} as a store: {error}") from error
        if found not in (0, _VERSION):
            raise NodeError(
                f"expected {path} to be of version {_VERSION}, found {found}: it was made by another infmap-kit"
            )

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All of it or nothing, and on disk when the block has ended."""
        sql = self._connection()
        sql.execute("BEGIN IMMEDIATE")
        try:
            yield sql
            sql.execute("COMMIT")
        except BaseException:
            # A full disk has ended the transaction already.
            if sql.in_transaction:
                sql.execute("ROLLBACK")
            raise

    def reading(self) -> sqlite3.Connection:
        """A connection to read with."""
        return self._connection()

    def close(self) -> None:
        """Close this thread's connection."""
        connection = getattr(self._local, "connection", None)
        if connection is not None:
            connection.close()
            self._local.connection = None

    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = sqlite3.connect(self._path, timeout=_BUSY_S, isolation_level=None)
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA journal_mode = WAL")
            # With WAL, NORMAL may lose the last transactions in a power cut; they were promised to a sender.
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")
            self._local.connection = connection
        return connection
