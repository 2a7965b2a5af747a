"""The durable queue: every change of a radiograph's state until its results wait for delivery."""

from __future__ import annotations

import dataclasses
import sqlite3
from collections.abc import Callable, Collection, Mapping, Sequence

from infmap_kit.errors import NodeError
from infmap_kit.node.queue.about import Figures, set_accession, set_figures
from infmap_kit.node.queue.clock import boot_id, boottime_s, utc_now
from infmap_kit.node.queue.states import FINAL, DeliveryState, Job, ResultFile, State
from infmap_kit.node.queue.transitions import Queue, add_event, count, finish, finish_if_delivered


@dataclasses.dataclass(frozen=True, kw_only=True)
class Known:
    """A radiograph that is in the store already, under the same SOP Instance UID.

    Parameters
    ----------
    image_id, file, sha256
        As of :meth:`Store.add`.
    rejection
        Code and reason of its rejection; empty when it was not rejected.
    """

    image_id: int
    file: str
    sha256: str
    rejection: str


class Store(Queue):
    """The queue of radiographs."""

    def add(
        self,
        *,
        sop_instance_uid: str,
        sha256: str,
        file: str,
        size_bytes: int,
        caller: str,
        results_bytes: int = 0,
        accession: str = "",
    ) -> int | Known:
        """Enter a radiograph whose file is on disk, synced.

        Parameters
        ----------
        sop_instance_uid, sha256, file, size_bytes
            The radiograph's UID, and its file.
        caller
            AE title of the sender.
        results_bytes
            Most bytes that its results will take.
        accession
            Its accession number.

        Returns
        -------
        int or Known
            Its number; or the entry that was there already.
        """
        with self.database.transaction() as sql:
            row = sql.execute(
                "SELECT id AS image_id, file, sha256, iif(outcome = ?, reason, '') AS rejection"
                " FROM image WHERE sop_instance_uid = ?",
                (State.REJECTED, sop_instance_uid),
            ).fetchone()
            if row is not None:
                return Known(**row)
            cursor = sql.execute(
                "INSERT INTO image (sop_instance_uid, sha256, file, size_bytes, results_bytes, caller, state,"
                " received_at, boot_id, received_s) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    sop_instance_uid, sha256, file, size_bytes, results_bytes, caller, State.WAITING, utc_now(),
                    boot_id(), boottime_s(),
                ),
            )  # fmt: skip
            image_id = int(cursor.lastrowid or 0)
            set_accession(sql, image_id, accession)
            add_event(sql, image_id, f"received from {caller}")
            count(sql, "received")
        return image_id

    def replace(
        self,
        known: Known,
        *,
        sha256: str,
        file: str,
        size_bytes: int,
        caller: str,
        results_bytes: int,
        accession: str = "",
    ) -> bool:
        """Put another file in the place of one that is damaged; the radiograph is processed anew.

        What a worker makes of the old file meanwhile is not entered, since its claim is gone.

        Parameters
        ----------
        known
            The entry, as :meth:`add` gave it.
        sha256, file, size_bytes, caller, results_bytes, accession
            As for :meth:`add`.

        Returns
        -------
        bool
            Whether it was replaced; not when the old file led to a finding, whose objects a PACS may hold
            under the UIDs that the new ones would have.
        """
        with self.database.transaction() as sql:
            row = sql.execute(
                "UPDATE image SET sha256 = ?, file = ?, size_bytes = ?, caller = ?, results_bytes = ?,"
                " state = ?, outcome = '', reason = '', worker = NULL, attempts = 0, crashes = 0,"
                " finished_at = NULL, received_at = ?, boot_id = ?, received_s = ?"
                " WHERE id = ? AND file = ? AND state != ? AND outcome != ? RETURNING id",
                (
                    sha256,
                    file,
                    size_bytes,
                    caller,
                    results_bytes,
                    State.WAITING,
                    utc_now(),
                    boot_id(),
                    boottime_s(),
                    known.image_id,
                    known.file,
                    State.DONE,
                    State.DONE,
                ),
            ).fetchone()
            if row is None:
                return False
            sql.execute("DELETE FROM result WHERE image_id = ?", (known.image_id,))
            set_accession(sql, known.image_id, accession)
            add_event(
                sql,
                known.image_id,
                f"replaced by another object from {caller}, it was cut short or damaged",
            )
            count(sql, "replaced")
        return True

    def count(self, name: str) -> None:
        """Count an event that changes no state: a duplicate, a refusal."""
        self.count_all({name: 1})

    def count_all(self, numbers: Mapping[str, int]) -> None:
        """Count events that change no state, so many of each."""
        if numbers:
            with self.database.transaction() as sql:
                for name, number in numbers.items():
                    count(sql, name, number)

    def promised_bytes(self) -> int:
        """The most bytes that the results of all accepted radiographs without an answer will take."""
        row = self.database.reading().execute(
            "SELECT coalesce(sum(results_bytes), 0) AS promised FROM image WHERE state IN (?, ?)",
            (State.WAITING, State.WORKING),
        )
        return int(row.fetchone()["promised"])

    def claim(self, worker: str) -> Job | None:
        """Take the next radiograph that waits; no other worker gets it while the worker's lock is held.

        Those that crashed before come last, so that a picture on which the process dies holds up no other.
        """
        with self.database.transaction() as sql:
            # A worker does one thing at a time: what it still holds, it could not write down as done.
            sql.execute(
                "UPDATE image SET state = ?, worker = NULL WHERE worker = ? AND state = ?",
                (State.WAITING, worker, State.WORKING),
            )
            row = sql.execute(
                "UPDATE image SET state = ?, worker = ? WHERE id = (SELECT id FROM image WHERE state = ?"
                " ORDER BY crashes, attempts, id LIMIT 1)"
                " RETURNING id AS image_id, file, caller, sop_instance_uid",
                (State.WORKING, worker, State.WAITING),
            ).fetchone()
        return None if row is None else Job(**row)

    def reclaim(self, is_dead: Callable[[str], bool], *, max_crashes: int) -> int:
        """Put back the radiographs of dead workers.

        Parameters
        ----------
        is_dead
            Whether a worker's process has ended.
        max_crashes
            After so many, the radiograph itself is taken for the cause and given up.

        Returns
        -------
        int
            Number of radiographs that were put back or given up.
        """
        holders = self.database.reading().execute(
            "SELECT DISTINCT worker FROM image WHERE state = ? AND worker IS NOT NULL",
            (State.WORKING,),
        )
        dead = [row["worker"] for row in holders.fetchall() if is_dead(row["worker"])]
        reclaimed = 0
        for worker in dead:
            with self.database.transaction() as sql:
                rows = sql.execute(
                    "UPDATE image SET state = ?, worker = NULL, crashes = crashes + 1"
                    " WHERE worker = ? AND state = ? RETURNING id, crashes",
                    (State.WAITING, worker, State.WORKING),
                ).fetchall()
                for row in rows:
                    add_event(sql, row["id"], "the process ended while working on it")
                    if row["crashes"] >= max_crashes:
                        reason = f"the process ended {row['crashes']} times while working on it"
                        finish(sql, row["id"], State.FAILED, reason)
            reclaimed += len(rows)
        return reclaimed

    def put_back(self, job: Job, worker: str, reason: str) -> None:
        """Return a radiograph that could not be processed through no fault of its own."""
        with self.database.transaction() as sql:
            if _is_held(sql, job, worker):
                sql.execute(
                    "UPDATE image SET state = ?, worker = NULL, reason = ? WHERE id = ?",
                    (State.WAITING, reason, job.image_id),
                )

    def attempt_failed(self, job: Job, worker: str, reason: str, *, max_attempts: int) -> bool:
        """Record that a radiograph could not be processed; true when it is given up after the last attempt."""
        finished = None
        with self.database.transaction() as sql:
            if not _is_held(sql, job, worker):
                return False
            row = sql.execute(
                "UPDATE image SET state = ?, worker = NULL, attempts = attempts + 1, reason = ?"
                " WHERE id = ? RETURNING attempts",
                (State.WAITING, reason, job.image_id),
            ).fetchone()
            add_event(sql, job.image_id, f"attempt {row['attempts']} failed: {reason}")
            if row["attempts"] >= max_attempts:
                finished = finish(sql, job.image_id, State.FAILED, reason)
        self._report(finished)
        return finished is not None

    def ignore(self, job: Job, worker: str, reason: str) -> None:
        """Record that no rule fits a radiograph."""
        finished = None
        with self.database.transaction() as sql:
            if _is_held(sql, job, worker):
                finished = finish(sql, job.image_id, State.IGNORED, reason)
        self._report(finished)

    def processed(
        self,
        job: Job,
        worker: str,
        *,
        outcome: State,
        reason: str,
        results: Sequence[ResultFile],
        destinations: Collection[str],
        figures: Figures | None = None,
    ) -> bool:
        """Enter a radiograph's results, whose files are on disk and synced, and where they go.

        Parameters
        ----------
        outcome
            ``DONE`` or ``REJECTED``: its final state when all is delivered.
        reason
            The decision, or why it was rejected.
        results
            The results.
        destinations
            Names of their destinations.
        figures
            Figures of the finding, where there is one.

        Returns
        -------
        bool
            Whether it was entered; not when the worker had lost its claim.
        """
        with self.database.transaction() as sql:
            if not _is_held(sql, job, worker):
                return False
            sql.execute(
                "UPDATE image SET state = ?, worker = NULL, outcome = ?, reason = ? WHERE id = ?",
                (State.DELIVERING, outcome, reason, job.image_id),
            )
            set_figures(sql, job.image_id, figures)
            add_event(sql, job.image_id, f"processed: {reason}")
            for result in results:
                cursor = sql.execute(
                    "INSERT INTO result (image_id, kind, sop_instance_uid, file) VALUES (?, ?, ?, ?)",
                    (job.image_id, result.kind, result.sop_instance_uid, result.file),
                )
                sql.executemany(
                    "INSERT INTO delivery (image_id, result_id, destination, state) VALUES (?, ?, ?, ?)",
                    [
                        (job.image_id, cursor.lastrowid, name, DeliveryState.WAITING)
                        for name in (destinations if result.is_delivered else ())
                    ],
                )
            finished = finish_if_delivered(sql, job.image_id)
        self._report(finished)
        return True

    def retry(self, image_id: int) -> State:
        """Take up a radiograph again at a person's request.

        Results are delivered again, where they did not arrive or, when all arrived, to all; a radiograph
        without results is processed anew.

        Returns
        -------
        State
            Its new state.

        Raises
        ------
        NodeError
            When there is no such radiograph, or it is not finished and has no dead letters.
        """
        with self.database.transaction() as sql:
            row = sql.execute("SELECT state FROM image WHERE id = ?", (image_id,)).fetchone()
            if row is None:
                raise NodeError(f"there is no radiograph {image_id}: see `infmap-kit node list`")
            state = State(row["state"])
            # What arrived of a failed radiograph stays delivered; what still waits goes on waiting.
            is_all = state not in (State.FAILED, State.DELIVERING)
            cursor = sql.execute(
                "UPDATE delivery SET state = ?, attempts = 0, waited_s = 0"
                " WHERE image_id = ? AND (? OR state = ?)",
                (DeliveryState.WAITING, image_id, is_all, DeliveryState.DEAD),
            )
            if state not in FINAL and not (state == State.DELIVERING and cursor.rowcount):
                raise NodeError(
                    f"radiograph {image_id} is {state}: only what is finished or a dead letter can be retried"
                )
            now = State.DELIVERING
            if cursor.rowcount == 0 or state == State.REJECTED:
                sql.execute("DELETE FROM result WHERE image_id = ?", (image_id,))
                set_figures(sql, image_id, None)
                now = State.WAITING
            sql.execute(
                "UPDATE image SET state = ?, finished_at = NULL, attempts = 0, crashes = 0 WHERE id = ?",
                (now, image_id),
            )
            add_event(sql, image_id, f"retried, it was {state}")
        return now

    def forget(self, image_id: int) -> list[str]:
        """Remove a finished radiograph from the store, and give the names of its files."""
        with self.database.transaction() as sql:
            row = sql.execute("SELECT file, state FROM image WHERE id = ?", (image_id,)).fetchone()
            if row is None or State(row["state"]) not in FINAL:
                return []
            results = sql.execute("SELECT file FROM result WHERE image_id = ?", (image_id,))
            files = [row["file"], *(result["file"] for result in results.fetchall())]
            sql.execute("DELETE FROM image WHERE id = ?", (image_id,))
            count(sql, "forgotten")
        return files


def _is_held(sql: sqlite3.Connection, job: Job, worker: str) -> bool:
    row = sql.execute(
        "SELECT 1 FROM image WHERE id = ? AND worker = ? AND state = ?",
        (job.image_id, worker, State.WORKING),
    ).fetchone()
    return row is not None
