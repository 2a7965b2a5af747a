"""Taking radiographs out of the queue for good: rows, files that are still to go, traces in SQLite's files.

The names of the files are written down in the transaction that removes the rows, so that a crash in between
leaves a list that the next call works off.
"""

from __future__ import annotations

import dataclasses
import sqlite3
from collections.abc import Iterable, Sequence

from infmap_kit.errors import NodeError
from infmap_kit.node.queue.database import Database
from infmap_kit.node.queue.states import FINAL, State
from infmap_kit.node.queue.transitions import count


@dataclasses.dataclass(frozen=True, kw_only=True)
class Held:
    """A radiograph that the node holds.

    Parameters
    ----------
    image_id, sop_instance_uid, state, caller, received_at
        As in the queue.
    file
        Name in the spool's ``images``.
    results
        Names in the spool's ``results``.
    """

    image_id: int
    sop_instance_uid: str
    state: State
    caller: str
    received_at: str
    file: str
    results: Sequence[str] = ()


def held(database: Database) -> list[Held]:
    """Every radiograph of the queue, the oldest first."""
    sql = database.reading()
    results: dict[int, list[str]] = {}
    for row in sql.execute("SELECT image_id, file FROM result ORDER BY id").fetchall():
        results.setdefault(row["image_id"], []).append(row["file"])
    rows = sql.execute(
        "SELECT id AS image_id, sop_instance_uid, state, caller, received_at, file FROM image ORDER BY id"
    ).fetchall()
    return [
        Held(**{**row, "state": State(row["state"])}, results=results.get(row["image_id"], ()))
        for row in rows
    ]


def erase(database: Database, image_ids: Iterable[int], files: Iterable[str]) -> None:
    """Remove radiographs from the queue, and note their files, relative to the spool, as still to go.

    Raises
    ------
    NodeError
        When one of them is not finished.
    """
    numbers = list(image_ids)
    with database.transaction() as sql:
        for number in numbers:
            row = sql.execute("SELECT state FROM image WHERE id = ?", (number,)).fetchone()
            if row is not None and State(row["state"]) not in FINAL:
                raise NodeError(on_the_way({number: row["state"]}))
        sql.executemany("INSERT OR IGNORE INTO erasure (file) VALUES (?)", [(f,) for f in files])
        sql.executemany("DELETE FROM image WHERE id = ?", [(number,) for number in numbers])
        if numbers:
            count(sql, "forgotten", len(numbers))


def on_the_way(states: dict[int, str]) -> str:
    """The error's text that says why radiographs cannot be forgotten now."""
    named = ", ".join(f"{number} is {state}" for number, state in states.items())
    return (
        f"expected every radiograph of it to be finished, found that {named}: nothing was forgotten; "
        "`infmap-kit node show ID` says what it waits for"
    )


def still_to_go(database: Database) -> list[str]:
    """Files, relative to the spool, whose radiographs are out of the queue."""
    rows = database.reading().execute("SELECT file FROM erasure ORDER BY file").fetchall()
    return [row["file"] for row in rows]


def gone(database: Database, files: Iterable[str]) -> None:
    """Note that files are gone from the disk."""
    with database.transaction() as sql:
        sql.executemany("DELETE FROM erasure WHERE file = ?", [(file,) for file in files])


def compact(database: Database) -> None:
    """Write the queue anew, without what was deleted, and empty its log, which still holds it.

    Raises
    ------
    NodeError
        When others use the queue for so long that it cannot be done now.
    """
    sql = database.reading()
    try:
        # The copy in between holds all that the queue holds, and belongs into no folder of others.
        sql.execute("PRAGMA temp_store = MEMORY")
        sql.execute("VACUUM")
        is_busy = bool(sql.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0])
    except sqlite3.OperationalError as error:
        raise NodeError(f"{_NOT_COMPACT} ({error}): call this again") from error
    if is_busy:
        raise NodeError(f"{_NOT_COMPACT} (the queue is in use): call this again")


_NOT_COMPACT = (
    "what was forgotten is out of the queue, but traces of it may still be in the queue's files"
)
