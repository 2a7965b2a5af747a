"""Triton in NVIDIA's stock image, hardened: as a docker command."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from infmap_kit.errors import HostMismatch, ServerError
from infmap_kit.host.confinement import UNPRIVILEGED, Confinement, Mount, PublishedPort
from infmap_kit.model.files import cache_folder
from infmap_kit.serving.server import free_ports
from infmap_kit.targets.backends import on_gpu
from infmap_kit.targets.check import Status
from infmap_kit.targets.registry import find
from infmap_kit.tensorrt.gpus import Image
from infmap_kit.tensorrt.present_gpu import present_gpu
from infmap_kit.triton.repository import Manifest, check_repository
from infmap_kit.triton.server.options import ServerOptions, hardened
from infmap_kit.triton.server.process import is_ready

MODELS = "/models"
"""Folder of the repository in the container."""

# With the accelerator TensorRT builds its engines before the server is ready.
_READY_TIMEOUT_S = 900.0
_POLL_S = 0.5

HTTP_PORT, GRPC_PORT, METRICS_PORT = 8000, 8001, 8002


@dataclasses.dataclass(frozen=True, kw_only=True)
class ContainerOptions:
    """Options of the container.

    Parameters
    ----------
    image
        The image that docker pulls; ``None`` takes the image that fits the repository.
    gpus
        The value of docker's ``--gpus``, such as ``all`` or ``device=0``; empty for none.
    shm_mib
        Size of /dev/shm.
    user
        User and group that the server runs as, never root; ``None`` takes those of the caller.
    """

    image: str | None = None
    gpus: str = "all"
    shm_mib: int = 256
    user: str | None = None

    def __post_init__(self) -> None:
        if self.shm_mib < 64:
            raise ServerError(f"expected 64 MiB or more for /dev/shm, found {self.shm_mib}")
        if self.user is not None and self.user.partition(":")[0] in ("", "0", "root"):
            raise ServerError(
                f"expected a user that is not root, such as 1000:1000, found {self.user!r}"
            )

    def run_as(self) -> str:
        """User and group ids; those of an unprivileged user, when root calls."""
        if self.user is not None:
            return self.user
        return f"{os.getuid()}:{os.getgid()}" if os.getuid() else UNPRIVILEGED


def fitting_image(manifest: Manifest) -> Image:
    """The image for a repository: for plans the one whose TensorRT built them, else the recommended one.

    Raises
    ------
    SpecError
        For a target that this version does not know.
    HostMismatch
        When the repository is for another kind of server, or no known image loads its plans.
    """
    return find(manifest.target).image(manifest)


def server_arguments(manifest: Manifest, server: ServerOptions) -> list[str]:
    """Triton's command line inside a container, where it listens on the container's own addresses.

    HTTP stays inside unless it is asked for; the container's own health check uses it there.
    """
    inside = [] if server.http else ["--http-address=127.0.0.1"]
    own = find(manifest.target).server_options(manifest)
    return ["tritonserver", f"--model-repository={MODELS}", *inside, *own, *hardened()]


def confinement(
    repository: Path, manifest: Manifest, server: ServerOptions, options: ContainerOptions
) -> Confinement:
    """The confinement of a container that reads a repository and writes only /tmp.

    What TensorRT builds when the server starts goes into a folder of the caller's cache, which is made here, so
    that it outlives the container.
    """
    mounts = [Mount(source=repository.absolute(), target=MODELS)]
    if cached := find(manifest.target).engine_cache(manifest):
        engines = cache_folder() / "engines"
        engines.mkdir(mode=0o700, parents=True, exist_ok=True)
        mounts.append(Mount(source=engines, target=cached, read_only=False))
    outer = [server.grpc_port, server.metrics_port]
    inner = [GRPC_PORT, METRICS_PORT]
    if server.http:
        outer, inner = [server.http_port, *outer], [HTTP_PORT, *inner]
    return Confinement(
        user=options.run_as(),
        shm_mib=options.shm_mib,
        ports=tuple(
            PublishedPort(host=server.host, outer=outer_port, inner=inner_port)
            for outer_port, inner_port in zip(outer, inner, strict=True)
        ),
        mounts=tuple(mounts),
        environment=environment(manifest),
    )


def environment(manifest: Manifest) -> tuple[tuple[str, str], ...]:
    """The variables of a repository's server: those of every server, and what its target needs."""
    own = find(manifest.target).server_environment(manifest)
    return (*Confinement().environment, *sorted(own.items()))


