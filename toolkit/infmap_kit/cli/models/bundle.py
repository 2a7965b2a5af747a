"""`infmap-kit bundle` and `install`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from infmap_kit.cli.app import (
    DEFAULT_REPORT,
    DEFAULT_REPOSITORY,
    GateImages,
    Json,
    Report,
    Repository,
    app,
)
from infmap_kit.cli.confined import confined
from infmap_kit.cli.options import Given, with_options
from infmap_kit.cli.parts import part_options, parts_of, settings_of
from infmap_kit.cli.sentences import print_published
from infmap_kit.cli.targets import TARGET_OPTIONS, target_options
from infmap_kit.command import console, print_json
from infmap_kit.model.paint import Paint
from infmap_kit.progress import progress_bar
from infmap_kit.sandbox import SandboxLimits


@app.command(epilog="Example: `infmap-kit bundle runs/unet --output unet.bundle --sign key.pem`")
@with_options(part_options(), Paint, SandboxLimits)
@confined("output")
def bundle(
    run: Annotated[Path, typer.Argument(help="Run folder of `infmap-train fit`.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write.")],
    gate_images: GateImages = None,
    *,
    given: Given,
    sign: Annotated[
        Path | None,
        typer.Option(help="Private Ed25519 key (PEM, as OpenSSL writes it) to sign with."),
    ] = None,
    json_: Json = False,
) -> None:
    """Pack everything that a host without internet needs to build, prove and serve a model into one file.

    The bundle holds the graphs, the model card, the gate's pictures (224x224, without their names), the
    trained network's prediction for each, and the SHA-256 of every file. The same run gives the same file,
    byte for byte. If the run or --gate-images names real radiographs, the bundle contains them: treat it
    accordingly.
    """
    from infmap_kit.gate.pictures import pictures_of
    from infmap_kit.release.bundle import write_bundle
    from infmap_kit.release.signature import signer

    signs = signer(sign) if sign is not None else None
    with progress_bar("reading") as progress:
        pictures = pictures_of(run, gate_images)
        record = write_bundle(
            run,
            output,
            pictures=pictures,
            parts=parts_of(given),
            settings=settings_of(given),
            paint=given.options(Paint),
            sign=signs,
            progress=progress,
        )
    if json_:
        print_json(record)
        return
    signed = "signed" if sign is not None else "not signed"
    console.print(
        f"{record['name']} {record['version']} is packed in {output}: "
        f"{output.stat().st_size / 1e6:.1f} MB, {record['pictures']} pictures for the gate, {signed}.\n"
        f"SHA-256 of its content {record['checksum']}"
    )


@app.command(
    epilog="Example: `infmap-kit install unet.bundle --repository model_repository --public-key key.pub.pem`"
)
@with_options(*TARGET_OPTIONS, SandboxLimits)
@confined("repository", "report")
def install(
    file: Annotated[Path, typer.Argument(help="Bundle of `infmap-kit bundle`.")],
    repository: Repository = DEFAULT_REPOSITORY,
    target: Annotated[
        str, typer.Option(help="Target to build for; auto chooses the one that fits this host.")
    ] = "auto",
    precision: Annotated[
        str, typer.Option(help="Precision of the segmentation; see `export`.")
    ] = "auto",
    *,
    given: Given,
    public_key: Annotated[
        Path | None,
        typer.Option(
            help="Public Ed25519 key (PEM). Only bundles that it signed are installed. Without this option, "
            "the key is the one that the environment variable INFMAP_KIT_PUBLIC_KEY names, or "
            "/etc/infmap-kit/bundle-key.pem."
        ),
    ] = None,
    unsigned: Annotated[
        bool,
        typer.Option(
            "--unsigned",
            help="Install a bundle that is not signed by a configured key. Where no key is configured, this is "
            "needed only the first time.",
        ),
    ] = False,
    report: Report = DEFAULT_REPORT,
    json_: Json = False,
) -> None:
    """Check a bundle, build it for this host, prove that it is equivalent, and publish it as the next release.

    A running `infmap-kit serve` switches to the release by itself. The previous release is kept
    (`rollback`). A bundle that was altered, or is not signed as configured, is refused before any of its
    contents is used.
    """
    from infmap_kit.gate.report import Evidence
    from infmap_kit.release.install import install_bundle
    from infmap_kit.release.signature import configured_key

    options = target_options(target, precision, given)
    with progress_bar() as progress:
        manifest, gate = install_bundle(
            file,
            repository,
            options,
            public_key=configured_key(public_key),
            unsigned=unsigned,
            evidence=Evidence(report),
            progress=progress,
        )
    print_published(manifest, repository, gate, as_json=json_)
