"""The durable queue's other half: results on their way to destinations."""

from __future__ import annotations

from collections.abc import Collection

from infmap_kit.node.queue.clock import utc_now
from infmap_kit.node.queue.states import Delivery, DeliveryState
from infmap_kit.node.queue.transitions import Queue, add_event, count, finish_if_delivered


class Outbox(Queue):
    """The queue of deliveries."""

    def deliveries(
        self, destination: str, *, besides: Collection[int], limit: int
    ) -> list[Delivery]:
        """At most ``limit`` waiting deliveries, the oldest first, besides those whose time has not come."""
        rows = self.database.reading().execute(
            "SELECT delivery.id AS delivery_id, delivery.image_id, attempts, file, kind, destination"
            " FROM delivery JOIN result ON result.id = result_id"
            " WHERE destination = ? AND state = ? ORDER BY delivery.id LIMIT ?",
            (destination, DeliveryState.WAITING, limit + len(besides)),
        )
        waiting = [Delivery(**row) for row in rows.fetchall() if row["delivery_id"] not in besides]
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
                what = f"{delivery.kind} delivered to {delivery.destination} with a warning"
                add_event(sql, delivery.image_id, f"{what}: {remark}")
            finished = finish_if_delivered(sql, delivery.image_id)
        self._report(finished)

    def refused(self, delivery: Delivery, reason: str, *, is_dead: bool) -> None:
        """Record that a destination refused an object, for now or for good."""
        state = DeliveryState.DEAD if is_dead else DeliveryState.WAITING
        finished = None
        with self.database.transaction() as sql:
            sql.execute(
                "UPDATE delivery SET state = ?, reason = ?, attempts = attempts + 1 WHERE id = ?",
                (state, reason, delivery.delivery_id),
            )
            what = f"{delivery.kind} refused by {delivery.destination}{' for good' * is_dead}"
            add_event(sql, delivery.image_id, f"{what}: {reason}")
            if is_dead:
                finished = finish_if_delivered(sql, delivery.image_id)
        self._report(finished)

    def waited(
        self, destination: str, seconds: float, reason: str, *, give_up_after_s: float
    ) -> int:
        """Record that a destination was away for another while.

        The sender counts the time, so that a changed clock makes nothing old.

        Returns
        -------
        int
            Number of deliveries that were given up.
        """
        with self.database.transaction() as sql:
            sql.execute(
                "UPDATE delivery SET waited_s = waited_s + ?, reason = ?"
                " WHERE destination = ? AND state = ?",
                (seconds, reason, destination, DeliveryState.WAITING),
            )
            rows = sql.execute(
                "UPDATE delivery SET state = ? WHERE destination = ? AND state = ? AND waited_s > ?"
                " RETURNING image_id, (SELECT kind FROM result WHERE id = result_id) AS kind",
                (DeliveryState.DEAD, destination, DeliveryState.WAITING, give_up_after_s),
            ).fetchall()
            for row in rows:
                what = f"{row['kind']} to {destination} given up: {reason}"
                add_event(sql, row["image_id"], what)
            given_up = {row["image_id"] for row in rows}
            finished = [finish_if_delivered(sql, image_id) for image_id in given_up]
        for image in finished:
            self._report(image)
        return len(rows)

    def orphaned_destinations(self, known: Collection[str]) -> list[str]:
        """Destinations for which something waits, and which the rules do not know any more."""
        rows = self.database.reading().execute(
            "SELECT DISTINCT destination FROM delivery WHERE state = ?", (DeliveryState.WAITING,)
        )
        return sorted({row["destination"] for row in rows.fetchall()} - set(known))
