"""Forgetting finished radiographs, by age and by space; failed ones stay until a person looks at them.

Ages are of the queue's own time, not of the wall clock: one that is set ten years ahead makes nothing old.
"""

from __future__ import annotations

import time
from pathlib import Path

from infmap_kit.node.config import Retention
from infmap_kit.node.log import note
from infmap_kit.node.queue.age import ages_s
from infmap_kit.node.queue.store import Store
from infmap_kit.node.spool import Spool

EVERY_S = 60.0
_GRACE_S = 300.0


class Cleaner:
    """Keeps the spool within its limits.

    Parameters
    ----------
    rules
        Longest time and largest size.
    spool, store
        The radiographs' files, and the queue of them.
    """

    def __init__(self, rules: Retention, spool: Spool, store: Store) -> None:
        self._rules = rules
        self._spool = spool
        self._store = store
        self._seen: dict[Path, tuple[int, float]] = {}

    def step(self) -> float:
        """Forget radiographs beyond the limits.

        Returns
        -------
        float
            Seconds until the next look.
        """
        self._remove_halves()
        forgotten = 0
        longest_s = self._rules.days * 86400
        excess = self._spool.used_bytes() - int(self._rules.max_gb * 2**30)
        for image_id, age_s in ages_s(self._store.database):
            is_old = age_s > longest_s
            if not is_old and excess <= 0:
                break
            excess -= forget(self._spool, self._store, image_id)
            forgotten += 1
        if forgotten:
            note("forgotten", radiographs=forgotten)
        return EVERY_S

    def _remove_halves(self) -> None:
        """Remove files in ``arriving`` that have stopped to grow; their transfer may have ended unnoticed."""
        now = time.monotonic()
        seen: dict[Path, tuple[int, float]] = {}
        for file in self._spool.arriving.iterdir():
            try:
                size = file.stat().st_size
            except FileNotFoundError:
                continue
            before, since = self._seen.get(file, (-1, now))
            if size != before:
                seen[file] = (size, now)
            elif now - since < _GRACE_S:
                seen[file] = (size, since)
            else:
                file.unlink(missing_ok=True)
        self._seen = seen


def forget(spool: Spool, store: Store, image_id: int) -> int:
    """Remove entry, then files, of a finished radiograph; the number of bytes that became free.

    A crash in between leaves files that the next start sweeps away.
    """
    freed = 0
    for name in store.forget(image_id):
        for room in (spool.images, spool.results):
            file = room / name
            if file.is_file():
                freed += file.stat().st_size
                file.unlink(missing_ok=True)
    return freed
