"""`infmap-kit serve`."""

from __future__ import annotations

import functools
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from infmap_kit.cli.app import DEFAULT_REPOSITORY, Json, Repository, app
from infmap_kit.command import console, print_json
from infmap_kit.errors import ServerError
from infmap_kit.serving.systemd import tell_systemd
from infmap_kit.triton.server.options import ServerOptions

HttpPort = Annotated[int, typer.Option(help="Triton's HTTP port.")]
GrpcPort = Annotated[int, typer.Option(help="Triton's gRPC port.")]
MetricsPort = Annotated[int, typer.Option(help="Triton's metrics port.")]


@app.command(epilog="Example: `infmap-kit serve --repository model_repository`")
def serve(
    repository: Repository = DEFAULT_REPOSITORY,
    host: Annotated[
        str,
        typer.Option(help="Address to bind to. Triton has no authentication, so stay on loopback."),
    ] = "127.0.0.1",
    http: Annotated[
        bool,
        typer.Option(
            "--http",
            help="Also serve HTTP. Anyone who can reach it can crash the server with three small requests.",
        ),
    ] = False,
    http_port: HttpPort = 8000,
    grpc_port: GrpcPort = 8001,
    metrics_port: MetricsPort = 8002,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show the server's log.")
    ] = False,
    runtime: Annotated[
        str,
        typer.Option(
            help="Server to run: auto (a tritonserver on this machine) or docker (NVIDIA's stock image)."
        ),
    ] = "auto",
    gpus: Annotated[
        str, typer.Option(help="GPUs that the container gets, such as all or device=0.")
    ] = "all",
    shm_mib: Annotated[int, typer.Option(help="Size of the container's /dev/shm.")] = 256,
    image: Annotated[
        str | None,
        typer.Option(help="Image to run. The default is the one whose TensorRT built the plans."),
    ] = None,
    print_command: Annotated[
        bool, typer.Option("--print-command", help="Show the docker command without running it.")
    ] = False,
    json_: Json = False,
) -> None:
    """Serve a repository with Triton until Ctrl-C or SIGTERM.

    The command checks the hash of every file, starts the server, waits until the ensemble is ready, warms
    it up, and prints the endpoints. The server loads a private copy of the files; all files are checked
    again every ten minutes and at SIGHUP. When another release is published (`export`, `install`,
    `rollback`), it is started beside the present one and replaces it once it is ready. A server that ends
    by itself is restarted, up to four times in a quarter of an hour. A container is confined: read-only, no
    root, no capabilities, loopback only.
    """
    options = ServerOptions(
        host=host, http_port=http_port, grpc_port=grpc_port, metrics_port=metrics_port, http=http
    )
    if runtime == "docker" or print_command:
        container = {"image": image, "gpus": gpus, "shm_mib": shm_mib}
        _serve_in_container(repository, options, print_only=print_command, **container)
        return
    if runtime != "auto":
        raise ServerError(f"expected --runtime to be one of auto, docker, found {runtime!r}")
    from infmap_kit.serving.supervisor import POLL_S, supervised
    from infmap_kit.targets.registry import find
    from infmap_kit.triton.repository import Manifest
    from infmap_kit.triton.server.signals import checking_at_sighup, ending_on_sigterm

    find(Manifest.read(repository).target)

    started = time.monotonic()
    show = functools.partial(console.print, highlight=False)
    try:
        with (
            ending_on_sigterm(),
            supervised(
                repository, options, on_log=show if verbose else _ignore, on_event=show
            ) as server,
        ):
            spoken = {"http": server.http_url} if http else {}
            endpoints = {"grpc": server.grpc_url, **spoken, "metrics": options.metrics_url}
            ready_s = time.monotonic() - started
            if json_:
                print_json({"endpoints": endpoints, "ready_s": round(ready_s, 2)})
            else:
                console.print(f"Ready after {ready_s:.1f} s. Ctrl-C ends it.")
                for name, url in endpoints.items():
                    console.print(f"  {name:8}{url}")
            tell_systemd("READY=1")
            with checking_at_sighup() as asked:
                while True:
                    server.look()
                    tell_systemd("WATCHDOG=1")
                    if asked.is_set():
                        asked.clear()
                        server.check_files()
                        show("Looked at all files.")
                    time.sleep(POLL_S)
    except KeyboardInterrupt:
        console.print("The server has ended.")
    finally:
        tell_systemd("STOPPING=1")


def _ignore(_line: str) -> None: ...


def _serve_in_container(
    repository: Path, server: ServerOptions, *, print_only: bool, **options: Any
) -> None:
    """`infmap-kit serve --runtime docker`."""
    from infmap_kit.host import container

    command = container.docker_command(repository, server, container.ContainerOptions(**options))
    if print_only:
        typer.echo(container.shown(command))
        return
    container.check_host(repository)
    container.run_container(command)
