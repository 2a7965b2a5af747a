"""The study's SQLite file and its tables."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from infmap_kit.errors import StudyError
from infmap_kit.sqlite import DurableDatabase

APPLICATION_ID = 0x696E6661
"""Marks the file as a study ("infa"), so that no other SQLite file is taken for one."""

VERSION = 1
_BUSY_S = 10.0

_TABLES = """
CREATE TABLE fact (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE reader (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    role TEXT NOT NULL CHECK (role IN ('first', 'third', 'owner')),
    token_sha256 TEXT NOT NULL,
    added_at TEXT NOT NULL,
    expires_at TEXT NOT NULL,
    revoked_at TEXT
);
CREATE TABLE session (
    sha256 TEXT PRIMARY KEY,
    reader_id INTEGER NOT NULL REFERENCES reader,
    expires_at TEXT NOT NULL
);
CREATE TABLE picture (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    file TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    width INTEGER NOT NULL,
    height INTEGER NOT NULL,
    patient_group TEXT NOT NULL,
    stage INTEGER CHECK (stage IN (1, 2))
);
CREATE TABLE model (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    stage INTEGER NOT NULL CHECK (stage IN (1, 2)),
    added_at TEXT NOT NULL,
    record TEXT NOT NULL,
    UNIQUE (name, stage)
);
CREATE TABLE candidate (
    id INTEGER PRIMARY KEY,
    picture_id INTEGER NOT NULL REFERENCES picture,
    kind TEXT NOT NULL CHECK (kind IN ('drawn', 'model', 'reader')),
    model_id INTEGER REFERENCES model,
    reader_id INTEGER REFERENCES reader,
    file TEXT NOT NULL UNIQUE,
    sha256 TEXT NOT NULL,
    CHECK ((kind = 'model') = (model_id IS NOT NULL)),
    CHECK ((kind = 'reader') = (reader_id IS NOT NULL))
);
CREATE UNIQUE INDEX one_drawn ON candidate (picture_id) WHERE kind = 'drawn';
CREATE UNIQUE INDEX one_of_a_model ON candidate (picture_id, model_id) WHERE kind = 'model';
CREATE TABLE shown (
    reader_id INTEGER NOT NULL REFERENCES reader,
    picture_id INTEGER NOT NULL REFERENCES picture,
    at TEXT NOT NULL,
    PRIMARY KEY (reader_id, picture_id)
);
CREATE TABLE decision (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    reader_id INTEGER NOT NULL REFERENCES reader,
    picture_id INTEGER NOT NULL REFERENCES picture,
    stage INTEGER NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('pick', 'reject', 'draw', 'skip', 'undo')),
    slot INTEGER,
    candidate_id INTEGER REFERENCES candidate,
    begun_from_id INTEGER REFERENCES candidate,
    order_shown TEXT NOT NULL,
    started_at TEXT NOT NULL,
    decided_at TEXT NOT NULL,
    elapsed_ms INTEGER NOT NULL,
    tab TEXT NOT NULL,
    key TEXT,
    undoes INTEGER REFERENCES decision,
    CHECK ((kind IN ('pick', 'draw')) = (candidate_id IS NOT NULL)),
    CHECK ((kind = 'undo') = (undoes IS NOT NULL))
);
CREATE INDEX decision_of ON decision (reader_id, id);
CREATE UNIQUE INDEX once_a_key ON decision (reader_id, key) WHERE key IS NOT NULL;
CREATE UNIQUE INDEX undone_once ON decision (undoes) WHERE undoes IS NOT NULL;
CREATE VIEW standing AS
    SELECT * FROM decision AS made
    WHERE kind <> 'undo' AND NOT EXISTS (SELECT 1 FROM decision WHERE undoes = made.id);
"""

# Rows about a choice stay as they were written, whatever program has the file open.
_UNCHANGING = ("decision", "candidate", "picture", "model")


class Database(DurableDatabase):
    """The study's file.

    Parameters
    ----------
    path
        The file.
    make
        Make it, and its tables.

    Raises
    ------
    StudyError
        When the file is damaged, no study, or of another version.
    """

    def __init__(self, path: Path, *, make: bool = False) -> None:
        super().__init__(path, busy_s=_BUSY_S)
        if not make and not path.is_file():
            raise StudyError(
                f"{path.parent} is no study: expected {path.name} in it; "
                "`infmap-annotate init` makes one"
            )
        try:
            if make:
                self._make_tables()
            self._check()
        except sqlite3.DatabaseError as error:
            raise StudyError(f"cannot use {path} as a study: {error}") from error

    def _make_tables(self) -> None:
        sql = self.reading()
        sql.executescript(_TABLES)
        for table in _UNCHANGING:
            for change in ("UPDATE", "DELETE"):
                sql.execute(
                    f"CREATE TRIGGER {table}_no_{change.lower()} BEFORE {change} ON {table} "
                    f"BEGIN SELECT RAISE(ABORT, '{table} rows are never changed'); END"
                )
        sql.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        sql.execute(f"PRAGMA user_version = {VERSION}")

    def _check(self) -> None:
        sql = self.reading()
        (mark,) = sql.execute("PRAGMA application_id").fetchone()
        (version,) = sql.execute("PRAGMA user_version").fetchone()
        if mark != APPLICATION_ID:
            raise StudyError(f"{self.path} is no study of infmap-annotate: another program made it")
        if version != VERSION:
            raise StudyError(
                f"expected {self.path} to be of version {VERSION}, found {version}: use the version "
                "of infmap-kit that made it"
            )
