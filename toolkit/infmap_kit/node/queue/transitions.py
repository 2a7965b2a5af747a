"""The end of a radiograph, and the records that every change of a state makes beside it.

The functions are called inside a transaction of :mod:`~infmap_kit.node.queue.store` or
:mod:`~infmap_kit.node.queue.outbox`.
"""

from __future__ import annotations

import dataclasses
import sqlite3
from collections.abc import Callable

from infmap_kit.node.queue.clock import boot_id, boottime_s, utc_now
from infmap_kit.node.queue.database import Database
from infmap_kit.node.queue.states import DeliveryState, State


@dataclasses.dataclass(frozen=True, kw_only=True)
class Finished:
    """A radiograph of which nothing is left to do.

    Parameters
    ----------
    image_id
        Its number.
    state
        Its final state.
    latency_s
        Seconds since its arrival; ``None`` when the machine was booted in between.
    """

    image_id: int
    state: State
    latency_s: float | None


class Queue:
    """The queue, whose methods are one transaction each.

    Parameters
    ----------
    database
        The node's SQLite file.
    on_finished
        Called after a radiograph has come to its end.
    """

    def __init__(
        self, database: Database, *, on_finished: Callable[[Finished], None] = lambda _: None
    ) -> None:
        self.database = database
        self._on_finished = on_finished

    def _report(self, finished: Finished | None) -> None:
        if finished is not None:
            self._on_finished(finished)


def finish_if_delivered(sql: sqlite3.Connection, image_id: int) -> Finished | None:
    """End a radiograph when none of its deliveries waits any more."""
    counts = dict(
        sql.execute(
            "SELECT state, count(*) FROM delivery WHERE image_id = ? GROUP BY state", (image_id,)
        ).fetchall()
    )
    if counts.get(DeliveryState.WAITING):
        return None
    row = sql.execute(
        "SELECT state, outcome, reason FROM image WHERE id = ?", (image_id,)
    ).fetchone()
    if row is None or row["state"] != State.DELIVERING:
        return None
    if counts.get(DeliveryState.DEAD):
        dead = sql.execute(
            "SELECT DISTINCT destination, reason FROM delivery WHERE image_id = ? AND state = ?",
            (image_id, DeliveryState.DEAD),
        ).fetchall()
        reason = "; ".join(
            f"not delivered to {row['destination']}: {row['reason']}" for row in dead
        )
        return finish(sql, image_id, State.FAILED, reason)
    return finish(sql, image_id, State(row["outcome"]), row["reason"])


def finish(sql: sqlite3.Connection, image_id: int, state: State, reason: str) -> Finished:
    """Bring a radiograph to a final state."""
    row = sql.execute(
        "UPDATE image SET state = ?, reason = ?, worker = NULL, finished_at = ? WHERE id = ?"
        " RETURNING boot_id, received_s",
        (state, reason, utc_now(), image_id),
    ).fetchone()
    add_event(sql, image_id, f"{state}: {reason}" if reason else str(state))
    count(sql, f"finished {state}")
    latency_s = boottime_s() - row["received_s"] if row["boot_id"] == boot_id() else None
    return Finished(image_id=image_id, state=state, latency_s=latency_s)


def add_event(sql: sqlite3.Connection, image_id: int, what: str) -> None:
    """Write a line into a radiograph's history."""
    sql.execute(
        "INSERT INTO event (image_id, at, what) VALUES (?, ?, ?)", (image_id, utc_now(), what)
    )


def count(sql: sqlite3.Connection, name: str, number: int = 1) -> None:
    """Count something for good; restarts and retention do not take it back."""
    sql.execute(
        "INSERT INTO counter (name, value) VALUES (?, ?)"
        " ON CONFLICT (name) DO UPDATE SET value = value + excluded.value",
        (name, number),
    )
