"""Serving a repository through its releases: the next one starts beside, and takes over.

Triton can look for new versions itself, and then loads one model after the other: for a while an ensemble of
one release would run with the networks of another. Here a second server is started on the same ports, and the
first one ends when the second is ready and warm; each answer is wholly of one release.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from infmap_kit.errors import InfmapError, ServerError, SpecError
from infmap_kit.serving.server import checked, hidden_metrics, server_of, warm_up
from infmap_kit.triton.repository import Manifest, check_repository
from infmap_kit.triton.server.metrics_relay import MetricsRelay
from infmap_kit.triton.server.options import ServerOptions
from infmap_kit.triton.server.process import TritonServer

POLL_S = 0.5
"""Seconds between two looks at the repository's manifest."""

RECHECK_S = 600.0
"""Seconds between two looks at the hashes of all files, in the repository and of those that are loaded."""

PAUSES_S = (1.0, 5.0, 15.0, 60.0)
"""Pauses before a server that ended by itself is started again, the first time, the second, and so on."""

FORGIVEN_AFTER_S = 900.0
"""Seconds after which an end is forgotten; one more than there are pauses within them is given up."""

# What is in flight takes a second at most. Triton 2.51 sometimes waits for its full time-out when an ensemble
# is cut off between two steps; whoever is still connected then asks the new server.
_DRAIN_S = 5.0


