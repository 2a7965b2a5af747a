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
"""Seconds between two looks at the repository's manifest."""

# What is in flight takes a second at most. Triton 2.51 sometimes waits for its full time-out when an ensemble
# is cut off between two steps; whoever is still connected then asks the new server.
_DRAIN_S = 5.0


@dataclasses.dataclass(eq=False)
class Supervisor:
    """A server that follows its repository; use :func:`supervised`.

    Parameters
    ----------
    repository, options, on_log
        See :func:`~infmap_kit.triton.server.serving.serving`.
    on_event
        Called with a line for each change of release, or with the reason why there was none.
    """

    repository: Path
    options: ServerOptions
    _: dataclasses.KW_ONLY
    on_log: Callable[[str], None] = lambda _: None
    on_event: Callable[[str], None] = lambda _: None

    def __post_init__(self) -> None:
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

    def start(self) -> None:
        """Start the present release; raises what :func:`~infmap_kit.triton.server.serving.serving` does."""
        self._metrics = MetricsRelay(self.options.host, self.options.metrics_port)
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
            published = Manifest.read(self.repository)
        except SpecError:
            # The repository is being taken away; what is loaded goes on.
            return
        if published.seal not in (self.manifest.seal, self._refused):
            self._switch(published)

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
            self._metrics.follow(server.options.metrics_port)
        if before is not None:
            before.stop(timeout_s=_DRAIN_S)
        self.on_event(
            f"{self._shown()} has taken over after {time.monotonic() - started:.1f} s; {previous} has ended"
        )

    def _start_release(self, *, beside: bool) -> tuple[TritonServer, Manifest]:
        """Start whatever is published now, and make sure that it was one release that was loaded."""
        manifest = check_repository(self.repository)
        server = TritonServer(
            self.repository,
            runtime=fitting_runtime(self.repository, manifest),
            options=dataclasses.replace(self.options, metrics_port=free_ports().metrics_port),
            on_log=self.on_log,
            shared=True,
        )
        # A release that is published while Triton reads would leave it with half of each.
        require_published = functools.partial(self._require_published, manifest)
        try:
            beside_release = manifest.release if beside else None
            server.start(beside_release=beside_release, while_waiting=require_published)
            warm_up(server.grpc_url, release=manifest.release)
            server.check_alive()
            require_published()
        except BaseException:
            server.stop()
            raise
        return server, manifest

    def _require_published(self, manifest: Manifest) -> None:
        with contextlib.suppress(SpecError):
            if Manifest.read(self.repository).seal == manifest.seal:
                return
        raise ServerError("another release was published while this one was starting")

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

    Takes what :class:`Supervisor` takes, and raises what its ``start`` raises.
    """
    supervisor = Supervisor(
        repository, options or ServerOptions(), on_log=on_log, on_event=on_event
    )
    try:
        supervisor.start()
        yield supervisor
    finally:
        supervisor.stop()
