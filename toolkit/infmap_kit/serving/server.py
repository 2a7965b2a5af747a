"""Serving a repository: its check, a server that fits, and warm-up."""

from __future__ import annotations

import contextlib
import dataclasses
import secrets
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol, TypeAlias

from infmap_kit.errors import HostMismatch
from infmap_kit.imaging.network_input import network_input
from infmap_kit.imaging.synthetic.drawing import synthetic_radiograph
from infmap_kit.targets.registry import find
from infmap_kit.triton.client import InfmapClient
from infmap_kit.triton.config import parse_config
from infmap_kit.triton.repository import Manifest, check_repository, remove_bytecode
from infmap_kit.triton.server.options import ServerOptions
from infmap_kit.triton.server.process import TritonServer
from infmap_kit.triton.server.runtime import Runtime, find_runtime

WARM_UP_REQUESTS = 5
"""The first request allocates shared memory and threads; after a few nothing changes any more."""

_CONNECTIONS = 50

_OFFERED_PORTS = range(10_240, 32_768)
"""Below those that Linux gives to outgoing connections (``net.ipv4.ip_local_port_range``)."""


@contextlib.contextmanager
def serving(
    repository: Path,
    options: ServerOptions | None = None,
    *,
    on_log: Callable[[str], None] = lambda _: None,
) -> Iterator[TritonServer]:
    """Serve a repository while the block runs.

    Parameters
    ----------
    repository
        The repository, checked against its manifest before anything of it is loaded.
    options
        Address and ports to listen on; free ports of ``127.0.0.1`` where none are given.
    on_log
        Called with every line of the server's log.

    Yields
    ------
    TritonServer
        The server, ready and warm; its ``grpc_url`` is for clients.

    Raises
    ------
    SpecError
        When a file is not what was exported.
    HostMismatch
        When there is no Triton server on this machine, or none that has the repository's backend.
    ServerError
        When it does not start.
    """
    manifest = checked(repository)
    with server_of(repository, manifest, options or free_ports(), on_log=on_log) as server:
        warm_up(server.grpc_url)
        yield server


class RunningServer(Protocol):
    """A server that is ready, wherever it runs."""

    @property
    def grpc_url(self) -> str:
        """Endpoint for clients, as ``host:port``."""
        ...


Serve: TypeAlias = Callable[[Path], AbstractContextManager[RunningServer]]
"""Serves a repository on ports of its own while the block runs."""


@contextlib.contextmanager
def served_here(repository: Path) -> Iterator[TritonServer]:
    """Serve with the ``tritonserver`` of this machine, on free ports and not warmed up.

    Raises what :func:`serving` raises.
    """
    with server_of(repository, check_repository(repository), free_ports()) as server:
        yield server


def server_of(
    repository: Path,
    manifest: Manifest,
    options: ServerOptions,
    *,
    on_log: Callable[[str], None] = lambda _: None,
    shared: bool = False,
) -> TritonServer:
    """The server of this machine for a repository that was checked, with what its target asks of a server.

    Raises
    ------
    SpecError
        For a target that this version does not know.
    HostMismatch
        When there is no server, or none that has the repository's backend.
    """
    target = find(manifest.target)
    return TritonServer(
        repository,
        runtime=fitting_runtime(repository, manifest),
        options=options,
        manifest=manifest,
        on_log=on_log,
        shared=shared,
        arguments=target.server_options(manifest),
        environment=target.server_environment(manifest),
    )


def checked(repository: Path) -> Manifest:
    """Check a repository without the bytecode that servers of before left; raises as the check does."""
    remove_bytecode(repository)
    return check_repository(repository)


def fitting_runtime(repository: Path, manifest: Manifest) -> Runtime:
    """The server of this machine, when it has the repository's backend.

    Raises
    ------
    HostMismatch
        When there is none, or it has not.
    """
    runtime = find_runtime()
    configs = (path.read_text("utf-8") for path in repository.glob("*/config.pbtxt"))
    # An ensemble has no backend.
    backends = filter(None, (parse_config(text).backend for text in configs))
    if runtime.backends and not all((runtime.backends / name).is_dir() for name in backends):
        raise HostMismatch(
            f"the repository is for target {manifest.target}, and the server for CPUs has none but python: "
            "serve it with --runtime docker, or export with --target embedded"
        )
    return runtime


def warm_up(url: str, *, release: int | None = None) -> None:
    """Ask a few times about a synthetic radiograph.

    Parameters
    ----------
    url
        The server's gRPC endpoint.
    release
        The release that is to answer, where two servers listen: each connection reaches one of them.
    """
    picture = synthetic_radiograph(0, height=512, width=512).radiograph.pixels
    for _ in range(_CONNECTIONS):
        with InfmapClient(url) as client:
            image = network_input(picture, client.image_size())
            client.infer(image, picture)
            if release in (None, client.release):
                for _ in range(WARM_UP_REQUESTS - 1):
                    client.infer(image, picture)
                return


def free_port() -> int:
    """A port of ``127.0.0.1`` that is free just now, and that no outgoing connection is given meanwhile."""
    while True:
        port = secrets.choice(_OFFERED_PORTS)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port


def free_ports(*, http: bool = False) -> ServerOptions:
    """Options with three ports that are free just now."""
    ports: set[int] = set()
    while len(ports) < 3:
        ports.add(free_port())
    first, second, third = ports
    return ServerOptions(http_port=first, grpc_port=second, metrics_port=third, http=http)


def hidden_metrics(options: ServerOptions) -> ServerOptions:
    """Options with metrics where a relay finds them, and no web page that tries all ports of ``127.0.0.1``.

    Triton tells them over HTTP alone, by the parser that three small requests bring down. All of 127.0.0.0/8 is
    loopback (RFC 1122, 3.2.1.3), also for a server whose own address is another.
    """
    host = f"127.{secrets.randbelow(254) + 1}.{secrets.randbelow(256)}.{secrets.randbelow(254) + 1}"
    with socket.socket() as probe:
        probe.bind((host, 0))
        return dataclasses.replace(options, metrics_host=host, metrics_port=probe.getsockname()[1])
