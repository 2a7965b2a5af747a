"""The time since radiographs were finished, by the queue's own clock."""

from __future__ import annotations

import sqlite3

from infmap_kit.node.queue.clock import boot_id, boottime_s
from infmap_kit.node.queue.database import Database
from infmap_kit.node.queue.states import State


def ages_s(database: Database) -> list[tuple[int, float]]:
    """Number and age in seconds of what came to a good end, the oldest first.

    The queue's own time goes on while the machine runs, as the kernel counts it, and stands still while it is
    off: a wall clock that jumps makes nothing old. An age begins when this first sees a radiograph finished.
    """
    good = (State.DONE, State.REJECTED, State.IGNORED)
    with database.transaction() as sql:
        own_s = _go_on(sql)
        sql.execute(
            "DELETE FROM finished WHERE NOT EXISTS (SELECT 1 FROM image WHERE id = image_id"
            " AND image.finished_at = finished.finished_at AND state IN (?, ?, ?))",
            good,
        )
        sql.execute(
            "INSERT INTO finished SELECT id, finished_at, ? FROM image WHERE state IN (?, ?, ?)"
            " AND id NOT IN (SELECT image_id FROM finished)",
            (own_s, *good),
        )
        rows = sql.execute(
            "SELECT image_id, own_s FROM finished ORDER BY own_s, finished_at, image_id"
        ).fetchall()
    return [(row["image_id"], own_s - row["own_s"]) for row in rows]


def _go_on(sql: sqlite3.Connection) -> float:
    """Move the queue's own time on by what passed since the last call, and give it in seconds."""
    row = sql.execute("SELECT boot_id, boottime_s, own_s FROM clock").fetchone()
    own_s = row["own_s"] if row else 0.0
    # How long the machine was off, only the wall clock would say.
    if row and row["boot_id"] == boot_id():
        own_s += max(0.0, boottime_s() - row["boottime_s"])
    sql.execute(
        "INSERT OR REPLACE INTO clock VALUES (1, ?, ?, ?)", (boot_id(), boottime_s(), own_s)
    )
    return float(own_s)
