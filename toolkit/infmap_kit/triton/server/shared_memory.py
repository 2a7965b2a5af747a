"""Shared memory of Triton's python backend: named after the process that started the server, and removed."""

from __future__ import annotations

import contextlib
import itertools
import os
from pathlib import Path

PREFIX = "infmap-kit-"
"""Beginning of the name of everything that belongs to a server; the process that started it follows."""
_FOLDER = Path("/dev/shm")  # noqa: S108  # where Linux keeps it
_serial = itertools.count(1)


def new_prefix() -> str:
    """A prefix for the regions of one server that this process starts."""
    return f"{PREFIX}{os.getpid()}-{next(_serial)}-"


def remove_shared_memory(prefix: str) -> None:
    """Take away what a server that has ended left."""
    for region in _FOLDER.glob(f"{prefix}*"):
        region.unlink(missing_ok=True)


def remove_stale_shared_memory() -> None:
    """Take away what servers left whose starter is gone (a kill -9 gives them no time to)."""
    for region in _FOLDER.glob(f"{PREFIX}*"):
        if is_stale(region.name):
            region.unlink(missing_ok=True)


def is_stale(name: str) -> bool:
    """Whether the process that a name says it belongs to is gone."""
    owner = name.removeprefix(PREFIX).partition("-")[0]
    return owner.isdecimal() and not Path(f"/proc/{owner}").exists()


def make_shared_memory_private(prefix: str) -> None:
    """Let nobody but its user read a server's regions, through which radiographs pass.

    Triton's python backend makes them readable by everybody, whatever the umask; so this is for after its start
    and before the first request.
    """
    for region in _FOLDER.glob(f"{prefix}*"):
        with contextlib.suppress(FileNotFoundError):
            region.chmod(0o600)
