"""Readers who may sign in: names, tokens that are stored as hashes, and sessions."""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import re
import secrets
import sqlite3
import threading
import time
from typing import Any

from infmap_annotate.study.folder import Study, as_text, now
from infmap_kit.errors import StudyError

OWNER = "owner"
"""Name, and role, of the study's owner, who sees the agreement and annotates nothing."""

SESSION_HOURS = 12
DEFAULT_DAYS = 90

_NAME = re.compile(r"[\w][\w .-]{0,39}")


@dataclasses.dataclass(frozen=True)
class Reader:
    """A doctor who annotates (``first`` or ``third``), or the ``owner``."""

    id: int
    name: str
    role: str
    expires_at: str
    revoked_at: str | None


def add_reader(sql: sqlite3.Connection, name: str, role: str, *, days: int = DEFAULT_DAYS) -> str:
    """Add a reader, or give a known one a new token; returns the token, which is stored nowhere.

    Raises
    ------
    StudyError
        When the name cannot be one, or belongs to a reader of another role.
    """
    if not _NAME.fullmatch(name):
        raise StudyError(
            f"expected a reader's name of letters, digits, spaces, dots and hyphens, found {name!r}"
        )
    known = sql.execute("SELECT role FROM reader WHERE name = ?", (name,)).fetchone()
    if known and known["role"] != role:
        raise StudyError(
            f"{name} is a {known['role']} reader of this study already: take another name"
        )
    # 18 random bytes: no dictionary has it, so that a plain hash is enough.
    token = secrets.token_urlsafe(18)
    expires = dt.datetime.now(dt.UTC) + dt.timedelta(days=days)
    sql.execute(
        "INSERT INTO reader (name, role, token_sha256, added_at, expires_at) VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT (name) DO UPDATE SET token_sha256 = excluded.token_sha256, "
        "expires_at = excluded.expires_at, revoked_at = NULL",
        (name, role, _hash(token), now(), as_text(expires)),
    )
    _end_sessions(sql, name)
    return token


def revoke_reader(sql: sqlite3.Connection, name: str) -> None:
    """Let a reader in no more; decisions stay.

    Raises
    ------
    StudyError
        When no reader has that name.
    """
    changed = sql.execute(
        "UPDATE reader SET revoked_at = coalesce(revoked_at, ?) WHERE name = ?", (now(), name)
    )
    if not changed.rowcount:
        raise StudyError(f"the study has no reader {name!r}: see `infmap-annotate readers list`")
    _end_sessions(sql, name)


def readers(study: Study) -> list[Reader]:
    """All readers and the owner, in the order in which they were added."""
    rows = study.query("SELECT id, name, role, expires_at, revoked_at FROM reader ORDER BY id")
    return [Reader(**row) for row in rows]


class SignInRefused(Exception):
    """A name and token that are refused; the message is for the person who tried."""


def sign_in(study: Study, name: str, token: str) -> str:
    """Begin a session and give its key, for the cookie.

    Raises
    ------
    SignInRefused
        When the token is wrong, revoked or expired.
    """
    row = study.first("SELECT * FROM reader WHERE name = ?", name)
    # An unknown name is compared too: the time that it takes shows nothing.
    expected = row["token_sha256"] if row else _hash("")
    if not secrets.compare_digest(expected, _hash(token)) or row is None:
        raise SignInRefused("Name and token do not belong together.")
    if row["revoked_at"]:
        raise SignInRefused("This token was revoked. Ask whoever runs the study for a new one.")
    if row["expires_at"] <= now():
        raise SignInRefused(
            f"This token expired on {row['expires_at'][:10]}. Ask whoever runs the study for a new one."
        )
    session = secrets.token_urlsafe(32)
    ends = dt.datetime.now(dt.UTC) + dt.timedelta(hours=SESSION_HOURS)
    with study.writing() as writing:
        writing.execute("DELETE FROM session WHERE expires_at <= ?", (now(),))
        writing.execute(
            "INSERT INTO session VALUES (?, ?, ?)", (_hash(session), row["id"], as_text(ends))
        )
    return session


def reader_of(study: Study, session: str) -> Reader | None:
    """The reader of a session; ``None`` when there is no such session, or the token is not good any more."""
    moment = now()
    row = study.first(
        "SELECT reader.id, name, role, reader.expires_at, revoked_at FROM session "
        "JOIN reader ON reader.id = reader_id WHERE sha256 = ? AND session.expires_at > ? "
        "AND revoked_at IS NULL AND reader.expires_at > ?",
        *(_hash(session), moment, moment),
    )
    return Reader(**row) if row else None


def sign_out(study: Study, session: str) -> None:
    """End a session."""
    with study.writing() as sql:
        sql.execute("DELETE FROM session WHERE sha256 = ?", (_hash(session),))


class Tries:
    """A count of failures: after so many they are slowed down, less with time.

    It never decides about a right token: that has 144 random bits, and a lock would be everybody's to turn.

    Parameters
    ----------
    most
        Failures in a row that are allowed.
    one_every_s
        Seconds after which one of them is forgotten.
    """

    def __init__(self, most: int = 10, one_every_s: float = 6.0) -> None:
        self._most, self._one_every_s = most, one_every_s
        self._failed: dict[Any, tuple[float, float]] = {}
        self._lock = threading.Lock()

    def wait_s(self, *keys: object) -> float:
        """Seconds until the next failure is answered at once, by the key of most failures; 0 when it is."""
        with self._lock:
            above = max(self._count(key) for key in keys) - self._most + 1
        return max(0.0, above) * self._one_every_s

    def failed(self, *keys: object) -> None:
        """Count a failure of each."""
        with self._lock:
            if len(self._failed) > 10_000:
                # Names are the caller's: they must not fill the memory.
                self._failed.clear()
            for key in keys:
                self._failed[key] = (self._count(key) + 1, time.monotonic())

    def _count(self, key: object) -> float:
        count, at = self._failed.get(key, (0.0, 0.0))
        return max(0.0, count - (time.monotonic() - at) / self._one_every_s)


def _end_sessions(sql: sqlite3.Connection, name: str) -> None:
    sql.execute(
        "DELETE FROM session WHERE reader_id = (SELECT id FROM reader WHERE name = ?)", (name,)
    )


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
