"""Starting our commands quickly: a process that has imported everything forks one for each command.

Most of a cold start is imports, in which a kill proves nothing. What is forked runs the command's own
``main`` and ends as the command does. Root ignores permissions; started by root, the process and all that
it forks have given up the capabilities to do so.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from infmap_kit.errors import MissingDependency
from infmap_train.networks.quiet import import_tensorflow

_PROGRAMS = {
    "infmap-kit": "infmap_kit.cli",
    "infmap-train": "infmap_train.cli",
    "infmap-annotate": "infmap_annotate.cli",
}
IMPORTED = [
    "cv2", "numpy", "onnx", "tritonclient.grpc", "pydicom", "pynetdicom", "highdicom", "requests",
    "starlette.applications", "typer.rich_utils", "uvicorn", "jinja2", "prometheus_client",
    "infmap_kit.cli", "infmap_kit.results.infer", "infmap_kit.results.dicom.results",
    "infmap_kit.results.tables",
    "infmap_kit.release.export", "infmap_kit.release.install", "infmap_kit.release.source",
    "infmap_kit.targets.registry", "infmap_kit.targets.embedded", "infmap_kit.gate.report",
    "infmap_kit.serving.supervisor", "infmap_kit.triton.releases", "infmap_kit.node.service",
    "infmap_annotate.cli", "infmap_annotate.web.serving", "infmap_annotate.web.pages", "infmap_train.cli",
]  # fmt: skip
"""What most commands import, and starts no thread."""

_TRAINING = "training"
_PR_SET_PDEATHSIG = 1
_WITHOUT_PRIVILEGES = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")


class Command:
    """A command that was started.

    Parameters
    ----------
    pid
        Its process, the first of a group of its own.
    log
        Takes its stdout and stderr.
    """

    def __init__(self, pid: int, log: Path) -> None:
        self.pid, self.log = pid, log
        self.exit_code: int | None = None
        self.ended = threading.Event()

    def kill(self) -> bool:
        """Kill it as the kernel does when memory is out; whether it had still been running."""
        if self.ended.is_set():
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        return self.wait() == -signal.SIGKILL

    def wait(self, timeout: float = 120) -> int:
        """Its exit code, negative for a signal."""
        assert self.ended.wait(timeout), f"not ended within {timeout} s: {self.output()[-2000:]}"
        assert self.exit_code is not None
        return self.exit_code

    def poll(self) -> int | None:
        """Its exit code, or ``None`` while it runs; like ``send_signal``, as ``subprocess.Popen`` has it."""
        return self.exit_code if self.ended.is_set() else None

    def send_signal(self, number: int) -> None:
        """Send it a signal, if it runs."""
        if not self.ended.is_set():
            os.kill(self.pid, number)

    def output(self) -> str:
        """All that it has printed."""
        return self.log.read_text(errors="replace")


class Launcher:
    """The process that forks; use it as a context manager.

    Parameters
    ----------
    folder
        For its own messages.
    environment
        Added to the environment of the process and so of all commands.
    keep_privileges
        Whether commands may do what root may, when it is root who starts them.
    training
        Whether it imports TensorFlow too, which takes longer than all the rest.
    """

    def __init__(
        self,
        folder: Path,
        environment: Mapping[str, str],
        *,
        keep_privileges: bool = False,
        training: bool = False,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._log = folder / "launcher.log"
        privileged = (
            not keep_privileges and os.geteuid() == 0 and shutil.which("setpriv") is not None
        )
        prefix = _WITHOUT_PRIVILEGES if privileged else ()
        self.heeds_permissions = privileged or os.geteuid() != 0
        # Where this package lies, which pytest knows and another process does not.
        tests = str(Path(__file__).resolve().parent)
        search = [tests, *filter(None, [os.environ.get("PYTHONPATH", "")])]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*prefix, sys.executable, "-m", "launcher", *([_TRAINING] if training else [])],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, bufsize=0,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(search), **environment},
            )  # fmt: skip
        self._lock = threading.Lock()
        self._started: list[int] = []
        self._is_started = threading.Condition()
        self._commands: dict[int, Command] = {}
        self._codes: dict[int, int] = {}
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def start(
        self,
        *argv: object,
        log: Path,
        environment: Mapping[str, str] | None = None,
        errors: Path | None = None,
        cwd: Path | None = None,
    ) -> Command:
        """Start a command.

        Parameters
        ----------
        argv
            The program's name and its arguments.
        log
            What it prints is appended there.
        environment
            Added to its environment.
        errors
            Takes what it prints on stderr; without it, ``log`` does.
        cwd
            The folder that it works in.
        """
        order = {
            "argv": [str(argument) for argument in argv],
            "log": str(log),
            "environment": dict(environment or {}),
            "errors": str(errors or log),
            "cwd": str(cwd or Path.cwd()),
        }
        assert self._process.stdin is not None
        log.touch()
        with self._lock, self._is_started:
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            self._is_started.wait_for(
                lambda: self._started or not self._reader.is_alive(), timeout=120
            )
            assert self._started, self._log.read_text()[-2000:]
            command = Command(self._started.pop(), log)
            self._commands[command.pid] = command
            self._tell(command.pid)
        return command

    def run(
        self, *argv: object, log: Path, environment: Mapping[str, str] | None = None
    ) -> Command:
        """Start a command, and wait for its end."""
        command = self.start(*argv, log=log, environment=environment)
        command.wait()
        return command

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            message = json.loads(line)
            with self._is_started:
                if "started" in message:
                    self._started.append(message["started"])
                else:
                    self._codes[message["ended"]] = message["code"]
                    self._tell(message["ended"])
                self._is_started.notify_all()

    def _tell(self, pid: int) -> None:
        """Pass an exit code on once both are known: the end, and whose it was."""
        if pid in self._commands and pid in self._codes:
            command = self._commands.pop(pid)
            command.exit_code = self._codes.pop(pid)
            command.ended.set()


def _fork_until_closed() -> dict[str, Any] | None:
    """Fork for each line on stdin; returns the order in the forked process, and ``None`` at the end."""
    waking, woken = os.pipe()
    for end in (waking, woken):
        os.set_blocking(end, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
    pending, running = b"", set()
    while True:
        ready, _, _ = select.select([0, waking], [], [])
        if waking in ready:
            os.read(waking, 4096)
            with contextlib.suppress(ChildProcessError):
                while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                    running.discard(ended[0])
                    code = os.waitstatus_to_exitcode(ended[1])
                    _say({"ended": ended[0], "code": code})
        if 0 not in ready:
            continue
        received = os.read(0, 1 << 16)
        if not received:
            for pid in running:
                os.kill(pid, signal.SIGKILL)
            return None
        *lines, pending = (pending + received).split(b"\n")
        for line in lines:
            order: dict[str, Any] = json.loads(line)
            pid = os.fork()
            if pid == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                for end in (waking, woken):
                    os.close(end)
                return order
            running.add(pid)
            _say({"started": pid})


def _say(message: dict[str, int]) -> None:
    os.write(1, json.dumps(message).encode() + b"\n")


def _become(order: dict[str, Any]) -> None:
    os.setsid()
    # Nobody would end it any more, were a campaign itself killed.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
    os.environ.update(order["environment"])
    os.chdir(order["cwd"])
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for descriptor, name in ((1, "log"), (2, "errors")):
        path = os.open(order[name], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(path, descriptor)
    sys.argv = order["argv"]
    importlib.import_module(_PROGRAMS[order["argv"][0]]).main()


def main() -> None:
    """Import everything, and fork."""
    for name in IMPORTED:
        importlib.import_module(name)
    if _TRAINING in sys.argv:
        # Where TensorFlow is not installed, the command itself says so.
        with contextlib.suppress(MissingDependency):
            import_tensorflow()
            importlib.import_module("infmap_train.training.fit")
    # A thread is not copied by a fork, and whoever waits for it in the copy waits for ever. (ONNX Runtime
    # starts one when it is imported.)
    threads = os.listdir("/proc/self/task")  # noqa: PTH208
    if len(threads) > 1:
        raise RuntimeError(f"expected one thread before the first fork, found {len(threads)}")
    # What was imported stays until a command ends, and to look through it then took longer than most commands.
    gc.freeze()
    order = _fork_until_closed()
    if order is not None:
        _become(order)


if __name__ == "__main__":
    main()
