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
        typer.Option(help="Folder of an unpacked kit, of which compose builds the image."),
    ] = None,
    pacs_host: Annotated[
        str, typer.Option(help="Host name or address of the PACS; the box has one to try it with.")
    ] = "orthanc",
    pacs_port: Annotated[int, typer.Option(help="Its DICOM port.")] = 4242,
    pacs_ae_title: Annotated[str, typer.Option(help="Its AE title.")] = "PACS",
    sender: Annotated[
        list[str] | None, typer.Option(help="AE title of whoever may send; may be given again.")
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address of this machine that the node listens on.")
    ] = "0.0.0.0",  # noqa: S104  # X-ray rooms and the PACS come from elsewhere
    port: Annotated[int, typer.Option(help="Its DICOM port.")] = 11112,
    grafana_port: Annotated[int, typer.Option(help="Grafana's port, on loopback.")] = 3000,
    user: Annotated[
        str | None, typer.Option(help="User and group ids to run as; without it, yours.")
    ] = None,
    gpus: Annotated[
        str, typer.Option(help="GPUs of the model server: all, a number, or device=0,1.")
    ] = "all",
    image: Annotated[str | None, typer.Option(help="Another image of infmap-kit.")] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Write node.toml anew, though one is there.")
    ] = False,
    json_: Json = False,
) -> None:
    """Write a whole box for compose: model server, node, Prometheus, Grafana, and a PACS to try it with.

    Each container is confined: no root, read-only, no capabilities, and a network inside that nobody else
    reaches. A repository for the server for CPUs runs in the image that a kit's Containerfile makes; one for
    a GPU in NVIDIA's. What is there of node.toml, spool, alerts and secrets stays.
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
