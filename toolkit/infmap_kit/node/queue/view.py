"""Views of the queue: counts, lists and single radiographs, for people, scripts and metrics.

UIDs are shown hashed, as in the log, unless asked for.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from infmap_kit.errors import NodeError
from infmap_kit.imaging.dicom.identity import hashed_uid, shown_accession
from infmap_kit.node.queue.database import Database
from infmap_kit.node.queue.states import DeliveryState, State


@dataclasses.dataclass(frozen=True, kw_only=True)
class Overview:
    """Counts of the queue.

    Parameters
    ----------
    images
        Radiographs by state; every state is there.
    deliveries
        Deliveries by destination, then by state; every state is there.
    counters
        Events since the spool was made.
    """

    images: Mapping[str, int]
    deliveries: Mapping[str, Mapping[str, int]]
    counters: Mapping[str, int]

    def refusals(self, group: str) -> dict[str, int]:
        """The number of refused connections by reason. The group is one of those of :mod:`.states`."""
        return {
            name.removeprefix(group): number
            for name, number in sorted(self.counters.items())
            if name.startswith(group)
        }

    def as_json(self) -> dict[str, Any]:
        """The counts for scripts."""
        return {
            "images": dict(self.images),
            "deliveries": {name: dict(counts) for name, counts in self.deliveries.items()},
            "since_the_beginning": dict(sorted(self.counters.items())),
        }


_LISTED = (
    "id, sop_instance_uid, caller, state, reason, attempts, crashes, size_bytes, received_at, finished_at,"
    " accession, severity_percent, severity_of, grade, probability_max"
)
_FROM = "FROM image LEFT JOIN about ON image_id = id"
_HAS_ONE = "EXISTS (SELECT 1 FROM delivery WHERE image_id = id AND delivery.state = ?)"


def overview(database: Database) -> Overview:
    """Count radiographs and deliveries by state, and read the counters of events."""
    sql = database.reading()
    images: dict[str, int] = {state.value: 0 for state in State}
    for row in sql.execute("SELECT state, count(*) AS n FROM image GROUP BY state").fetchall():
        images[row["state"]] = row["n"]
    deliveries: dict[str, dict[str, int]] = {}
    rows = sql.execute(
        "SELECT destination, state, count(*) AS n FROM delivery GROUP BY destination, state"
    )
    for row in rows.fetchall():
        empty = {state.value: 0 for state in DeliveryState}
        deliveries.setdefault(row["destination"], empty)[row["state"]] = row["n"]
    counters = sql.execute("SELECT name, value FROM counter").fetchall()
    return Overview(
        images=images,
        deliveries=deliveries,
        counters={row["name"]: row["value"] for row in counters},
    )


def images(
    database: Database, *, state: State | None = None, limit: int = 50, identify: bool = False
) -> list[dict[str, Any]]:
    """The latest radiographs, of a state where one is given, newest first.

    ``identify`` shows their UIDs and accession numbers; without it, the latter are hashed where there is a key
    (:func:`~infmap_kit.imaging.dicom.identity.shown_accession`).
    """
    rows = database.reading().execute(
        f"SELECT {_LISTED} {_FROM} WHERE ? IS NULL OR state = ? ORDER BY id DESC LIMIT ?",
        (state, state, limit),
    )
    return [_named(dict(row), identify=identify) for row in rows.fetchall()]


def worklist(
    database: Database, *, limit: int = 50, identify: bool = False
) -> list[dict[str, Any]]:
    """The latest radiographs that a person should look at, newest first.

    They failed, were rejected, or are being delivered and have dead letters.
    """
    rows = database.reading().execute(
        f"SELECT {_LISTED} {_FROM} WHERE state IN (?, ?) OR state = ? AND {_HAS_ONE} ORDER BY id DESC LIMIT ?",
        (State.FAILED, State.REJECTED, State.DELIVERING, DeliveryState.DEAD, limit),
    )
    return [_named(dict(row), identify=identify) for row in rows.fetchall()]


def to_retry(database: Database, state: State, because: str = "") -> list[int]:
    """Numbers of the radiographs of a state whose reason holds a text, the oldest first."""
    rows = database.reading().execute(
        "SELECT id FROM image WHERE state = ? AND instr(reason, ?) ORDER BY id", (state, because)
    )
    return [row["id"] for row in rows.fetchall()]


def number_of(database: Database, sop_instance_uid: str) -> int | None:
    """Number of the radiograph with a SOP Instance UID; ``None`` where there is none."""
    row = (
        database.reading()
        .execute("SELECT id FROM image WHERE sop_instance_uid = ?", (sop_instance_uid,))
        .fetchone()
    )
    return None if row is None else int(row["id"])


def image(database: Database, image_id: int, *, identify: bool = False) -> dict[str, Any]:
    """Everything about one radiograph: its state, its history, its results and where they are.

    Raises
    ------
    NodeError
        When there is none of this number.
    """
    sql = database.reading()
    row = sql.execute(
        f"SELECT {_LISTED}, file, sha256 {_FROM} WHERE id = ?", (image_id,)
    ).fetchone()
    if row is None:
        raise NodeError(f"there is no radiograph {image_id}: see `infmap-kit node list`")
    deliveries = sql.execute(
        "SELECT result.kind, result.sop_instance_uid, result.file, destination, state, attempts,"
        " round(waited_s) AS waited_s, reason, delivered_at FROM delivery"
        " JOIN result ON result.id = result_id WHERE delivery.image_id = ? ORDER BY delivery.id",
        (image_id,),
    )
    history = sql.execute("SELECT at, what FROM event WHERE image_id = ? ORDER BY id", (image_id,))
    return {
        **_named(dict(row), identify=identify),
        "deliveries": [_named(dict(row), identify=identify) for row in deliveries.fetchall()],
        "history": [dict(row) for row in history.fetchall()],
    }


def files(database: Database) -> set[str]:
    """Names of all files that the store knows."""
    sql = database.reading()
    rows = sql.execute("SELECT file FROM image UNION ALL SELECT file FROM result")
    return {row["file"] for row in rows.fetchall()}


def image_ids(database: Database) -> set[int]:
    """Numbers of all radiographs."""
    return {row["id"] for row in database.reading().execute("SELECT id FROM image").fetchall()}


def waiting_for(database: Database) -> dict[str, str]:
    """Destinations for which something waits that was tried already, and why it waits."""
    rows = database.reading().execute(
        "SELECT destination, max(reason) AS reason FROM delivery WHERE state = ? AND reason != ''"
        " GROUP BY destination",
        (DeliveryState.WAITING,),
    )
    return {row["destination"]: row["reason"] for row in rows.fetchall()}


def _named(row: dict[str, Any], *, identify: bool) -> dict[str, Any]:
    uid = row.pop("sop_instance_uid")
    if "accession" in row:
        row["accession"] = shown_accession(row["accession"] or "", identify=identify)
    return {**row, "sop_instance_uid": uid} if identify else {**row, "uid": hashed_uid(uid)}
