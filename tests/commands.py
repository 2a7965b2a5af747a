"""Commands of ours as processes of their own, which a test waits for; not each of them imports everything anew.

A command that is told how wide its terminal is, what comes in on stdin, or another Python is started by the
test itself: the process that forks (:mod:`launcher`) has read all that already.
"""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from launcher import Launcher
from patience import PATIENCE_S


@functools.cache
def _launcher(*, training: bool) -> Launcher:
    """One for all tests of this process, and one for those of training; they end with it."""
    folder = Path(tempfile.mkdtemp(prefix="infmap-commands-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    # NumPy's threads would not be copied by a fork.
    launcher = Launcher(
        folder, {"OPENBLAS_NUM_THREADS": "1"}, keep_privileges=True, training=training
    )
    atexit.register(launcher.__exit__)
    return launcher


def run_command(
    program: str,
    *arguments: object,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    timeout: float = PATIENCE_S,
) -> subprocess.CompletedProcess[str]:
    """Run one of our programs to its end, with all that is in ``os.environ`` now.

    Parameters
    ----------
    program, arguments
        What a user types.
    cwd
        The folder that it works in.
    environment
        Added to its environment.
    timeout
        Seconds after which the test fails.

    Returns
    -------
    subprocess.CompletedProcess
        With its exit code, stdout and stderr.
    """
    words = [program, *map(str, arguments)]
    with tempfile.TemporaryDirectory(prefix="infmap-command-") as folder:
        out, errors = Path(folder, "out"), Path(folder, "errors")
        command = _launcher(training=program == "infmap-train").start(
            *words,
            log=out,
            errors=errors,
            cwd=cwd,
            environment={**os.environ, **(environment or {})},
        )
        try:
            code = command.wait(timeout)
        finally:
            command.kill()
        return subprocess.CompletedProcess(
            words, code, out.read_text("utf-8"), errors.read_text("utf-8")
        )
