"""Processes: started as a person at a terminal does, found again, and ended."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from pathlib import Path


def heed_ctrl_c() -> None:
    """For ``preexec_fn``: a shell's background job ignores SIGINT, and hands that down to all it starts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def processes_naming(text: str) -> list[int]:
    """Ids of all other processes with ``text`` on their command line."""
    ids = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if text.encode() in path.read_bytes() and int(path.parent.name) != os.getpid():
                ids.append(int(path.parent.name))
    return ids


def end(process: subprocess.Popen[bytes]) -> None:
    """Ask a process to end, and kill it when it does not within 20 seconds."""
    process.terminate()
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
