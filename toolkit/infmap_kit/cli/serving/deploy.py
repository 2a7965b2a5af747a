"""`infmap-kit deploy`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from infmap_kit.cli.app import DEFAULT_REPOSITORY, Repository, app
from infmap_kit.command import console

deploy = typer.Typer(
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
) -> None:
    """Write an InferenceService for KServe's Triton runtime."""
    from infmap_kit.host.deploy import KserveOptions, kserve_document, write_yaml

    options = KserveOptions(
        storage_uri=storage_uri,
        name=name,
        namespace=namespace,
        replicas=replicas,
        gpu_resource=gpu_resource,
        deployment_mode=deployment_mode,
    )
    write_yaml(output, kserve_document(repository, options))
    console.print(f"Written to {output}. On the cluster: kubectl apply --filename {output}")
