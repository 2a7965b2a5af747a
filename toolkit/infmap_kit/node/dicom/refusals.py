"""Connections that were refused: counted by kind, and logged so that a flood is a line."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter

from infmap_kit.node.dicom.request import ConnectionRefused, HandshakeFailed, Rejection
from infmap_kit.node.log import note
from infmap_kit.node.queue.states import CONNECTION, HANDSHAKE

_AGAIN_S = 600.0
_REMEMBERED = 1000


class Refusals:
    """Counts refusals, and logs each kind once in ten minutes for an address."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._logged: dict[tuple[str, str], tuple[float, int]] = {}
        self._lock = threading.Lock()

    def add(self, refusal: ConnectionRefused | Rejection | str, *, address: str) -> None:
        """Count and log a refusal."""
        if isinstance(refusal, str):
            kind = detail = refusal
        else:
            kind = refusal.kind
            detail = refusal.detail if isinstance(refusal, Rejection) else str(refusal)
        group = HANDSHAKE if isinstance(refusal, HandshakeFailed) else CONNECTION
        now = time.monotonic()
        with self._lock:
            self._counts[group + kind] += 1
            is_remembered = (address, kind) in self._logged
            at, times = self._logged.get((address, kind), (-_AGAIN_S, 0))
            is_due = now - at >= _AGAIN_S and (is_remembered or len(self._logged) < _REMEMBERED)
            if is_due:
                self._logged[address, kind] = (now, 0)
            elif is_remembered:
                self._logged[address, kind] = (at, times + 1)
        if is_due:
            event = "association rejected" if isinstance(refusal, Rejection) else group[:-2]
            more = {"times_before": times} if times else {}
            note(event, level=logging.WARNING, reason=detail or kind, address=address, **more)

    def put_back(self, counts: dict[str, int]) -> None:
        """Count again what could not be written down."""
        with self._lock:
            self._counts.update(counts)

    def take(self) -> dict[str, int]:
        """Give the counts since the last call, by the queue's counter."""
        with self._lock:
            counts, self._counts = dict(self._counts), Counter()
        return counts
