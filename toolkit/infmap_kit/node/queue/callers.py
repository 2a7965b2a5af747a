"""Callers that were refused: who, from where, why, how often and when last."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from infmap_kit.node.queue.clock import utc_now
from infmap_kit.node.queue.database import Database

_KEPT = 200
"""Most callers that are remembered; a stranger chooses its AE title, and may choose many."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RefusedCaller:
    """A caller that was refused.

    Parameters
    ----------
    address
        Address of the caller.
    caller, called
        The AE titles in its request; empty where none came.
    reason
        Why it was refused.
    """

    address: str
    reason: str
    caller: str = ""
    called: str = ""


def add_refused(database: Database, times: Mapping[RefusedCaller, int]) -> None:
    """Count callers that were refused, so often each; those that came last are remembered."""
    if not times:
        return
    now = utc_now()
    with database.transaction() as sql:
        sql.executemany(
            "INSERT INTO refused_caller (address, caller, called, reason, times, first_at, last_at)"
            " VALUES (:address, :caller, :called, :reason, :times, :now, :now)"
            " ON CONFLICT (address, caller, called, reason)"
            " DO UPDATE SET times = times + excluded.times, last_at = excluded.last_at",
            [
                {**dataclasses.asdict(caller), "times": number, "now": now}
                for caller, number in times.items()
            ],
        )
        sql.execute(
            "DELETE FROM refused_caller WHERE rowid NOT IN"
            " (SELECT rowid FROM refused_caller ORDER BY last_at DESC, rowid DESC LIMIT ?)",
            (_KEPT,),
        )


def refused_callers(database: Database, *, limit: int = _KEPT) -> list[dict[str, Any]]:
    """Callers that were refused, whoever came last first, with ``times``, ``first_at`` and ``last_at``."""
    rows = database.reading().execute(
        "SELECT address, caller, called, reason, times, first_at, last_at FROM refused_caller"
        " ORDER BY last_at DESC, rowid DESC LIMIT ?",
        (limit,),
    )
    return [dict(row) for row in rows.fetchall()]
