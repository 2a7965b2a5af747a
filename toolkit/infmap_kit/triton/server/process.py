"""A Triton server as a child process: started hardened, waited for, and ended without a trace."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

from infmap_kit.errors import ServerError
from infmap_kit.parts.contract import ENSEMBLE
from infmap_kit.triton.server.log import explain_log
from infmap_kit.triton.server.options import STOP_TIMEOUT_S, ServerOptions, hardened
from infmap_kit.triton.server.runtime import Runtime
from infmap_kit.triton.server.shared_memory import (
    make_shared_memory_private,
    new_prefix,
    remove_shared_memory,
    remove_stale_shared_memory,
)

_PR_SET_PDEATHSIG = 1
# The reason of a failure is looked for in these; Triton logs much when it loads.
_LOG_LINES = 2000

# Asks the kernel to end the server when we die, and becomes the server. In a process of its own and not in
# Popen's preexec_fn: Python that runs between fork and exec crashes now and then where gRPC has threads.
_BECOME_THE_SERVER = (
    f"import ctypes, os, sys; ctypes.CDLL(None).prctl({_PR_SET_PDEATHSIG}, {int(signal.SIGTERM)}); "
    "os.execv(sys.argv[1], sys.argv[1:])"
)
_DYING_WITH_US = (sys.executable, "-ISc", _BECOME_THE_SERVER)


@dataclasses.dataclass(eq=False)
class TritonServer:
    """A running server; use it as a context manager.

    Parameters
    ----------
    repository
        A published repository, checked by the caller.
    runtime
        The server to start.
    options
        Address and ports that it listens on.
    on_log
        Called with every line that the server logs.
    shared
        Whether it may listen on ports that another server with this option has (Linux' SO_REUSEPORT): the
        kernel deals new connections out to both. Triton has no such option for metrics.
    """

    repository: Path
    _: dataclasses.KW_ONLY
    runtime: Runtime
    options: ServerOptions = dataclasses.field(default_factory=ServerOptions)
    on_log: Callable[[str], None] = lambda _: None
    shared: bool = False

    def __post_init__(self) -> None:
        self._memory_prefix = new_prefix()
        self._lines: collections.deque[str] = collections.deque(maxlen=_LOG_LINES)
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None

    @property
    def pid(self) -> int:
        """Process id of the running server."""
        if self._process is None:
            raise ServerError("the server is not running")
        return self._process.pid

    @property
    def grpc_url(self) -> str:
        """Endpoint for clients, as ``host:port``."""
        return self.options.grpc_url

    @property
    def http_url(self) -> str:
        """Triton's HTTP endpoint, with scheme."""
        return self.options.http_url

    def command(self) -> list[str]:
        """The server's command line."""
        options = self.options
        command = [
            str(self.runtime.executable),
            f"--model-repository={self.repository.absolute()}",
            f"--http-address={options.host}",
            f"--http-port={options.http_port}",
            f"--grpc-address={options.host}",
            f"--grpc-port={options.grpc_port}",
            f"--metrics-address={options.host}",
            f"--metrics-port={options.metrics_port}",
            *hardened(),
            f"--backend-config=python,shm-region-prefix-name={self._memory_prefix}",
        ]
        if self.shared:
            command += ["--reuse-http-port=true", "--reuse-grpc-port=true"]
        if self.runtime.backends is not None:
            command.append(f"--backend-directory={self.runtime.backends}")
        return command

    def start(
        self,
        *,
        beside_release: int | None = None,
        while_waiting: Callable[[], None] = lambda: None,
        timeout_s: float = 120.0,
    ) -> Self:
        """Start the server and wait until every model is ready.

        Parameters
        ----------
        beside_release
            The release of this server, when another server listens on its ports: it is ready when this release
            is answered for there.
        while_waiting
            Called again and again; when it raises, the server is ended.
        timeout_s
            Seconds until it must be ready.

        Raises
        ------
        ServerError
            In one line: a port in use, a missing library, a model that does not load, no answer in time.
        """
        if beside_release is None:
            for reason in self.options.unusable_ports().values():
                raise ServerError(f"{reason}: end what listens there, or choose other ports")
        remove_stale_shared_memory()
        try:
            self._process = subprocess.Popen(  # noqa: S603  # our own command line
                [*_DYING_WITH_US, *self.command()],
                env=self.runtime.environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                # Its own group: Ctrl-C reaches us alone, and we end it in order.
                start_new_session=True,
            )
        except OSError as error:
            raise ServerError(
                f"cannot start {self.runtime.executable}: {error.strerror}"
            ) from error
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()
        try:
            self._wait_until_ready(timeout_s, beside_release, while_waiting)
            make_shared_memory_private(self._memory_prefix)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self, *, timeout_s: float = STOP_TIMEOUT_S) -> None:
        """End the server, which finishes what is in flight; after ``timeout_s`` seconds it is killed."""
        process = self._process
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout_s)
        # Whatever is left of its group: a server that hangs, stubs of one that was killed.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if self._reader is not None:
            self._reader.join(timeout=5)
        self._process = None
        remove_shared_memory(self._memory_prefix)

    def check_alive(self) -> None:
        """Raise when the server has ended by itself.

        Raises
        ------
        ServerError
            With the reason that its log gives.
        """
        if self._process is not None and self._process.poll() is not None:
            raise ServerError(self._diagnosis())

    def __enter__(self) -> Self:
        return self if self._process is not None else self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _read_log(self) -> None:
        if self._process is None or self._process.stdout is None:
            return
        for line in self._process.stdout:
            self._lines.append(line.rstrip())
            self.on_log(line.rstrip())

    def _wait_until_ready(
        self, timeout_s: float, release: int | None, while_waiting: Callable[[], None]
    ) -> None:
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            self.check_alive()
            if is_ready(self.http_url, release):
                return
            while_waiting()
            time.sleep(0.05)
        raise ServerError(
            f"the server was not ready within {timeout_s:.0f} s: see its log with --verbose"
        )

    def _diagnosis(self) -> str:
        if self._reader is not None:
            self._reader.join(timeout=5)
        code = self._process.returncode if self._process is not None else 0
        reason = explain_log(list(self._lines)) or f"exit code {code}"
        return f"the server ended: {reason} (--verbose shows its log)"


def is_ready(http_url: str, release: int | None = None) -> bool:
    """Whether a server answers that all its models are ready, or its ensemble of a certain release."""
    path = "health" if release is None else f"models/{ENSEMBLE.name}/versions/{release}"
    try:
        # A connection of its own each time: where two servers listen, each has its turn.
        with urllib.request.urlopen(f"{http_url}/v2/{path}/ready", timeout=2) as reply:  # noqa: S310  # ours
            return bool(reply.status == 200)
    except OSError:
        return False


@contextlib.contextmanager
def ending_on_sigterm() -> Iterator[None]:
    """Let SIGTERM (systemd, Docker) end the block as Ctrl-C does."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
