"""The site of an acceptance: a private copy of a repository, the server of it, and the time that is left."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Self

from infmap_kit.errors import InfmapError, ServerError, SpecError
from infmap_kit.gate.pictures import Pictures, synthetic_pictures
from infmap_kit.gate.runners import CachingRunner, Runner
from infmap_kit.progress import Progress, no_progress
from infmap_kit.release.bundle import Bundle
from infmap_kit.release.source import Origin
from infmap_kit.release.verify import repository_reference
from infmap_kit.serving.server import free_ports
from infmap_kit.serving.supervisor import Supervisor
from infmap_kit.targets.registry import find
from infmap_kit.targets.target import OpenedModel
from infmap_kit.triton.repository import Manifest
from infmap_kit.triton.server.private_copy import temporary_folder
from infmap_kit.triton.server.process import is_ready
from infmap_kit.triton.server.shared_memory import new_prefix

if TYPE_CHECKING:
    from infmap_kit.bench.records.record import BenchRecord

_BACK_AGAIN_S = 60.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class AcceptanceOptions:
    """The extent of an acceptance.

    Parameters
    ----------
    origin
        The trained network that the repository was made from, and its pictures. Without it the engines are held
        to the network in FP32 that the repository keeps, where it keeps one.
    pictures
        Pictures of the gate; those of the origin, or synthetic ones, when they are not given. Their names
        do not get into the report.
    time_limit_s
        Seconds after which whatever is left is not run.
    load_s
        Seconds that the server is put under load.
    clients
        Clients of that load.
    samples
        Requests in each scope of the latency, at least.
    latency_s
        Seconds after which a latency that does not settle is given up.
    """

    origin: Origin | None = None
    pictures: Pictures | None = None
    time_limit_s: float = 900.0
    load_s: float = 20.0
    clients: int = 4
    samples: int = 40
    latency_s: float = 60.0

    def __post_init__(self) -> None:
        if min(self.time_limit_s, self.load_s, self.latency_s) <= 0 or self.clients < 1:
            raise SpecError(
                "expected a time limit, a load and latency of more than 0 s and 1 client or more, found "
                f"{self.time_limit_s:g} s, {self.load_s:g} s, {self.latency_s:g} s and {self.clients}"
            )

    @property
    def named_pictures(self) -> Pictures:
        """The pictures under names that say nothing of a patient, as those of a bundle do."""
        if self.pictures is None and isinstance(self.origin, Bundle):
            return self.origin.pictures
        own = self.origin.pictures if self.origin is not None else synthetic_pictures()
        pictures = self.pictures if self.pictures is not None else own
        return [(f"picture-{n:04}", pixels) for n, (_, pixels) in enumerate(pictures, start=1)]


class Site:
    """Everything that the steps share; use :meth:`opened`.

    Parameters
    ----------
    repository
        The repository that was given, which nobody writes to.
    scratch
        A folder of the acceptance's own.
    options, progress
        As :func:`~infmap_kit.site_acceptance.acceptance.accept` takes them.
    """

    def __init__(
        self, repository: Path, scratch: Path, options: AcceptanceOptions, progress: Progress
    ) -> None:
        self.repository = repository
        self.copy = scratch / "model_repository"
        self.options = options
        self.events: list[str] = []
        self.latency: BenchRecord | None = None
        self._scratch = scratch
        self._progress = progress
        self._deadline = time.monotonic() + options.time_limit_s
        self._ports = free_ports(http=True)
        self._server: Supervisor | None = None

    @classmethod
    @contextlib.contextmanager
    def opened(
        cls, repository: Path, options: AcceptanceOptions, progress: Progress = no_progress
    ) -> Iterator[Self]:
        """Copy a repository to a folder that is gone at the end, as is the server, whatever happens."""
        # Named as what a server leaves, so that the next one takes it away after a kill -9.
        with tempfile.TemporaryDirectory(prefix=new_prefix(), dir=temporary_folder()) as scratch:
            site = cls(repository, Path(scratch), options, progress)
            # Links stay links, so that they are refused in the copy as they would be here.
            ignored = shutil.ignore_patterns("__pycache__")
            try:
                shutil.copytree(repository, site.copy, symlinks=True, ignore=ignored)
            except (OSError, shutil.Error) as error:
                raise InfmapError(f"cannot copy {repository} to prove it: {error}") from error
            try:
                yield site
            finally:
                site.stop()

    @property
    def manifest(self) -> Manifest:
        """The manifest of the copy; raises what :meth:`Manifest.read` raises."""
        return Manifest.read(self.copy)

    @functools.cached_property
    def model(self) -> OpenedModel:
        """The engines of the copy, opened in this process; raises what :meth:`Target.open` raises."""
        manifest = self.manifest
        return find(manifest.target).open(self.copy, manifest)

    @functools.cached_property
    def reference(self) -> Runner | None:
        """The trained network: the origin's, or what the repository keeps; ``None`` where there is none."""
        if self.options.origin is not None:
            return CachingRunner(self.options.origin.reference)
        if not self.model.references:
            return None
        return CachingRunner(repository_reference(self.model, self.manifest))

    @property
    def is_out_of_time(self) -> bool:
        """Whether the time limit has passed."""
        return time.monotonic() > self._deadline

    def progress(self, description: str, done: int, total: int) -> None:
        """Tell how far it is, and stop when the time limit has passed.

        Raises
        ------
        InfmapError
            When it has.
        """
        if self.is_out_of_time:
            raise InfmapError(f"the time limit passed during: {description}")
        self._progress(description, done, total)

    def start(self) -> Supervisor:
        """Start a server of the copy; raises what :meth:`Supervisor.start` does."""
        self.stop()
        server = Supervisor(self.copy, self._ports, on_event=self.events.append)
        # Kept before it has started: what has begun to start is stopped as well.
        self._server = server
        try:
            server.start()
        except BaseException:
            self.stop()
            raise
        return server

    def server(self) -> Supervisor:
        """The running server; one that ended by itself is waited for, which :attr:`events` tells.

        Raises
        ------
        ServerError
            When it does not come back.
        """
        server = self._server
        if server is None:
            raise ServerError("no server was started")
        deadline = time.monotonic() + _BACK_AGAIN_S
        server.look()
        while not is_ready(server.grpc_url):
            if time.monotonic() > deadline:
                why = self.events[-1] if self.events else "it does not say why"
                raise ServerError(f"the server ended and did not come back: {why}")
            time.sleep(0.2)
            server.look()
        return server

    def stop(self) -> None:
        """End the server, if one runs."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def without_places(self, text: str) -> str:
        """A text without the folders of this machine, whose names may name people."""
        places = {
            str(self._scratch / "model_repository"): "repository",
            str(self._scratch): "scratch",
            str(self.repository.absolute()): "repository",
            str(self.repository.resolve()): "repository",
            str(self.repository): "repository",
            str(temporary_folder()): "temporary folder",
            str(Path.home()): "~",
        }
        for place, word in places.items():
            if len(place) > 1:
                text = text.replace(place, word)
        return text
