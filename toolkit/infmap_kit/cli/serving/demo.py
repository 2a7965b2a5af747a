"""`infmap-kit demo`."""

from __future__ import annotations

import functools
import shlex
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from infmap_kit.cli.app import Json, app
from infmap_kit.cli.sentences import published
from infmap_kit.command import console, print_json
from infmap_kit.errors import Interrupted
from infmap_kit.progress import progress_bar
from infmap_kit.sandbox import SandboxLimits, run_confined

if TYPE_CHECKING:
    from infmap_kit.demo.folder import DemoFolder
    from infmap_kit.triton.repository import Manifest


@app.command(epilog="Example: `infmap-kit demo --output infmap-demo`")
def demo(
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", help="Folder for the results: a new one, or that of an earlier call."
        ),
    ] = Path("infmap-demo"),
    wheel: Annotated[
        Path | None,
        typer.Option(
            help="The server's nvidia-pytriton wheel as a file, for a host without internet."
        ),
    ] = None,
    open_: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    json_: Json = False,
) -> None:
    """Show the whole path with the demo model and synthetic radiographs, on a CPU.

    The command downloads the Triton server for CPUs if there is none (55 MB, once), exports the demo model
    through the gate, serves it on free ports of loopback, draws radiographs, infers them, and writes a page
    of the results. The server ends with the command. A further call continues from what an earlier one
    finished.

    The model comes from the package infmap-kit-demo, or in a clone from `training/demo_model`.
    """
    from infmap_kit.demo.model import find_model
    from infmap_kit.demo.needs import bring_server, require_packages

    require_packages()
    model = find_model()
    with console.status(
        "looking for a Triton server, and bringing the one for CPUs if there is none"
    ):
        bring_server(wheel)
    from infmap_kit.demo.folder import DemoFolder
    from infmap_kit.results.tables import Tally
    from infmap_kit.triton.server.signals import ending_on_sigterm

    try:
        with ending_on_sigterm():
            folder = DemoFolder(output)
            manifest = folder.published(model) or _exported(folder, model)
            console.print(published(manifest, folder.repository))
            folder.draw()
            with progress_bar() as progress:
                outcomes = folder.infer(progress)
            folder.show(outcomes)
    except KeyboardInterrupt:
        raise Interrupted(
            f"stopped; what was begun has ended, and what is whole in {output} is kept: give the same command "
            "again to go on"
        ) from None
    tally = Tally()
    for outcome in outcomes:
        tally.add(outcome)
    page = folder.page.absolute()
    if json_:
        print_json(
            {
                "model": {name: manifest.model[name] for name in ("name", "version")},
                "repository": str(folder.repository),
                "release": manifest.release,
                "target": manifest.target,
                "results": [outcome.as_json() for outcome in outcomes],
                "kept": tally.kept,
                "page": str(page),
            }
        )
    else:
        repository = shlex.quote(str(folder.repository))
        console.print(tally.shown())
        console.print(
            "The radiographs are drawn, nobody's. For research use, not a medical device.\n"
            f"Look through the results in the browser: {page.as_uri()}\n"
            f"Your own radiographs: infmap-kit infer FILES --output maps --repository {repository}",
            soft_wrap=True,
        )
    if open_:
        webbrowser.open(page.as_uri())


def _exported(folder: DemoFolder, model: Path) -> Manifest:
    """Export in a sandbox, as `infmap-kit export` does; this process has no threads yet."""
    console.print("Exporting the demo model through the gate.")
    code = run_confined(
        functools.partial(_export, folder, model),
        what="the export",
        limits=SandboxLimits(),
        writable=[folder.repository],
    )
    manifest = None if code else folder.published(model)
    if manifest is None:
        # The reason has been printed.
        raise typer.Exit(code or 1)
    return manifest


def _export(folder: DemoFolder, model: Path) -> None:
    with progress_bar("reading") as progress:
        folder.publish(model, progress)
