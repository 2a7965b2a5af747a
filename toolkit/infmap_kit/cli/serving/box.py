"""`infmap-kit deploy box`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from infmap_kit.cli.app import DEFAULT_REPOSITORY, Json, Repository
from infmap_kit.cli.serving.deploy import deploy
from infmap_kit.command import console, print_json


@deploy.command(
    epilog="Example: `infmap-kit deploy box --pacs-host pacs.hospital --pacs-ae-title PACS --sender XRAY_ROOM1`"
)
def box(
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to write.")] = Path(
        "box"
    ),
    repository: Repository = DEFAULT_REPOSITORY,
    kit: Annotated[
        Path | None,
        typer.Option(help="Folder of an unpacked kit, from which compose builds the image."),
    ] = None,
    pacs_host: Annotated[
        str,
        typer.Option(
            help="Host name or address of the PACS. The default is the test PACS of the box."
        ),
    ] = "orthanc",
    pacs_port: Annotated[int, typer.Option(help="DICOM port of the PACS.")] = 4242,
    pacs_ae_title: Annotated[str, typer.Option(help="AE title of the PACS.")] = "PACS",
    sender: Annotated[
        list[str] | None,
        typer.Option(
            help="AE title of a sender that the node accepts; may be given several times."
        ),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address of this machine on which the node listens.")
    ] = "0.0.0.0",  # noqa: S104  # X-ray rooms and the PACS come from elsewhere
    port: Annotated[int, typer.Option(help="DICOM port of the PACS.")] = 11112,
    grafana_port: Annotated[int, typer.Option(help="Port of Grafana on loopback.")] = 3000,
    user: Annotated[
        str | None,
        typer.Option(
            help="User and group ids that the containers run as. The default is your own."
        ),
    ] = None,
    gpus: Annotated[
        str,
        typer.Option(
            help="GPUs that the model server gets: all, a number, or a list such as device=0,1."
        ),
    ] = "all",
    image: Annotated[
        str | None, typer.Option(help="Image of infmap-kit to use instead of the default.")
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace node.toml if it exists.")
    ] = False,
    json_: Json = False,
) -> None:
    """Write a compose file with model server, node, Prometheus, Grafana, and a PACS for testing.

    Each container is confined: no root, a read-only root file system, no capabilities, and an internal
    network that is not reachable from outside. A repository for CPUs is served by the image that the kit's
    Containerfile builds, a repository for a GPU by NVIDIA's image. Existing node.toml, spool, alerts and
    secrets are kept.
    """
    from infmap_kit.host import box as boxes
    from infmap_kit.host.container import ContainerOptions
    from infmap_kit.model.files import write_bytes
    from infmap_kit.node.check.draft import Answers, write_draft

    options = boxes.BoxOptions(
        container=ContainerOptions(image=image, user=user, gpus=gpus),
        host=host,
        port=port,
        grafana_port=grafana_port,
        kit=kit,
    )
    boxes.write_box(output, repository, options)
    settings = output / "node.toml"
    written = replace or not settings.exists()
    if written:
        answers = Answers(
            pacs_host=pacs_host,
            pacs_port=pacs_port,
            pacs_ae_title=pacs_ae_title,
            senders=sender or ["MODALITY"],
            ae_title="INFMAP",
            host=boxes.EVERYWHERE,
            port=boxes.DICOM_PORT,
            spool=boxes.SPOOL,
            model_url=boxes.MODEL_URL,
        )
        write_draft(settings, answers, replace=True)
        write_bytes(settings, settings.read_bytes() + boxes.STATUS.encode())
    trial = ["--profile", "test-pacs"] if pacs_host == "orthanc" else []
    start = ["docker", "compose", "--file", str(output / "compose.yaml"), *trial, "up", "--detach"]
    if json_:
        print_json({"folder": str(output.absolute()), "start": start, "node_toml": written})
        return
    if not written:
        console.print(f"{settings} stays as it is; --replace writes another.", soft_wrap=True)
    console.print(
        f"Written to {output}. On the host: {shlex.join(start)}\n"
        f"Grafana: http://127.0.0.1:{grafana_port}, user admin, password in {output / 'secrets' / 'grafana'}",
        soft_wrap=True,
    )
