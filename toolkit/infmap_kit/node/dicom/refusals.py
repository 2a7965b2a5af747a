"""Connections that were refused: counted by kind and by caller, and logged so that a flood is a few lines."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Mapping

from infmap_kit.node.audit.trail import Trail
from infmap_kit.node.dicom.bounds import Rate
from infmap_kit.node.dicom.request import ConnectionRefused, HandshakeFailed, Rejection
from infmap_kit.node.log import note
from infmap_kit.node.queue.callers import RefusedCaller
from infmap_kit.node.queue.states import CONNECTION, HANDSHAKE

_AGAIN_S = 60.0
_LINES_PER_MINUTE = 60
_REMEMBERED = 1000


class Refusals:
    """Counts refusals, and logs each: the same one once a minute, and all together sixty lines a minute.

    A line says how often the same was refused since the line before. The audit log hears of what is logged.

    Parameters
    ----------
    trail
        The audit log.
    """

    def __init__(self, trail: Trail | None = None) -> None:
        self._trail = trail
        self._counts: Counter[str] = Counter()
        self._callers: Counter[RefusedCaller] = Counter()
        # When each was logged, and how often it came since; whoever was logged last, last.
        self._logged: OrderedDict[RefusedCaller, tuple[float, int]] = OrderedDict()
        self._lines = Rate(_LINES_PER_MINUTE)
        self._lock = threading.Lock()

    def add(
        self,
        refusal: ConnectionRefused | Rejection | str,
        *,
        address: str,
        caller: str = "",
        called: str = "",
    ) -> None:
        """Count and log a refusal; the AE titles are those of its request, where one came."""
        if isinstance(refusal, str):
            kind = detail = refusal
        else:
            kind = refusal.kind
            detail = refusal.detail if isinstance(refusal, Rejection) else str(refusal)
        group = HANDSHAKE if isinstance(refusal, HandshakeFailed) else CONNECTION
        who = RefusedCaller(address=address, caller=caller, called=called, reason=kind)
        with self._lock:
            self._counts[group + kind] += 1
            if who in self._callers or len(self._callers) < _REMEMBERED:
                self._callers[who] += 1
            times = self._times_before(who)
        if times is not None:
            event = "association rejected" if isinstance(refusal, Rejection) else group[:-2]
            more = {"times_before": times} if times else {}
            note(event, level=logging.WARNING, reason=detail or kind, address=address, **more)
            if self._trail is not None:
                self._trail.refused(kind, caller=caller, called=called, address=address)

    def put_back(self, counts: Mapping[str, int], callers: Mapping[RefusedCaller, int]) -> None:
        """Count again what could not be written down."""
        with self._lock:
            self._counts.update(counts)
            self._callers.update(callers)

    def take(self) -> dict[str, int]:
        """Give the counts since the last call, by the queue's counter."""
        with self._lock:
            counts, self._counts = dict(self._counts), Counter()
        return counts

    def take_callers(self) -> dict[RefusedCaller, int]:
        """Give the callers since the last call, and how often each came."""
        with self._lock:
            callers, self._callers = dict(self._callers), Counter()
        return callers

    def _times_before(self, who: RefusedCaller) -> int | None:
        """Number of attempts since the last log line; ``None`` if none is due now."""
        now = time.monotonic()
        at, times = self._logged.get(who, (-_AGAIN_S, 0))
        is_due = now - at >= _AGAIN_S and self._lines.allows("")
        self._logged[who] = (now, 0) if is_due else (at, times + 1)
        if is_due:
            self._logged.move_to_end(who)
        if len(self._logged) > _REMEMBERED:
            self._logged.popitem(last=False)
        return times if is_due else None
