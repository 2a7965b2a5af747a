"""The work on one training: start its process, wait for it, and report how it ended."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from infmap_kit.cluster import is_wanted, keep_to_own_cores, number_here
from infmap_kit.errors import HostMismatch, InfmapError
from infmap_kit.model.files import sha256_of
from infmap_kit.text import json_line, one_line
from infmap_train.reproduction.order import TrainingOrder

_LOOK_S = 0.3
_SEEN_AFTER_S = 15.0
"""How long what one machine wrote to a shared disk may take to be seen by another."""
_TAIL_BYTES = 20_000


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ended:
    """The end of a training's process.

    Parameters
    ----------
    reason
        Why it failed, in one line; empty where it did not.
    was_killed
        Whether it was ended from outside, or crashed: it may be tried again.
    """

    reason: str = ""
    was_killed: bool = False


def work(order: TrainingOrder, record: str, digest: str, gpus: Sequence[str]) -> Ended:
    """Train, in a process that ends with this worker.

    Parameters
    ----------
    order
        Training to run.
    record, digest
        The plan's record beside the runs, and what is in it: who does not see it writes elsewhere.
    gpus
        The GPUs of the machine that began this, for its own workers; a worker of a cluster has its own.

    Raises
    ------
    HostMismatch
        When no training can be done on this machine.
    """
    _require_shared(Path(record), digest)
    keep_to_own_cores()
    command = [sys.executable, "-m", "infmap_train.reproduction.process", order.run]
    order.log.parent.mkdir(parents=True, exist_ok=True)
    with (
        order.log.open("ab") as log,
        # In a session of its own: Ctrl-C is for whoever gave the order, who ends it.
        subprocess.Popen(  # noqa: S603  # our own module
            command, stdin=subprocess.PIPE, stdout=log, stderr=log,
            env=_environment(order, gpus), start_new_session=True,
        ) as process,
    ):  # fmt: skip
        begun_bytes = log.tell()
        try:
            # One that ended at once has said why.
            if process.stdin is not None:
                with contextlib.suppress(BrokenPipeError):
                    process.stdin.write(json_line(dataclasses.asdict(order)))
                    process.stdin.flush()
            while process.poll() is None and is_wanted():
                time.sleep(_LOOK_S)
        finally:
            process.kill()
    return ended(process.wait(), order.log, begun_bytes=begun_bytes)


def ended(code: int, log: Path, *, begun_bytes: int = 0) -> Ended:
    """Read how a process ended from its exit code and from its log, which begins at some byte of the file.

    Raises
    ------
    HostMismatch
        When they say that no training can be done on this machine.
    """
    if code == 0:
        return Ended()
    with log.open("rb") as file:
        file.seek(max(begun_bytes, log.stat().st_size - _TAIL_BYTES))
        lines = file.read().decode(errors="replace").splitlines()
    told = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    if code == HostMismatch.exit_code and told:
        raise HostMismatch(told[-1])
    if code < 0:
        killed = code == -signal.SIGKILL
        reason = f"its process was ended by {signal.Signals(-code).name}"
        reason += ": was there enough memory?" if killed else ""
        return Ended(reason=reason, was_killed=True)
    last = next((line for line in reversed(lines) if line.strip()), f"it ended with code {code}")
    return Ended(reason=one_line(told[-1] if told else last))


def _environment(order: TrainingOrder, gpus: Sequence[str]) -> dict[str, str]:
    """The environment of the process: of the GPUs it sees its worker's own, or none."""
    environment = {name: value for name, value in os.environ.items() if name != "TF_CONFIG"}
    number = number_here()
    if not order.gpu:
        environment["CUDA_VISIBLE_DEVICES"] = "-1"
    elif number is not None and gpus:
        environment["CUDA_VISIBLE_DEVICES"] = gpus[number % len(gpus)]
    return environment


def _require_shared(record: Path, digest: str) -> None:
    until_s = time.monotonic() + _SEEN_AFTER_S
    while not record.is_file() or sha256_of(record) != digest:
        if time.monotonic() > until_s:
            raise InfmapError(
                f"the worker on {platform.node()} does not see {record} as it was written: name a folder "
                "--runs on a disk that all workers share, under the same path"
            )
        time.sleep(_LOOK_S)
