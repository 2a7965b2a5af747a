"""`infmap-kit accept`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from infmap_kit.cli.app import GateImages, Json, app
from infmap_kit.command import console, page, print_result
from infmap_kit.progress import progress_bar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from infmap_kit.site_acceptance.line import AcceptanceLine

DEFAULT_OUTPUT = Path("acceptance-report")


@app.command(epilog="Example: `infmap-kit accept model_repository --output acceptance-report`")
def accept(
    repository: Annotated[
        Path, typer.Argument(help="The published repository; nothing in it is changed.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for the report (HTML, JSON, checksum).")
    ] = DEFAULT_OUTPUT,
    origin: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN_OR_BUNDLE",
            help="The trained network to compare with; needed where the repository keeps none, as for "
            "TensorRT plans.",
        ),
    ] = None,
    gate_images: GateImages = None,
    sign: Annotated[
        Path | None,
        typer.Option(
            help="Private Ed25519 key (PEM, as for `bundle --sign`) to sign the JSON with."
        ),
    ] = None,
    time_limit_minutes: Annotated[
        float, typer.Option(min=0.1, help="Minutes after which the remaining steps are not run.")
    ] = 15.0,
    load_seconds: Annotated[
        float, typer.Option(min=1, help="Seconds for which the server is put under load.")
    ] = 20.0,
    latency_seconds: Annotated[
        float,
        typer.Option(
            min=1, help="Seconds after which measuring a latency ends even if it has not settled."
        ),
    ] = 60.0,
    json_: Json = False,
) -> None:
    """Prove the whole path on this host, and write one report to be signed.

    The steps are: driver, GPU, image and server; the gate in every batch size; every subset of the outputs
    over gRPC and HTTP; load and memory; a restart; a change of release under load; and the latency beside
    the paper's Table V. The command works on a private copy, with its own server on free ports of loopback,
    and leaves nothing behind. The exit code is 0 if the host is accepted, and 1 if a required step failed
    or could not be run.
    """
    from infmap_kit.gate.pictures import radiographs_in
    from infmap_kit.release.origin import read_origin
    from infmap_kit.release.signature import signer
    from infmap_kit.site_acceptance.acceptance import accept as accept_site
    from infmap_kit.site_acceptance.report import lines_table, write_report
    from infmap_kit.site_acceptance.site import AcceptanceOptions
    from infmap_kit.triton.server.signals import ending_on_sigterm

    # A key that is none is told before minutes of work.
    signs = signer(sign) if sign is not None else None
    with progress_bar("reading") as progress, ending_on_sigterm():
        options = AcceptanceOptions(
            origin=read_origin(origin) if origin is not None else None,
            pictures=radiographs_in(gate_images) if gate_images is not None else None,
            time_limit_s=60 * time_limit_minutes,
            load_s=load_seconds,
            latency_s=latency_seconds,
        )
        report = accept_site(repository, options, progress=progress, on_step=_told)
    paths = write_report(report, output, sign=signs)
    print_result(report.as_json(), lines_table(report), report.verdict, as_json=json_, on=page)
    console.print(f"Written to {', '.join(map(str, paths))}.", highlight=False, soft_wrap=True)
    report.require()


def _told(step: str, lines: Sequence[AcceptanceLine]) -> None:
    failed = [line.name for line in lines if line.stands_in_the_way]
    state = f"in the way: {', '.join(failed)}" if failed else "done"
    console.print(f"{step}: {state}", highlight=False)
