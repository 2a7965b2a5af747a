"""Serving a repository through its releases: the next one starts beside, and takes over.

Triton can look for new versions itself, and then loads one model after the other: for a while an ensemble of
one release would run with the networks of another. Here a second server is started on the same ports, and the
first one ends when the second is ready and warm; each answer is wholly of one release.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from infmap_kit.errors import InfmapError, ServerError, SpecError
from infmap_kit.triton.repository import Manifest, check_repository
from infmap_kit.triton.server.metrics_relay import MetricsRelay
from infmap_kit.triton.server.options import ServerOptions
from infmap_kit.triton.server.process import TritonServer
from infmap_kit.triton.server.serving import fitting_runtime, free_ports, warm_up

POLL_S = 0.5
"""How often the repository's manifest is looked at."""

# What is in flight takes a second at most. Triton 2.51 sometimes waits for its full time-out when an ensemble
# is cut off between two steps; whoever is still connected then asks the new server.
_DRAIN_S = 5.0


class Supervisor:
    """A server that follows its repository; use :func:`supervised`.

    Parameters
    ----------
    repository
        Checked against its manifest before anything of it is loaded.
    options
        Where to listen.
    on_log
        Called with every line of a server's log.
    on_event
        Told in one line what changed, or why not.
    """

    def __init__(
        self,
        repository: Path,
        options: ServerOptions,
        *,
        on_log: Callable[[str], None] = lambda _: None,
        on_event: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._repository = repository
        self._options = options
        self._on_log = on_log
        self._on_event = on_event
        self._metrics: MetricsRelay | None = None
        self._server: TritonServer | None = None
        self._refused: tuple[int, str] | None = None
        self.manifest: Manifest | None = None

    @property
    def grpc_url(self) -> str:
        """Where clients ask, as ``host:port``."""
        return self._options.grpc_url

    @property
    def http_url(self) -> str:
        """Triton's HTTP endpoint, with scheme."""
        return self._options.http_url

    def start(self) -> None:
        """Start the present release.

        Raises
        ------
        SpecError
            When a file is not what was exported.
        HostMismatch
            When there is no Triton server on this machine, or none that has the repository's backend.
        ServerError
            When it does not start.
        """
        self._metrics = MetricsRelay(self._options.host, self._options.metrics_port)
        self._server, self.manifest = self._start_release(beside=False)
        self._metrics.follow(self._server.options.metrics_port)

    def stop(self) -> None:
        """End everything."""
        if self._server is not None:
            self._server.stop()
        if self._metrics is not None:
            self._metrics.stop()

    def look(self) -> None:
        """See whether the server lives and whether there is a new release, which then takes over.

        Raises
        ------
        ServerError
            When the server has ended by itself. A new release that cannot be served is an event, not an
            error: the old one goes on.
        """
        if self._server is None or self.manifest is None:
            return
        self._server.check_alive()
        try:
            found = Manifest.read(self._repository)
        except SpecError:
            # Somebody takes the repository away; what is loaded goes on.
            return
        if _same(found, self.manifest) or _mark(found) == self._refused:
            return
        self._switch(found)

    def _switch(self, found: Manifest) -> None:
        started = time.monotonic()
        try:
            server, manifest = self._start_release(beside=True)
        except InfmapError as error:
            self._refused = _mark(found)
            self._on_event(
                f"release {found.release} is not served, and {self._shown()} goes on: {error}"
            )
            return
        before, self._server = self._server, server
        previous, self.manifest = self._shown(), manifest
        if self._metrics is not None:
            self._metrics.follow(server.options.metrics_port)
        if before is not None:
            before.stop(timeout_s=_DRAIN_S)
        self._on_event(
            f"{self._shown()} has taken over after {time.monotonic() - started:.1f} s; {previous} has ended"
        )

    def _start_release(self, *, beside: bool) -> tuple[TritonServer, Manifest]:
        """Start whatever is published now, and make sure that it was one release that was loaded."""
        manifest = check_repository(self._repository)
        server = TritonServer(
            self._repository,
            runtime=fitting_runtime(self._repository, manifest),
            options=dataclasses.replace(self._options, metrics_port=free_ports().metrics_port),
            on_log=self._on_log,
            shared=True,
        )
        # A release that is published while Triton reads would leave it with half of each.
        wanted = functools.partial(self._still_publishes, manifest)
        try:
            server.start(beside_release=manifest.release if beside else None, still_wanted=wanted)
            warm_up(server.grpc_url, release=manifest.release)
            server.check_alive()
            _require(wanted)
        except BaseException:
            server.stop()
            raise
        return server, manifest

    def _still_publishes(self, manifest: Manifest) -> bool:
        with contextlib.suppress(SpecError):
            return _same(Manifest.read(self._repository), manifest)
        return False

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
) -> Iterator[Supervisor]:
    """Serve a repository while the block runs; call ``look()`` now and then.

    Raises
    ------
    InfmapError
        See :meth:`Supervisor.start`.
    """
    supervisor = Supervisor(
        repository, options or ServerOptions(), on_log=on_log, on_event=on_event
    )
    try:
        supervisor.start()
        yield supervisor
    finally:
        supervisor.stop()


def _require(wanted: Callable[[], bool]) -> None:
    if not wanted():
        raise ServerError("another release was published while this one was starting")


def _mark(manifest: Manifest) -> tuple[int, str]:
    return manifest.release, manifest.published


def _same(one: Manifest, other: Manifest) -> bool:
    return _mark(one) == _mark(other) and one.files == other.files
