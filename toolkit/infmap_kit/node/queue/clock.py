"""Two clocks: the wall clock for display, and the time since boot for everything that waits."""

from __future__ import annotations

import datetime as dt
import functools
import time
from pathlib import Path


def boottime_s() -> float:
    """Seconds since this machine booted, sleep included; never jumps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@functools.cache
def boot_id() -> str:
    """The identifier of the boot from which :func:`boottime_s` counts."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def shown_time(iso: str) -> str:
    """A time of :func:`utc_now` for tables and pages, to the second."""
    return iso[:19].replace("T", " ")


def utc_now() -> str:
    """Wall-clock time in UTC, ISO 8601 with milliseconds. To be read by people; nothing is decided by it."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
