"""The store's SQLite file and its tables."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from infmap_kit.errors import NodeError
from infmap_kit.sqlite import DurableDatabase

_VERSION = 1

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

# Beside the tables of version 1, for programs of that version do without them.
_BESIDE = """
CREATE TABLE IF NOT EXISTS clock (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    boot_id TEXT NOT NULL,
    boottime_s REAL NOT NULL,
    own_s REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS finished (
    image_id INTEGER PRIMARY KEY REFERENCES image ON DELETE CASCADE,
    finished_at TEXT NOT NULL,
    own_s REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS about (
    image_id INTEGER PRIMARY KEY REFERENCES image ON DELETE CASCADE,
    accession TEXT NOT NULL DEFAULT '',
    severity_percent REAL,
    severity_of TEXT,
    grade TEXT,
    probability_max REAL
);
CREATE TABLE IF NOT EXISTS refused_caller (
    address TEXT NOT NULL,
    caller TEXT NOT NULL,
    called TEXT NOT NULL,
    reason TEXT NOT NULL,
    times INTEGER NOT NULL,
    first_at TEXT NOT NULL,
    last_at TEXT NOT NULL,
    PRIMARY KEY (address, caller, called, reason)
);
CREATE TABLE IF NOT EXISTS erasure (file TEXT PRIMARY KEY);
"""


class Database(DurableDatabase):
    """The store's file.

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
        super().__init__(path)
        try:
            with self.transaction() as sql:
                (version,) = sql.execute("PRAGMA user_version").fetchone()
                if version == 0:
                    for statement in _TABLES.split(";"):
                        sql.execute(statement)
                    sql.execute(f"PRAGMA user_version = {_VERSION}")
                if version in (0, _VERSION):
                    for statement in _BESIDE.split(";"):
                        sql.execute(statement)
        except sqlite3.DatabaseError as error:
            raise NodeError(f"cannot use {path} as a store: {error}") from error
        if version not in (0, _VERSION):
            raise NodeError(
                f"expected {path} to be of version {_VERSION}, found {version}: "
                "use the version of infmap-kit that made it"
            )
