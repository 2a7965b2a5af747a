"""The states of radiographs and deliveries in the store.

::

    arrived ─> waiting ─> working ─┬─> delivering ─┬─> done       every result is where it should go
                  ^          │     │               ├─> rejected   not suitable; its report is delivered
                  └──────────┘     │               └─> failed     a destination never took a result
             crash, server away    ├─> done, rejected             nothing to deliver
                                   ├─> ignored                    no rule fits it
                                   └─> failed                     given up, with the reason
"""

from __future__ import annotations

import dataclasses
import enum


class State(enum.StrEnum):
    """The state of a radiograph."""

    WAITING = "waiting"
    WORKING = "working"
    DELIVERING = "delivering"
    DONE = "done"
    REJECTED = "rejected"
    IGNORED = "ignored"
    FAILED = "failed"


FINAL = (State.DONE, State.REJECTED, State.IGNORED, State.FAILED)
"""States in which nothing happens by itself any more."""


class DeliveryState(enum.StrEnum):
    """The state of the delivery of one result to one destination."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    DEAD = "dead"


HANDSHAKE, CONNECTION = "handshake failed: ", "connection refused: "
"""Prefixes of the names of the counters of refused connections; the reason follows."""

FINDING = "finding"
"""Kind of the JSON that lies beside the objects for `infmap-kit progression`."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """A radiograph that a worker has claimed.

    Parameters
    ----------
    image_id, sop_instance_uid
        Its number in the store, and its UID.
    file
        Name in the spool's ``images``.
    caller
        AE title of the sender.
    """

    image_id: int
    file: str
    caller: str
    sop_instance_uid: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class ResultFile:
    """A result of a radiograph.

    Parameters
    ----------
    kind
        ``sc``, ``seg``, ``sr``, ``gsps`` or ``rejection``; ``finding`` for the JSON, which is not delivered.
    sop_instance_uid
        UID of the object; empty for the JSON.
    file
        Name in the spool's ``results``.
    """

    kind: str
    sop_instance_uid: str
    file: str

    @property
    def is_delivered(self) -> bool:
        """Whether it is delivered to destinations."""
        return self.kind != FINDING


@dataclasses.dataclass(frozen=True, kw_only=True)
class Delivery:
    """A result on its way to a destination.

    Parameters
    ----------
    delivery_id, image_id
        Numbers in the store.
    file
        Name in the spool's ``results``.
    attempts
        Number of times that the destination refused this object.
    kind, destination
        Kind of the result, and the destination's name.
    """

    delivery_id: int
    image_id: int
    file: str
    attempts: int
    kind: str
    destination: str
