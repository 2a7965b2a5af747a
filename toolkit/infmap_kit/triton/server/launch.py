"""The program that becomes the server: ``python -IS launch.py STARTER REGIONS COMMAND``. It imports no package.

In a process of its own and not in Popen's preexec_fn: Python that runs between fork and exec crashes now and
then where gRPC has threads.
"""

from __future__ import annotations

import ctypes
import os
import resource
import select
import signal
import sys
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_REGIONS = Path("/dev/shm")  # noqa: S108  # where Linux keeps them


def become_server(starter: int, regions: str, command: list[str]) -> None:
    """Become a server that ends with its starter, has as many open files as it may, and leaves nothing.

    Parameters
    ----------
    starter
        Id of the process that starts it.
    regions
        Beginning of the names of its shared memory.
    command
        Its command line.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
    if os.getppid() != starter:
        # It was killed before the kernel was told.
        return
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    _leave_guard(regions)
    os.execv(command[0], command)  # noqa: S606  # our own command line


def _leave_guard(regions: str) -> None:
    """Leave a process that ends what a server leaves when it is killed while it starts, or in a request.

    The process that our runner lives in then waits for an answer for ever, with the radiograph. The guard is of
    the server's group, and no child of it.
    """
    try:
        server = os.pidfd_open(os.getpid())
    except OSError:
        # Linux before 5.3.
        return
    if child := os.fork():
        os.waitpid(child, 0)
        return
    if os.fork():
        os._exit(0)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    # Whoever reads the server's log waits until nobody can write it any more.
    os.closerange(0, 3)
    ended = select.poll()
    ended.register(server, select.POLLIN)
    ended.poll()
    for region in _REGIONS.glob(f"{regions}*"):
        region.unlink(missing_ok=True)
    os.killpg(os.getpgrp(), signal.SIGKILL)


if __name__ == "__main__":
    become_server(int(sys.argv[1]), sys.argv[2], sys.argv[3:])
