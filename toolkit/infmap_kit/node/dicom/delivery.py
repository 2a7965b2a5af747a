"""Bringing results to one destination: back-off while it is away, dead letters for what it never takes."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection
from pathlib import Path

from infmap_kit.node.audit.messages import AuditedObject, subject_in
from infmap_kit.node.audit.trail import Trail
from infmap_kit.node.config import Destination
from infmap_kit.node.dicom.destinations import Send, sending
from infmap_kit.node.dicom.response import DestinationUnavailable, Meaning
from infmap_kit.node.log import Trouble, note
from infmap_kit.node.loops import IDLE_S, backoff_s
from infmap_kit.node.queue.outbox import Outbox
from infmap_kit.node.queue.states import Delivery

_BATCH = 32


class Sender:
    """Delivers results to one destination.

    Parameters
    ----------
    destination
        The destination.
    outbox
        The deliveries that wait.
    results
        The spool's folder of results.
    ae_title
        AE title of the node.
    trail
        The audit log, which hears of each object before it is sent and after it was answered.
    """

    def __init__(
        self,
        destination: Destination,
        outbox: Outbox,
        *,
        results: Path,
        ae_title: str,
        trail: Trail | None = None,
    ) -> None:
        self.destination = destination
        self._trail = trail
        self._outbox = outbox
        self._results = results
        self._ae_title = ae_title
        self._trouble = Trouble(f"destination {destination.name}")
        self._failures = 0
        self._since_s = time.monotonic()
        self._away_until_s = 0.0
        # A refused object waits on its own, and holds up no other.
        self._not_before_s: dict[int, float] = {}
        # Deliveries at which the destination went away: they come last, lest they hold up all others.
        self._suspects: set[int] = set()

    @property
    def trouble(self) -> str:
        """Reason why nothing is delivered now; empty when all is well."""
        return self._trouble.reason

    def step(self) -> float:
        """Deliver what waits.

        Returns
        -------
        float
            Seconds to wait before the next step; 0 when there may be more to do.
        """
        now = time.monotonic()
        # New results wake this sender; a destination that is away is left in peace all the same.
        if now < self._away_until_s:
            return self._away_until_s - now
        self._not_before_s = {key: at for key, at in self._not_before_s.items() if at > now}
        batch = self._waiting(besides={*self._not_before_s, *self._suspects}) or self._waiting(
            besides=self._not_before_s
        )
        if not batch:
            if not self.trouble:
                self._since_s = now
            return IDLE_S
        try:
            present = self._present(batch)
            if present:
                files = [self._results / delivery.file for delivery in present]
                with sending(self.destination, files, ae_title=self._ae_title) as send:
                    self._deliver(present, send)
        except DestinationUnavailable as error:
            return self._wait(str(error))
        self._since_s = time.monotonic()
        return 0

    def _waiting(self, *, besides: Collection[int]) -> list[Delivery]:
        return self._outbox.deliveries(self.destination.name, besides=besides, limit=_BATCH)

    def _present(self, batch: Collection[Delivery]) -> list[Delivery]:
        """Deliveries whose files are there; one without a file is recorded as dead."""
        present = [delivery for delivery in batch if (self._results / delivery.file).is_file()]
        for delivery in batch:
            if delivery not in present:
                self._outbox.refused(delivery, "its file is gone from the spool", is_dead=True)
        return present

    def _deliver(self, batch: Collection[Delivery], send: Send) -> None:
        for delivery in batch:
            subject = self._announced(delivery)
            try:
                response = send(self._results / delivery.file)
            except DestinationUnavailable:
                self._suspects.add(delivery.delivery_id)
                raise
            self._suspects.discard(delivery.delivery_id)
            self._failures = 0
            self._trouble.is_over()
            if self._trail is not None:
                is_stored = response.meaning is Meaning.STORED
                self._trail.sent(subject, self.destination, is_stored=is_stored)
            if response.meaning is Meaning.STORED:
                self._outbox.delivered(delivery, response.remark)
            else:
                is_final = response.meaning is Meaning.REFUSED_FOR_GOOD
                self._refused(delivery, response.remark, is_final=is_final)

    def _announced(self, delivery: Delivery) -> AuditedObject:
        """Tell the audit log what is about to be sent."""
        if self._trail is None:
            return AuditedObject()
        subject = subject_in(self._results / delivery.file)
        self._trail.sending(subject, self.destination)
        return subject

    def _refused(self, delivery: Delivery, reason: str, *, is_final: bool) -> None:
        attempts = delivery.attempts + 1
        is_dead = is_final or attempts >= self.destination.max_refusals
        self._outbox.refused(delivery, reason, is_dead=is_dead)
        pause_s = backoff_s(attempts, most_s=self.destination.max_wait_s)
        self._not_before_s[delivery.delivery_id] = time.monotonic() + pause_s
        if is_dead or attempts == 1:
            note(
                "refused for good" if is_dead else "refused, to be tried again",
                level=logging.WARNING,
                destination=self.destination.name,
                image=delivery.image_id,
                reason=reason,
            )

    def _wait(self, reason: str) -> float:
        self._trouble.begins(reason)
        now = time.monotonic()
        given_up = self._outbox.waited(
            self.destination.name,
            now - self._since_s,
            reason,
            give_up_after_s=3600 * self.destination.give_up_after_h,
        )
        self._since_s = now
        if given_up:
            note(
                "given up", level=logging.ERROR, destination=self.destination.name,
                deliveries=given_up, reason=reason,
            )  # fmt: skip
        self._failures += 1
        pause_s = backoff_s(self._failures, most_s=self.destination.max_wait_s)
        self._away_until_s = now + pause_s
        return pause_s
