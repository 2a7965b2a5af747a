"""SQLite files whose transactions are durable: a transaction that has ended is on disk."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path


class DurableDatabase:
    """One SQLite file; every thread gets its own connection.

    Parameters
    ----------
    path
        Made, without a table, when it is missing.
    busy_s
        Seconds to wait while another connection writes.
    """

    def __init__(self, path: Path, *, busy_s: float = 30.0) -> None:
        self.path = path
        self._busy_s = busy_s
        self._local = threading.local()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Do all of a block or nothing; it is on disk when the block has ended."""
        sql = self.reading()
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
        """Give this thread's connection, to read with."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            self._make_private()
            connection = sqlite3.connect(self.path, timeout=self._busy_s, isolation_level=None)
            try:
                _prepare(connection)
            except BaseException:
                connection.close()
                raise
            self._local.connection = connection
        return connection

    def _make_private(self) -> None:
        """Make the file its owner's alone, whatever the umask; SQLite's log beside it takes its mode."""
        # Only a file that is not there yet is opened: closing one would take away every lock that SQLite holds
        # on it in this process, and another process would then remove the log that is still written to
        # (sqlite.org/howtocorrupt.html, 2.2).
        with contextlib.suppress(OSError):
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        for file in (self.path, *(Path(f"{self.path}-{kind}") for kind in ("wal", "shm"))):
            # Another's file, or one on a disk that cannot be written, stays as it is.
            with contextlib.suppress(OSError):
                if file.stat().st_mode & 0o077:
                    file.chmod(0o600)

    def close(self) -> None:
        """Close this thread's connection."""
        connection = getattr(self._local, "connection", None)
        if connection is not None:
            connection.close()
            self._local.connection = None


def _prepare(connection: sqlite3.Connection) -> None:
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA journal_mode = WAL")
    # With WAL, NORMAL may lose the last transactions, which were already confirmed, in a power cut.
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    # What is deleted is overwritten: such a file may hold what identifies people.
    connection.execute("PRAGMA secure_delete = ON")
