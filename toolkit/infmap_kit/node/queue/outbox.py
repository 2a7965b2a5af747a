"""The durable queue's other half: results on their way to destinations, each method one transaction."""

from __future__ import annotations

from collections.abc import Callable, Collection

from infmap_kit.node.queue.clock import utc_now
from infmap_kit.node.queue.database import Database
from infmap_kit.node.queue.states import Delivery, DeliveryState
from infmap_kit.node.queue.transitions import Finished, add_event, count, finish_if_delivered


class Outbox:
    """What waits for destinations.

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

    def deliveries(
        self, destination: str, *, besides: Collection[int], limit: int
    ) -> list[Delivery]:
        """What waits for a destination, oldest first.

        Parameters
        ----------
        besides
            Numbers of deliveries whose time has not come.
        limit
            At most so many.
        """
        rows = self.database.reading().execute(
            "SELECT delivery.id, delivery.image_id, attempts, file FROM delivery"
            " JOIN result ON result.id = result_id"
            " WHERE destination = ? AND state = ? ORDER BY delivery.id LIMIT ?",
            (destination, DeliveryState.WAITING, limit + len(besides)),
        )
        waiting = [
            Delivery(
                delivery_id=row["id"],
                image_id=row["image_id"],
                file=row["file"],
                attempts=row["attempts"],
            )
            for row in rows.fetchall()
            if row["id"] not in besides
        ]
        return waiting[:limit]

    def delivered(self, delivery: Delivery, remark: str) -> None:
        """Record that a destination has stored an object; ``remark`` is its warning, if any."""
        with self.database.transaction() as sql:
            sql.execute(
                "UPDATE delivery SET state = ?, reason = ?, delivered_at = ? WHERE id = ?",
                (DeliveryState.DELIVERED, remark, utc_now(), delivery.delivery_id),
            )
            count(sql, "warned" if remark else "delivered")
            if remark:
                add_event(sql, delivery.image_id, f"delivered with a warning: {remark}")
            finished = finish_if_delivered(sql, delivery.image_id)
        self._tell(finished)

    def refused(self, delivery: Delivery, reason: str, *, is_dead: bool) -> None:
        """Record that a destination refused an object, for now or for good."""
        finished = None
        with self.database.transaction() as sql:
            sql.execute(
                "UPDATE delivery SET state = ?, reason = ?, attempts = attempts + 1 WHERE id = ?",
                (
                    DeliveryState.DEAD if is_dead else DeliveryState.WAITING,
                    reason,
                    delivery.delivery_id,
                ),
            )
            add_event(sql, delivery.image_id, f"delivery refused{' for good' * is_dead}: {reason}")
            if is_dead:
                finished = finish_if_delivered(sql, delivery.image_id)
        self._tell(finished)

    def waited(
        self, destination: str, seconds: float, reason: str, *, give_up_after_s: float
    ) -> int:
        """Record that a destination was away for another while.

        The time is counted by whoever waited, so that a changed clock makes nothing old.

        Returns
        -------
        int
            How many deliveries were given up.
        """
        finished = []
        with self.database.transaction() as sql:
            sql.execute(
                "UPDATE delivery SET waited_s = waited_s + ?, reason = ?"
                " WHERE destination = ? AND state = ?",
                (seconds, reason, destination, DeliveryState.WAITING),
            )
            rows = sql.execute(
                "UPDATE delivery SET state = ? WHERE destination = ? AND state = ? AND waited_s > ?"
                " RETURNING image_id",
                (DeliveryState.DEAD, destination, DeliveryState.WAITING, give_up_after_s),
            ).fetchall()
            for image_id in {row["image_id"] for row in rows}:
                add_event(sql, image_id, f"delivery to {destination} given up: {reason}")
                finished.append(finish_if_delivered(sql, image_id))
        for one in finished:
            self._tell(one)
        return len(rows)

    def orphaned_destinations(self, known: Collection[str]) -> list[str]:
        """Destinations for which something waits, and which the rules do not know any more."""
        rows = self.database.reading().execute(
            "SELECT DISTINCT destination FROM delivery WHERE state = ?", (DeliveryState.WAITING,)
        )
        return sorted({row["destination"] for row in rows.fetchall()} - set(known))

    def _tell(self, finished: Finished | None) -> None:
        if finished is not None:
            self._on_finished(finished)
