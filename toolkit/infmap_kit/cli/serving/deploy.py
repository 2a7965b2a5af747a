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
    help="Write what runs a repository on a host of its own, or on a cluster.",
    epilog="Example: `infmap-kit deploy compose --output compose.yaml`",
    no_args_is_help=True,
)
app.add_typer(deploy, name="deploy")

_Output = Annotated[Path, typer.Option("--output", "-o", help="The file to write.")]


@deploy.command(epilog="Example: `infmap-kit deploy compose --output compose.yaml`")
def compose(
    output: _Output = Path("compose.yaml"),
    repository: Repository = DEFAULT_REPOSITORY,
    host: Annotated[str, typer.Option(help="Address to publish on.")] = "127.0.0.1",
    shm_mib: Annotated[int, typer.Option(help="Size of the container's /dev/shm.")] = 256,
    image: Annotated[str | None, typer.Option(help="Another image.")] = None,
    user: Annotated[
        str | None, typer.Option(help="User and group ids to run as; without it, yours.")
    ] = None,
    gpus: Annotated[
        str, typer.Option(help="GPUs of the container: all, a number, or device=0,1.")
    ] = "all",
) -> None:
    """Write a compose file: NVIDIA's stock image, confined, on loopback."""
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
        str, typer.Option(help="Where the cluster finds the repository's root: pvc://, s3://, ...")
    ],
    output: _Output = Path("inferenceservice.yaml"),
    repository: Repository = DEFAULT_REPOSITORY,
    name: Annotated[str, typer.Option(help="The service's name.")] = "infmap",
    namespace: Annotated[str | None, typer.Option(help="Without it, kubectl's own.")] = None,
    replicas: Annotated[int, typer.Option(min=1, help="How many hosts at most.")] = 1,
    gpu_resource: Annotated[
        str, typer.Option(help="Resource of a GPU, or of a slice such as nvidia.com/mig-1g.10gb.")
    ] = "nvidia.com/gpu",
    deployment_mode: Annotated[
        str, typer.Option(help="Standard, or RawDeployment for KServe before 0.16.")
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
        Path | None, typer.Option(help="The infmap-kit to run; without it, this one.")
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
            help="Network or address that the node may talk with; may be repeated. Without it, all."
        ),
    ] = None,
    json_: Json = False,
) -> None:
    """Write units for systemd: server, node and a daily doctor, each confined to its job.

    `docs/install.md` says where they go. Server and node tell systemd when they are ready and that they are
    alive; one that hangs is started again.
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
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write.")] = Path(
        "infmap-alerts.yml"
    ),
) -> None:
    """Write alert rules for Prometheus, over the metrics of node and server.

    They expect the jobs infmap-node and infmap-serve; `docs/operations.md` says what to do about each.
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
        list[str], typer.Option(help="Name or address that callers use; may be repeated.")
    ],
    certificate: Annotated[Path, typer.Option(help="The gateway's certificate (PEM).")],
    certificate_key: Annotated[Path, typer.Option(help="Its private key (PEM).")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder to write; nginx gets it as its prefix.")
    ] = Path("gateway"),
    client_ca: Annotated[
        Path | None, typer.Option(help="Authority that signs the callers' certificates (PEM).")
    ] = None,
    crl: Annotated[
        Path | None, typer.Option(help="Certificates that the authority has revoked (PEM).")
    ] = None,
    allow: Annotated[
        list[str] | None,
        typer.Option(
            help="Common name of a certificate that may ask; may be repeated. Without it, all of --client-ca."
        ),
    ] = None,
    key: Annotated[
        list[str] | None,
        typer.Option(
            help="Caller that asks with a key instead; may be repeated. It is shown once."
        ),
    ] = None,
    listen: Annotated[str, typer.Option(help="Address and port to listen on.")] = "0.0.0.0:8443",
    grpc: Annotated[str, typer.Option(help="Triton's gRPC endpoint.")] = "127.0.0.1:8001",
    http: Annotated[
        str | None,
        typer.Option(
            help="Triton's HTTP endpoint, such as 127.0.0.1:8000, to let HTTP through too. "
            "Needs nginx' module njs (Debian: libnginx-mod-http-js)."
        ),
    ] = None,
    body_mib: Annotated[int, typer.Option(help="Size of a request, at most.")] = 32,
    requests_per_second: Annotated[int, typer.Option(help="Of each caller, at most.")] = 50,
    connections: Annotated[
        int, typer.Option(help="Connections, or requests at once, of each caller.")
    ] = 32,
    timeout_s: Annotated[int, typer.Option(help="Seconds until the server must answer.")] = 60,
    modules: Annotated[Path, typer.Option(help="Folder of nginx' modules, for --http.")] = Path(
        "/usr/share/nginx/modules"
    ),
    json_: Json = False,
) -> None:
    """Write nginx' configuration for a gateway: TLS, sign-in and limits before a server on loopback.

    Whoever must be reached from other machines puts this before `infmap-kit serve`. Only health, metadata and
    inference pass. Keys that exist stay as they are; delete a caller's line in callers.conf to shut it out.
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
