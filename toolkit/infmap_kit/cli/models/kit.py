"""`infmap-kit kit`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from infmap_kit.cli.app import Json, app
from infmap_kit.command import Application, console, print_json

kit = Application(
    help="One file for a host without internet: programs, server, model and their installer.",
    epilog="Example: `infmap-kit kit build --bundle unet.bundle --sign key.pem -o infmap-kit.tar`",
    no_args_is_help=True,
)
app.add_typer(kit, name="kit")


@kit.callback()
def _group() -> None:
    """Keep the command's name, though it is the only one."""


@kit.command(
    epilog="Example: `infmap-kit kit build --bundle unet.bundle --sign key.pem -o infmap-kit.tar`"
)
def build(
    bundle: Annotated[
        Path, typer.Option(help="Bundle with the model, made by `infmap-kit bundle`.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write.")],
    sign: Annotated[
        Path | None,
        typer.Option(
            help="Private Ed25519 key (PEM) to sign the kit with: the one that signed the bundle."
        ),
    ] = None,
    extras: Annotated[
        str, typer.Option(help="Extras of infmap-kit that the host needs.")
    ] = "node,export,embedded,sign",
    python: Annotated[
        str | None,
        typer.Option(
            help="Python version of the host, such as 3.11. The default is the version that runs this command."
        ),
    ] = None,
    dist: Annotated[
        Path,
        typer.Option(help="Folder that `make sbom` wrote: wheels, bill of materials and licences."),
    ] = Path("dist"),
    docs: Annotated[Path, typer.Option(help="Folder of the documentation.")] = Path("docs"),
    lock: Annotated[
        Path,
        typer.Option(help="File that `make lock` wrote, with versions and hashes of all packages."),
    ] = Path("requirements/everything.txt"),
    demo: Annotated[
        bool, typer.Option("--demo", help="Pack the demo model's wheel too, for `infmap-kit demo`.")
    ] = False,
    json_: Json = False,
) -> None:
    """Download everything that a host without internet needs, and pack it into one signed file.

    Run this in a clone, on a machine with internet, after `make sbom`. Only wheels that the lock file names
    by their hash are packed. `docs/install.md` explains what to do with the file on the host. If MkDocs is
    installed (the extra `docs`), the documentation is included as HTML as well.
    """
    from infmap_kit.release.kit import KitOptions, build_kit
    from infmap_kit.release.signature import signer

    chosen: dict[str, str] = {} if python is None else {"python": python}
    options = KitOptions(
        bundle=bundle, dist=dist, docs=docs, lock=lock, extras=extras, demo=demo, **chosen
    )
    signs = signer(sign) if sign is not None else None
    with console.status("fetching and packing"):
        made = build_kit(output, options, sign=signs)
    if json_:
        print_json({"file": str(output), **made})
        return
    signed = "signed" if made["signed"] else "not signed"
    if not made["html"]:
        console.print(
            "The pages are in it as Markdown alone: for HTML, pip install 'infmap-kit[docs]', in a clone."
        )
    console.print(
        f"infmap-kit {made['version']} for Python {made['python']} is packed in {output}: "
        f"{output.stat().st_size / 1e6:.0f} MB, {made['files']} files, {signed}.\nSHA-256 {made['sha256']}"
    )
