"""`infmap-kit deploy`."""

from __future__ import annotations

import shlex
import sysconfig
from pathlib import Path
from typing import Annotated

import typer

from infmap_kit.cli.app import DEFAULT_REPOSITORY, Json, Repository, app
from infmap_kit.command import Application, console, print_json

deploy = Application(
    help="Write the files that run a repository on a host or on a cluster.",
    epilog="Example: `infmap-kit deploy compose --output compose.yaml`",
    no_args_is_help=True,
)
app.add_typer(deploy, name="deploy")

_Output = Annotated[Path, typer.Option("--output", "-o", help="The file to write.")]


@deploy.command(epilog="Example: `infmap-kit deploy compose --output compose.yaml`")
def compose(
    output: _Output = Path("compose.yaml"),
    repository: Repository = DEFAULT_REPOSITORY,
    host: Annotated[
        str, typer.Option(help="Address on which the container's ports are published.")
    ] = "127.0.0.1",
    shm_mib: Annotated[int, typer.Option(help="Size of the container's /dev/shm.")] = 256,
    image: Annotated[
        str | None,
        typer.Option(help="Image to use instead of the one whose TensorRT built the plans."),
    ] = None,
    user: Annotated[
        str | None,
        typer.Option(
            help="User and group ids that the containers run as. The default is your own."
        ),
    ] = None,
    gpus: Annotated[
        str,
        typer.Option(
            help="GPUs that the container gets: all, a number, or a list such as device=0,1."
        ),
    ] = "all",
) -> None:
    """Write a compose file for NVIDIA's stock image, confined and on loopback."""
    from infmap_kit.host.container import ContainerOptions
    from infmap_kit.host.deploy import compose_document, write_yaml
    from infmap_kit.triton.server.options import ServerOptions

    options = ContainerOptions(image=image, shm_mib=shm_mib, user=user, gpus=gpus)
    write_yaml(output, compose_document(repository, ServerOptions(host=host), options))
    console.print(f"Written to {output}. On the host: docker compose --file {output} up --detach")


@deploy.command(
    epilog="Example: `infmap-kit deploy kserve --storage-uri pvc://models/infmap -o infmap.yaml`"
)
def kserve(
    storage_uri: Annotated[
        str,
        typer.Option(
            help="URI under which the cluster finds the repository's root, such as pvc://... or s3://..."
        ),
    ],
    output: _Output = Path("inferenceservice.yaml"),
    repository: Repository = DEFAULT_REPOSITORY,
    name: Annotated[str, typer.Option(help="Name of the service.")] = "infmap",
    namespace: Annotated[
        str | None, typer.Option(help="Namespace of the service. The default is that of kubectl.")
    ] = None,
    replicas: Annotated[int, typer.Option(min=1, help="Largest number of replicas.")] = 1,
    gpu_resource: Annotated[
        str,
        typer.Option(
            help="Kubernetes resource that stands for a GPU, or for a slice of one such as "
            "nvidia.com/mig-1g.10gb."
        ),
    ] = "nvidia.com/gpu",
    deployment_mode: Annotated[
        str,
        typer.Option(help="Deployment mode: Standard, or RawDeployment for KServe before 0.16."),
    ] = "Standard",
    kustomize: Annotated[
        Path | None,
        typer.Option(help="Write a kustomize folder instead, with a NetworkPolicy beside it."),
    ] = None,
) -> None:
    """Write an InferenceService for KServe's Triton runtime."""
    from infmap_kit.host.deploy import (
        KserveOptions,
        kserve_document,
        kustomize_documents,
        write_yaml,
    )

    options = KserveOptions(
        storage_uri=storage_uri,
        name=name,
        namespace=namespace,
        replicas=replicas,
        gpu_resource=gpu_resource,
        deployment_mode=deployment_mode,
    )
    if kustomize is not None:
        kustomize.mkdir(parents=True, exist_ok=True)
        for file, document in kustomize_documents(repository, options).items():
            write_yaml(kustomize / file, document)
        console.print(
            f"Written to {kustomize}. On the cluster: kubectl apply --kustomize {kustomize}"
        )
        return
    write_yaml(output, kserve_document(repository, options))
    console.print(f"Written to {output}. On the cluster: kubectl apply --filename {output}")


@deploy.command(epilog="Example: `infmap-kit deploy systemd --output units`")
def systemd(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder to write the units to.")
    ] = Path("units"),
    program: Annotated[
        Path | None,
        typer.Option(
            help="The infmap-kit program that the units run. The default is the one that runs this command."
        ),
    ] = None,
    repository: Annotated[
        Path, typer.Option("--repository", "-r", help="Repository to serve, on the host.")
    ] = Path("/var/lib/infmap-kit/model_repository"),
    settings: Annotated[
        Path, typer.Option(help="Folder of node.toml, *.env and secrets/, on the host.")
    ] = Path("/etc/infmap-kit"),
    low_port: Annotated[
        bool, typer.Option("--low-port", help="Let the node listen on a port below 1024.")
    ] = False,
    allow: Annotated[
        list[str] | None,
        typer.Option(
            help="Network or address that the node may connect to; may be repeated. The default is any."
        ),
    ] = None,
    json_: Json = False,
) -> None:
    """Write systemd units for the server, the node and a daily `doctor`, each confined to its task.

    `docs/install.md` says where they belong. Server and node report to systemd when they are ready and that
    they are alive; systemd restarts one that hangs.
    """
    from infmap_kit.host.units import SERVICES, UnitOptions, write_units

    options = UnitOptions(
        program=(program or Path(sysconfig.get_path("scripts"), "infmap-kit")).absolute(),
        repository=repository,
        settings=settings,
        low_port=low_port,
        addresses=tuple(allow or ()),
    )
    files = write_units(output, options)
    if json_:
        print_json({"files": [str(path) for path in files]})
        return
    console.print(f"Written to {output}. On the host:")
    place = shlex.quote(str(output.absolute()))
    for line in (
        f"systemd-sysusers {place}/infmap-kit.sysusers",
        f"cp {place}/infmap-*.service {place}/infmap-*.timer /etc/systemd/system/",
        "systemctl daemon-reload",
        f"systemctl enable --now {' '.join(SERVICES[:2])} infmap-doctor.timer",
    ):
        console.print(f"  {line}", soft_wrap=True, highlight=False)