def docker_command(repository: Path, server: ServerOptions, options: ContainerOptions) -> list[str]:
    """The command that starts a repository in a container; nothing in it can be written but /tmp.

    Parameters
    ----------
    repository
        A repository, which is checked against its manifest.
    server
        Address and ports at which it is published.
    options
        Image, GPUs and confinement.

    Raises
    ------
    SpecError
        When a file of the repository is not what was exported.
    HostMismatch
        When no image fits the repository.
    """
    manifest = check_repository(repository)
    image = options.image or fitting_image(manifest).reference
    gpus = [f"--gpus={options.gpus}"] if options.gpus and on_gpu(manifest) else []
    return [
        "docker",
        "run",
        "--rm",
        f"--name=infmap-kit-{server.grpc_port}",
        *gpus,
        *confinement(repository, manifest, server, options).docker(),
        image,
        *server_arguments(manifest, server),
    ]


def shown(command: list[str]) -> str:
    """A command as a shell takes it, an option a line."""
    return " \\\n  ".join(shlex.join([word]) for word in command)


def check_host(repository: Path) -> None:
    """Refuse a host that a repository does not fit.

    Raises
    ------
    HostMismatch
        When docker is missing, the driver is too old, or the GPU is another one or too small.
    """
    if shutil.which("docker") is None:
        raise HostMismatch(
            "docker is not installed here: install it with NVIDIA's container toolkit"
        )
    manifest = Manifest.read(repository)
    if not on_gpu(manifest):
        return
    for check in find(manifest.target).gpu_checks(manifest, present_gpu()):
        if check.status is Status.PROBLEM:
            sentence, fix = check.sentence.removesuffix("."), check.fix.removesuffix(".")
            raise HostMismatch(f"{_uncapitalised(sentence)}: {_uncapitalised(fix)}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunningContainer:
    """A server in a container that is ready.

    Parameters
    ----------
    grpc_url
        Endpoint for clients, as ``host:port``.
    """

    grpc_url: str


@contextlib.contextmanager
def served_in_container(repository: Path) -> Iterator[RunningContainer]:
    """Serve a repository in NVIDIA's image, on free ports of loopback, while the block runs.

    Raises what :func:`check_host` and :func:`docker_command` raise.

    Raises
    ------
    ServerError
        When the container ends by itself, with the last line that it said, or is not ready in time.
    """
    check_host(repository)
    options = free_ports()
    command = docker_command(repository, options, ContainerOptions())
    (name,) = (word.partition("=")[2] for word in command if word.startswith("--name="))
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)  # noqa: S603  # our own command line
        try:
            deadline = time.monotonic() + _READY_TIMEOUT_S
            while not is_ready(options.grpc_url):
                if process.poll() is not None or time.monotonic() > deadline:
                    log.seek(0)
                    lines = log.read().decode(errors="replace").strip().splitlines()
                    raise ServerError(
                        f"the container did not become ready: {(lines or ['it said nothing'])[-1]}"
                    )
                time.sleep(_POLL_S)
            yield RunningContainer(grpc_url=options.grpc_url)
        finally:
            subprocess.run(["docker", "stop", name], capture_output=True, check=False)  # noqa: S603, S607
            process.wait()


def _uncapitalised(sentence: str) -> str:
    return f"{sentence[:1].lower()}{sentence[1:]}"


def run_container(command: list[str]) -> None:
    """Run a docker command until it ends; Ctrl-C reaches it and ends it in order.

    Raises
    ------
    ServerError
        When it ends with an error.
    """
    result = subprocess.run(command, check=False)  # noqa: S603  # our own command line
    if result.returncode not in (0, 130):
        raise ServerError(
            f"the container ended with exit code {result.returncode}: its log above says why"
        )
