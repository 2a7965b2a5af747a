"""Commands of infmap-kit for GPU boxes: would it compile, and how does it run there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from infmap_kit.command import console, print_json

if TYPE_CHECKING:
    from infmap_kit.triton.server import ServerOptions

deploy = typer.Typer(
    help="Write what runs a repository on a box of its own, or on a cluster.", no_args_is_help=True
)

_Repository = Annotated[Path, typer.Option("--repository", "-r", help="Triton model repository.")]
_Output = Annotated[Path, typer.Option("--output", "-o", help="The file to write.")]
_REPOSITORY = Path("model_repository")


def verify(
    compile_: Annotated[
        Path,
        typer.Option(
            "--compile",
            metavar="RUN_OR_REPOSITORY",
            help="Run folder, model file or repository whose three graphs are compiled.",
        ),
    ],
    gpu: Annotated[
        Optional[list[str]],  # noqa: UP045  # Typer reads this at run time
        typer.Option(help="2080ti, t4, a10, l4, sm75, sm86, ...; may be given again."),
    ] = None,
    precision: Annotated[str, typer.Option(help="Of the segmentation: fp16 or fp32.")] = "fp16",
    batches: Annotated[str, typer.Option(help="Batch sizes to compile for.")] = "1,8,32",
    json_: Annotated[
        bool, typer.Option("--json", help="Print one JSON document on stdout.")
    ] = False,
) -> None:
    """Compile a network for GPUs on a machine without one, with NVIDIA's own compiler.

    Says by node and operator what TensorRT would refuse on the box, with the mend where one is known; the
    exit code is 3 when anything is refused. What is compiled is not run, and not kept.
    """
    from infmap_kit.export.compile_gate import (
        DEFAULT_GPUS,
        GateOptions,
        as_json,
        compile_graphs,
        graphs_at,
        require_passed,
    )
    from infmap_kit.export.target import parse_batches

    options = GateOptions(
        gpus=tuple(gpu or DEFAULT_GPUS), precision=precision, batches=parse_batches(batches)
    )
    with console.status("reading") as status:
        results = compile_graphs(
            graphs_at(compile_),
            options,
            progress=lambda label, done, total: status.update(f"{label} {done}/{total}"),
        )
    if json_:
        print_json(as_json(results))
    else:
        from infmap_kit.tables import compilations_table

        console.print(compilations_table(results))
    require_passed(results)


@deploy.command(epilog="Example: `infmap-kit deploy compose --output compose.yaml`")
def compose(
    output: _Output = Path("compose.yaml"),
    repository: _Repository = _REPOSITORY,
    host: Annotated[str, typer.Option(help="Address to publish on.")] = "127.0.0.1",
    shm_mib: Annotated[int, typer.Option(help="Of the container's /dev/shm.")] = 256,
    image: Annotated[Optional[str], typer.Option(help="Another image.")] = None,  # noqa: UP045
    user: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="User and group ids to run as; without it, yours."),
    ] = None,
) -> None:
    """Write a compose file: NVIDIA's stock image, confined, on loopback."""
    from infmap_kit.triton.container import ContainerOptions
    from infmap_kit.triton.deploy import compose_document, write_yaml
    from infmap_kit.triton.server import ServerOptions

    options = ContainerOptions(image=image, shm_mib=shm_mib, user=user)
    write_yaml(output, compose_document(repository, ServerOptions(host=host), options))
    console.print(f"Written to {output}. On the box: docker compose --file {output} up --detach")


@deploy.command(
    epilog="Example: `infmap-kit deploy kserve --storage-uri pvc://models/infmap -o infmap.yaml`"
)
def kserve(
    storage_uri: Annotated[
        str, typer.Option(help="Where the cluster finds the repository's root: pvc://, s3://, ...")
    ],
    output: _Output = Path("inferenceservice.yaml"),
    repository: _Repository = _REPOSITORY,
    name: Annotated[str, typer.Option(help="The service's name.")] = "infmap",
    namespace: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Without it, kubectl's own."),
    ] = None,
    replicas: Annotated[int, typer.Option(min=1, help="How many boxes at most.")] = 1,
) -> None:
    """Write an InferenceService for KServe's Triton runtime."""
    from infmap_kit.triton.deploy import KserveOptions, kserve_document, write_yaml

    options = KserveOptions(
        storage_uri=storage_uri, name=name, namespace=namespace, replicas=replicas
    )
    write_yaml(output, kserve_document(repository, options))
    console.print(f"Written to {output}. On the cluster: kubectl apply --filename {output}")


def serve_in_container(
    repository: Path,
    server: ServerOptions,
    *,
    image: str | None,
    gpus: str,
    shm_mib: int,
    print_only: bool,
) -> None:
    """`infmap-kit serve --runtime docker`."""
    from infmap_kit.triton.container import (
        ContainerOptions,
        check_box,
        docker_command,
        run_container,
        shown,
    )

    options = ContainerOptions(image=image, gpus=gpus, shm_mib=shm_mib)
    command = docker_command(repository, server, options)
    if print_only:
        typer.echo(shown(command))
        return
    check_box(repository)
    run_container(command)