@deploy.command(epilog="Example: `infmap-kit deploy alerts --output infmap-alerts.yml`")
def alerts(
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write.")] = Path(
        "infmap-alerts.yml"
    ),
) -> None:
    """Write alert rules for Prometheus that use the metrics of node and server.

    The rules expect the jobs infmap-node and infmap-serve. `docs/operations.md` says what to do about each
    alert.
    """
    from infmap_kit.host.alerts import write_alerts

    write_alerts(output)
    console.print(f"Written to {output}. Name it under rule_files in prometheus.yml.")


@deploy.command(
    epilog="Example: `infmap-kit deploy gateway --name xray.hospital.example --certificate gate.pem "
    "--certificate-key gate.key --client-ca callers-ca.pem --output /etc/infmap-gateway`"
)
def gateway(
    name: Annotated[
        list[str],
        typer.Option(
            help="Name or address under which callers reach the gateway; may be repeated."
        ),
    ],
    certificate: Annotated[Path, typer.Option(help="The gateway's certificate (PEM).")],
    certificate_key: Annotated[
        Path, typer.Option(help="Private key of the gateway's certificate (PEM).")
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="Folder to write, which becomes the prefix of nginx."),
    ] = Path("gateway"),
    client_ca: Annotated[
        Path | None,
        typer.Option(
            help="Certificate of the authority that signs the callers' certificates (PEM)."
        ),
    ] = None,
    crl: Annotated[
        Path | None,
        typer.Option(help="List of the certificates that the authority has revoked (PEM)."),
    ] = None,
    allow: Annotated[
        list[str] | None,
        typer.Option(
            help="Common name of a certificate that is admitted; may be repeated. The default is all that "
            "--client-ca signed."
        ),
    ] = None,
    key: Annotated[
        list[str] | None,
        typer.Option(
            help="Name of a caller that uses a key instead of a certificate; may be repeated. The key is shown "
            "once."
        ),
    ] = None,
    listen: Annotated[str, typer.Option(help="Address and port to listen on.")] = "0.0.0.0:8443",
    grpc: Annotated[str, typer.Option(help="Triton's gRPC endpoint.")] = "127.0.0.1:8001",
    http: Annotated[
        str | None,
        typer.Option(
            help="Triton's HTTP endpoint, such as 127.0.0.1:8000, if HTTP is to be let through as well. This "
            "needs the nginx module njs (Debian: libnginx-mod-http-js)."
        ),
    ] = None,
    body_mib: Annotated[int, typer.Option(help="Largest size of a request, in MiB.")] = 32,
    requests_per_second: Annotated[
        int, typer.Option(help="Largest number of requests per second from one caller.")
    ] = 50,
    connections: Annotated[
        int,
        typer.Option(
            help="Largest number of connections, and of simultaneous requests, from one caller."
        ),
    ] = 32,
    timeout_s: Annotated[
        int, typer.Option(help="Seconds within which the server must answer.")
    ] = 60,
    modules: Annotated[
        Path, typer.Option(help="Folder with the modules of nginx; needed for --http.")
    ] = Path("/usr/share/nginx/modules"),
    json_: Json = False,
) -> None:
    """Write an nginx configuration for a gateway: TLS, authentication and limits before a server on loopback.

    Use it if `infmap-kit serve` must be reachable from other machines. Only health, metadata and inference
    requests pass. Existing keys are kept; to exclude a caller, delete its line in callers.conf.
    """
    from infmap_kit.host.gateway import GatewayOptions, write_gateway

    options = GatewayOptions(
        names=tuple(name),
        certificate=certificate.absolute(),
        certificate_key=certificate_key.absolute(),
        client_ca=client_ca.absolute() if client_ca else None,
        crl=crl.absolute() if crl else None,
        allowed=tuple(allow or ()),
        key_callers=tuple(key or ()),
        listen=listen,
        grpc_upstream=grpc,
        http_upstream=http,
        body_mib=body_mib,
        requests_per_second=requests_per_second,
        connections=connections,
        timeout_s=timeout_s,
        modules=modules.absolute(),
    )
    made = write_gateway(output, options)
    place = output.absolute()
    start = ["nginx", "-p", str(place), "-c", "nginx.conf"]
    if json_:
        print_json({"folder": str(place), "start": start, "keys": made})
        return
    for caller, secret in made.items():
        console.print(f"Key of {caller}, sent as Authorization: Bearer {secret}", soft_wrap=True)
    console.print(f"Written to {output}. On the host: {shlex.join(start)}", soft_wrap=True)