@dataclasses.dataclass(eq=False)
class Supervisor:
    """A server that follows its repository; use :func:`supervised`.

    Parameters
    ----------
    repository, options, on_log
        See :func:`~infmap_kit.serving.server.serving`.
    on_event
        Called with a line for each change of release, or with the reason why there was none; for each end of
        the server by itself; and for files that are no longer what was published.
    pauses_s
        See :data:`PAUSES_S`.
    """

    repository: Path
    options: ServerOptions
    _: dataclasses.KW_ONLY
    on_log: Callable[[str], None] = lambda _: None
    on_event: Callable[[str], None] = lambda _: None
    pauses_s: Sequence[float] = PAUSES_S

    def __post_init__(self) -> None:
        self._ends: collections.deque[float] = collections.deque()
        self._start_again_at: float | None = None
        self._checked_at = time.monotonic()
        self._metrics: MetricsRelay | None = None
        self._server: TritonServer | None = None
        self._refused = ""
        self.manifest: Manifest | None = None

    @property
    def grpc_url(self) -> str:
        """Endpoint for clients, as ``host:port``."""
        return self.options.grpc_url

    @property
    def http_url(self) -> str:
        """Triton's HTTP endpoint, with scheme."""
        return self.options.http_url

    def memory_mib(self) -> float:
        """See :meth:`TritonServer.memory_mib`; 0 while there is no server.

        Raises
        ------
        ServerError
            When the server does not run any more.
        """
        return 0.0 if self._server is None else self._server.memory_mib()

    def start(self) -> None:
        """Start the present release; raises what :func:`~infmap_kit.serving.server.serving` does."""
        self._metrics = MetricsRelay(self.options.host, self.options.metrics_port)
        self._server, self.manifest = self._start_release(beside=False)
        self._metrics.follow(self._server.options.metrics_url)

    def stop(self) -> None:
        """End the server and the relay of its metrics."""
        if self._server is not None:
            self._server.stop()
        if self._metrics is not None:
            self._metrics.stop()

    def look(self) -> None:
        """See whether the server lives and whether there is a new release, which then takes over.

        A server that ended by itself is started again after a pause. A new release that cannot be served is an
        event, not an error: the old one goes on.

        Raises
        ------
        ServerError
            When the server has ended too often, with the last reason.
        SpecError
            When the files that are loaded are no longer what was published.
        """
        if self._start_again_at is not None:
            if time.monotonic() >= self._start_again_at:
                self._start_again()
            return
        if self._server is None or self.manifest is None:
            return
        try:
            self._server.check_alive()
        except ServerError as error:
            self._ended(error)
            return
        if time.monotonic() - self._checked_at > RECHECK_S:
            self.check_files()
        try:
            published = Manifest.read(self.repository)
        except SpecError:
            # The repository is being taken away; what is loaded goes on.
            return
        if published.seal not in (self.manifest.seal, self._refused):
            self._switch(published)

    def check_files(self) -> None:
        """Compare all files with the manifest: those that are loaded, and those of the repository.

        Raises
        ------
        SpecError
            When a file that is loaded is no longer what was published. One of the repository is an event, since
            what is loaded is a copy.
        """
        self._checked_at = time.monotonic()
        if self._server is not None:
            self._server.check_files()
        try:
            check_repository(self.repository)
        except SpecError as error:
            self.on_event(f"{error}; {self._shown()}, which is loaded, goes on")

    def _ended(self, reason: InfmapError) -> None:
        """Plan a start after a server that ended by itself, or give up."""
        now = time.monotonic()
        self._ends.append(now)
        while now - self._ends[0] > FORGIVEN_AFTER_S:
            self._ends.popleft()
        if self._server is not None:
            self._server.stop()
            self._server = None
        times = len(self._ends)
        if times > len(self.pauses_s):
            raise ServerError(
                f"{reason}; it ended {times} times within {FORGIVEN_AFTER_S / 60:.0f} minutes, and is not "
                "started again"
            )
        pause = self.pauses_s[times - 1]
        self._start_again_at = now + pause
        self.on_event(f"{reason}; it is started again in {pause:g} s")

    def _start_again(self) -> None:
        self._start_again_at = None
        started = time.monotonic()
        try:
            self._server, self.manifest = self._start_release(beside=False)
        except InfmapError as error:
            self._ended(error)
            return
        if self._metrics is not None:
            self._metrics.follow(self._server.options.metrics_url)
        self.on_event(f"{self._shown()} serves again after {time.monotonic() - started:.1f} s")

    def _switch(self, published: Manifest) -> None:
        started = time.monotonic()
        try:
            server, manifest = self._start_release(beside=True)
        except InfmapError as error:
            self._refused = published.seal
            self.on_event(
                f"release {published.release} is not served, and {self._shown()} goes on: {error}"
            )
            return
        before, self._server = self._server, server
        previous, self.manifest = self._shown(), manifest
        if self._metrics is not None:
            self._metrics.follow(server.options.metrics_url)
        if before is not None:
            before.stop(timeout_s=_DRAIN_S)
        self.on_event(
            f"{self._shown()} has taken over after {time.monotonic() - started:.1f} s; {previous} has ended"
        )

    def _start_release(self, *, beside: bool) -> tuple[TritonServer, Manifest]:
        """Start whatever is published now, and make sure that it was one release that was loaded."""
        manifest = checked(self.repository)
        server = server_of(
            self.repository, manifest, hidden_metrics(self.options), on_log=self.on_log, shared=True
        )
        try:
            server.start(beside_release=manifest.release if beside else None)
            warm_up(server.grpc_url, release=manifest.release)
            server.check_alive()
        except BaseException:
            server.stop()
            raise
        return server, manifest

    def _shown(self) -> str:
        manifest = self.manifest
        if manifest is None:
            return "nothing"
        version = manifest.model.get("version", "unversioned")
        return f"release {manifest.release} ({version}, {manifest.precision})"


@contextlib.contextmanager
def supervised(
    repository: Path,
    options: ServerOptions | None = None,
    *,
    on_log: Callable[[str], None] = lambda _: None,
    on_event: Callable[[str], None] = lambda _: None,
    pauses_s: Sequence[float] = PAUSES_S,
) -> Iterator[Supervisor]:
    """Serve a repository while the block runs; call ``look()`` now and then.

    Takes what :class:`Supervisor` takes, and raises what its ``start`` raises.
    """
    supervisor = Supervisor(
        repository,
        options or ServerOptions(),
        on_log=on_log,
        on_event=on_event,
        pauses_s=pauses_s,
    )
    try:
        supervisor.start()
        yield supervisor
    finally:
        supervisor.stop()
