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
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

from infmap_kit.errors import ServerError
from infmap_kit.parts.contract import ENSEMBLE
from infmap_kit.triton.repository import Manifest
from infmap_kit.triton.server.log import explain_log, hopeless
from infmap_kit.triton.server.options import STOP_TIMEOUT_S, ServerOptions, hardened
from infmap_kit.triton.server.private_copy import PrivateCopy
from infmap_kit.triton.server.runtime import Runtime
from infmap_kit.triton.server.shared_memory import (
    make_shared_memory_private,
    new_prefix,
    remove_shared_memory,
    remove_stale_shared_memory,
)
from infmap_kit.triton.server.surroundings import require_surroundings

# The reason of a failure is looked for in these; Triton logs much when it loads.
_LOG_LINES = 2000

_LAUNCH = Path(__file__).with_name("launch.py")


@dataclasses.dataclass(eq=False)
class TritonServer:
    """A running server; use it as a context manager.

    Parameters
    ----------
    repository
        A repository; what is loaded is a private copy of it.
    runtime
        The server to start.
    options
        Address and ports that it listens on.
    manifest
        What the repository must hold; ``None`` for a folder that was not published.
    on_log
        Called with every line that the server logs.
    shared
        Whether it may listen on ports that another server with this option has (Linux' SO_REUSEPORT): the
        kernel deals new connections out to both. Triton has no such option for metrics.
    arguments, environment
        What the repository's target needs besides: arguments of the command line, and environment variables.
    """

    repository: Path
    _: dataclasses.KW_ONLY
    runtime: Runtime
    options: ServerOptions = dataclasses.field(default_factory=ServerOptions)
    manifest: Manifest | None = None
    on_log: Callable[[str], None] = lambda _: None
    shared: bool = False
    arguments: Sequence[str] = ()
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        self._memory_prefix = new_prefix()
        self._lines: collections.deque[str] = collections.deque(maxlen=_LOG_LINES)
        self._copy: PrivateCopy | None = None
        self._process: subprocess.Popen[str] | None = None
        self._stubs: tuple[int, ...] = ()
        self._reader: threading.Thread | None = None
        self._hopeless = ""

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

    def _command(self, copy: PrivateCopy) -> list[str]:
        options = self.options
        http = [f"--http-address={options.host}", f"--http-port={options.http_port}"]
        command = [
            str(self.runtime.executable),
            f"--model-repository={copy.models}",
            *(http if options.http else ["--allow-http=false"]),
            f"--grpc-address={options.host}",
            f"--grpc-port={options.grpc_port}",
            f"--metrics-address={options.metrics_host or options.host}",
            f"--metrics-port={options.metrics_port}",
            *hardened(),
            *self.arguments,
            f"--backend-config=python,shm-region-prefix-name={self._memory_prefix}",
        ]
        if self.shared:
            command += ["--reuse-http-port=true", "--reuse-grpc-port=true"]
        if self.runtime.backends is not None:
            command.append(f"--backend-directory={copy.backends(self.runtime.backends)}")
        return command

    def _launch(self) -> list[str]:
        """The command's first words: a program that becomes the server, and leaves nothing when killed."""
        return [sys.executable, "-IS", str(_LAUNCH), str(os.getpid()), self._memory_prefix]

    def memory_mib(self) -> float:
        """Memory of the server and of the processes that it has started; what they share is counted once."""
        # Proportional set size: pictures lie in memory that server and stub both see.
        return sum(map(_memory_mib, (self.pid, *_children_of(self.pid))))

    def check_files(self) -> None:
        """Refuse to go on with files that are no longer those that were loaded.

        Raises
        ------
        SpecError
            Naming the file.
        """
        if self._copy is not None:
            self._copy.check()

    def start(
        self,
        *,
        beside_release: int | None = None,
        timeout_s: float = 120.0,
    ) -> Self:
        """Start the server and wait until every model is ready.

        Parameters
        ----------
        beside_release
            The release of this server, when another server listens on its ports: it is ready when this release
            is answered for there.
        timeout_s
            Seconds until it must be ready.

        Raises
        ------
        SpecError
            When the repository does not hold what its manifest names.
        ServerError
            In one line: a port in use, a missing library, a model that does not load, no answer in time.
        """
        require_surroundings()
        self.runtime.check_files()
        if beside_release is None:
            for reason in self.options.unusable_ports().values():
                raise ServerError(f"{reason}: end what listens there, or choose other ports")
        remove_stale_shared_memory()
        self._copy = PrivateCopy(
            self.repository, prefix=self._memory_prefix, manifest=self.manifest
        )
        try:
            self._process = subprocess.Popen(  # noqa: S603  # our own command line
                [*self._launch(), *self._command(self._copy)],
                # The stub's Python looks for modules in the current folder before it looks anywhere else.
                cwd=self._copy.folder,
                env={**self.runtime.environment(), **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                # Its own group: Ctrl-C reaches us alone, and we end it in order.
                start_new_session=True,
            )
        except OSError as error:
            self._copy.remove()
            raise ServerError(
                f"cannot start {self.runtime.executable}: {error.strerror}"
            ) from error
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()
        try:
            self._wait_until_ready(timeout_s, beside_release)
            self._stubs = _children_of(self.pid)
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
                # Without its python backend Triton waits its full time-out for what nobody answers any more.
                process.wait(timeout_s if self._has_its_stubs() else 0)
        # Whatever is left of its group: a server that hangs, stubs of one that was killed.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if self._reader is not None:
            self._reader.join(timeout=5)
        self._process, self._stubs = None, ()
        remove_shared_memory(self._memory_prefix)
        if self._copy is not None:
            self._copy.remove()

    def check_alive(self) -> None:
        """Raise when the server has ended by itself.

        Raises
        ------
        ServerError
            With the reason that its log gives.
        """
        if self._process is None:
            return
        if self._process.poll() is not None:
            raise ServerError(self._diagnosis())
        # Triton goes on without the process that our runner lives in, and refuses every question.
        if not self._has_its_stubs():
            # When both end, whoever goes first does not tell why.
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(1)
                raise ServerError(self._diagnosis())
            raise ServerError(
                "the server's python backend ended: it was killed, or ran out of memory"
            )

    def __enter__(self) -> Self:
        return self if self._process is not None else self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _has_its_stubs(self) -> bool:
        return all(_is_child(stub, self.pid) for stub in self._stubs)

    def _read_log(self) -> None:
        if self._process is None or self._process.stdout is None:
            return
        for line in self._process.stdout:
            self._lines.append(line.rstrip())
            self._hopeless = self._hopeless or hopeless(line)
            self.on_log(line.rstrip())

    def _wait_until_ready(self, timeout_s: float, release: int | None) -> None:
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            self.check_alive()
            if is_ready(self.grpc_url, release):
                return
            if self._hopeless:
                raise ServerError(
                    f"the server does not get ready: {self._hopeless} (--verbose shows its log)"
                )
            time.sleep(0.05)
        lines = list(self._lines)
        said = explain_log(lines) or next(filter(None, reversed(lines)), "nothing")
        raise ServerError(
            f"the server was not ready within {timeout_s:.0f} s; its log says: {said} (--verbose shows it)"
        )

    def _diagnosis(self) -> str:
        if self._reader is not None:
            self._reader.join(timeout=5)
        code = self._process.returncode if self._process is not None else 0
        how = f"by signal {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
        reason = explain_log(list(self._lines))
        logged = f": {reason}" if reason else ", and its log gives no reason"
        return f"the server ended {how}{logged} (--verbose shows its log)"


def is_ready(grpc_url: str, release: int | None = None) -> bool:
    """Whether a server answers that all its models are ready, or its ensemble of a certain release."""
    import grpc
    from tritonclient.grpc import service_pb2 as pb
    from tritonclient.grpc.service_pb2_grpc import GRPCInferenceServiceStub

    # A connection of its own each time: where two servers listen, each has its turn.
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0)]
    with grpc.insecure_channel(grpc_url, options=options) as channel:
        stub = GRPCInferenceServiceStub(channel)
        try:
            if release is None:
                return bool(stub.ServerReady(pb.ServerReadyRequest(), timeout=2).ready)
            request = pb.ModelReadyRequest(name=ENSEMBLE.name, version=str(release))
            return bool(stub.ModelReady(request, timeout=2).ready)
        except grpc.RpcError:
            return False


def _children_of(pid: int) -> tuple[int, ...]:
    """Ids of the living processes that a process has started."""
    processes = (int(folder.name) for folder in Path("/proc").glob("[0-9]*"))
    return tuple(process for process in processes if _is_child(process, pid))


def _memory_mib(pid: int) -> float:
    """Proportional set size of a process; 0 when it is gone."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text("utf-8").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    return 0.0


def _is_child(pid: int, parent: int) -> bool:
    """Whether a process lives and was started by another; also when that cannot be found out just now."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except (FileNotFoundError, ProcessLookupError):
        return False
    except OSError:
        return True
    # Behind the name, which may hold anything.
    state, started_by, *_ = stat.rpartition(") ")[2].split()
    return int(started_by) == parent and state != "Z"
