"""Threads that do one step after the other, can be woken, and show that they are alive."""

from __future__ import annotations

import logging
import random
import sqlite3
import threading
import time
from collections.abc import Callable

from infmap_kit.node.log import Trouble, cause_of, note

IDLE_S = 0.25
"""Pause of a step that found nothing to do."""
_LONGEST_WAIT_S = 30.0
"""Pause, at most, of a step that failed because the disk is full or cannot be written."""


def backoff_s(failures: int, *, most_s: float) -> float:
    """Pause after so many failures in a row: doubled each time, up to ``most_s``.

    It is never the same, so that many hosts do not come back at once.
    """
    # 2**30 seconds are longer than any limit.
    doubled_s = 2.0 ** min(failures - 1, 30)
    return min(most_s, doubled_s) * random.uniform(0.5, 1)  # noqa: S311  # no secret


class Loop(threading.Thread):
    """Calls a step until it is stopped.

    A disk that is full or cannot be written does not end it: the step is called again, after a pause that grows
    up to half a minute. Any other error does, and with it the node.

    Parameters
    ----------
    name
        Name of the loop in logs.
    step
        Does something and gives the seconds until its next call.
    close
        Called in the same thread at the end.
    patience_s
        Seconds after which a step counts as stuck.
    """

    def __init__(
        self,
        name: str,
        step: Callable[[], float],
        *,
        close: Callable[[], None] = lambda: None,
        patience_s: float = 300.0,
    ) -> None:
        super().__init__(name=name, daemon=True)
        self._step = step
        self._close = close
        self._patience_s = patience_s
        self._awake = threading.Event()
        self._ended = threading.Event()
        self._beat_s = time.monotonic()
        self._disk = Trouble(name)
        self._failures = 0

    def run(self) -> None:
        """Step until the loop is stopped."""
        try:
            while not self._ended.is_set():
                self._beat_s = time.monotonic()
                self._awake.clear()
                self._awake.wait(self._next())
        # Whatever the error: the node ends, and the next run finds everything in the store.
        except Exception as error:
            note(f"{self.name} ended", level=logging.CRITICAL, reason=_place_of(error))
            raise SystemExit from error
        finally:
            self._close()

    def _next(self) -> float:
        try:
            pause_s = self._step()
        # What was to be done is still in the store.
        except (sqlite3.OperationalError, OSError) as error:
            self._failures += 1
            reason = cause_of(error)
            self._disk.begins(f"the spool cannot be used: {reason}")
            return backoff_s(self._failures, most_s=_LONGEST_WAIT_S)
        self._failures = 0
        self._disk.is_over()
        return pause_s

    def wake(self) -> None:
        """Let the next step begin now."""
        self._awake.set()

    def stop(self) -> None:
        """End after the present step."""
        self._ended.set()
        self._awake.set()

    @property
    def trouble(self) -> str:
        """Reason why this loop does not work; empty when it does."""
        if not self.is_alive():
            return f"{self.name} has ended"
        stuck_s = time.monotonic() - self._beat_s
        # Waiting is part of a round: no loop waits for longer than a minute.
        if stuck_s > self._patience_s:
            return f"{self.name} has done nothing for {stuck_s:.0f} s"
        return ""


def _place_of(error: Exception) -> str:
    """Type and place of an error, without its message, which may quote a patient."""
    trace, place = error.__traceback__, ""
    while trace is not None:
        code = trace.tb_frame.f_code
        place = f"{code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}"
        trace = trace.tb_next
    return f"{type(error).__name__} at {place}"
