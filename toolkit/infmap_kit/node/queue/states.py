"""What a radiograph and a delivery can be in the store.

::

    arrived ─> waiting ─> working ─┬─> delivering ─┬─> done       every result is where it should go
                  ^          │     │               ├─> rejected   not suitable; its report is delivered
                  └──────────┘     │               └─> failed     a destination never took a result
             crash, server away    ├─> done, rejected             nothing to deliver
                                   ├─> ignored                    no rule wants it
                                   └─> failed                     given up, with the reason
"""

from __future__ import annotations

import dataclasses
import enum


class State(enum.StrEnum):
    """Where a radiograph is on its way."""

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
    """Where one result is on its way to one destination."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    DEAD = "dead"


FINDING = "finding"
"""The kind of the JSON that stays beside the objects: what `infmap-kit progression` reads."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """A radiograph that a worker has claimed.

    Parameters
    ----------
    image_id
        Its number in the store.
    file
        Name in the spool's ``images``.
    caller
        AE title of the sender.
    sop_instance_uid
        Of the radiograph.
    """

    image_id: int
    file: str
    caller: str
    sop_instance_uid: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class ResultFile:
    """What was made of a radiograph.

    Parameters
    ----------
    kind
        ``sc``, ``seg``, ``sr``, ``gsps`` or ``rejection``; ``finding`` for the JSON, which stays here and
        goes nowhere.
    sop_instance_uid
        Of the object; empty for the JSON.
    file
        Name in the spool's ``results``.
    """

    kind: str
    sop_instance_uid: str
    file: str

    @property
    def is_delivered(self) -> bool:
        """Whether it goes to destinations."""
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
        How often the destination refused this very object.
    """

    delivery_id: int
    image_id: int
    file: str
    attempts: int
