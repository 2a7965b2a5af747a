"""The node's log: one JSON object a line, without names, ids or UIDs of patients.

The loggers of libraries are silent here: pynetdicom and pydicom quote what they read.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import sys
import threading
import warnings
from typing import Any

from infmap_kit.node.queue.clock import utc_now

_LOGGER = logging.getLogger("infmap_kit.node")


def note(event: str, *, level: int = logging.INFO, **fields: Any) -> None:
    """Log an event with its fields; UIDs come hashed (:mod:`infmap_kit.imaging.dicom.identity`)."""
    _LOGGER.log(level, event, extra={"fields": fields})


def cause_of(error: sqlite3.Error | OSError) -> str:
    """Why a disk or the queue cannot be used; of SQLite its type alone, since messages may quote a patient."""
    return getattr(error, "strerror", None) or type(error).__name__


def log_to_stderr() -> None:
    """Write the node's events to stderr as JSON lines, and silence all others."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLines())
    _LOGGER.handlers = [handler]
    _LOGGER.setLevel(logging.INFO)
    _LOGGER.propagate = False
    logging.basicConfig(handlers=[logging.NullHandler()], level=logging.CRITICAL, force=True)
    for library in ("pynetdicom", "pydicom", "uvicorn"):
        logging.getLogger(library).setLevel(logging.CRITICAL + 1)
    warnings.simplefilter("ignore")
    # A thread of a library that ends in an error: one line, without the message.
    threading.excepthook = lambda failed: note(
        "a thread ended", level=logging.ERROR, reason=failed.exc_type.__name__
    )


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": utc_now(),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        return json.dumps(line, ensure_ascii=False, default=str)


class Trouble:
    """A trouble of a subject (``destination pacs``): logged when it begins or changes, and when it is over."""

    def __init__(self, subject: str) -> None:
        self._subject = subject
        self._reason = ""
        self._times = 0
        self._lock = threading.Lock()

    @property
    def reason(self) -> str:
        """The present trouble; empty when there is none."""
        return self._reason

    def begins(self, reason: str, **fields: Any) -> None:
        """Log the reason, unless that was done already."""
        with self._lock:
            self._times += 1
            if reason == self._reason:
                return
            self._reason = reason
        note(f"{self._subject}: {reason}", level=logging.WARNING, **fields)

    def is_over(self, **fields: Any) -> None:
        """Log that all is well again, when it was not."""
        with self._lock:
            if not self._reason:
                return
            times, self._reason, self._times = self._times, "", 0
        note(f"{self._subject}: well again", times=times, **fields)


class Troubles:
    """One :class:`Trouble` for each subject, so that it is logged once, however many threads meet it."""

    def __init__(self) -> None:
        self._known: dict[str, Trouble] = {}
        self._lock = threading.Lock()

    def about(self, subject: str) -> Trouble:
        """The trouble of a subject, such as ``model chest`` or ``spool``."""
        with self._lock:
            return self._known.setdefault(subject, Trouble(subject))
