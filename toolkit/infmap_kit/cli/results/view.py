"""`infmap-kit view`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from infmap_kit.cli.app import Json, app
from infmap_kit.command import console, print_json
from infmap_kit.progress import progress_bar


@app.command(epilog="Example: `infmap-kit view maps --reader anna`")
def view(
    results: Annotated[
        Path, typer.Argument(metavar="RESULTS", help="Folder that `infmap-kit infer` wrote to.")
    ],
    reader: Annotated[
        str,
        typer.Option(help="Name of the reader; opinions are stored in RESULTS/opinions/READER."),
    ] = "reader",
    identify: Annotated[
        bool,
        typer.Option(
            "--identify",
            help="Show Patient ID and the names of DICOM files where the results contain them.",
        ),
    ] = False,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port on loopback; 0 takes a free one.")
    ] = 0,
    export: Annotated[
        Path | None,
        typer.Option(
            help="Write the page into this new folder instead of serving it; open its index.html."
        ),
    ] = None,
    json_: Json = False,
) -> None:
    """Look through results in the browser: sort and filter them, move the threshold, record an opinion.

    `infmap-kit infer --format png,json,view` keeps everything that the page can change: radiographs,
    probabilities and lungs. Other results are shown with their maps as painted.

    The server listens on this machine only and admits only the address that it prints. An exported folder
    contains the radiographs, which anyone who has the folder can see.

    --json needs --export.
    """
    from infmap_kit.view.export import export_results
    from infmap_kit.view.serving import serve_results

    if export is None:
        serve_results(results, reader=reader, identify=identify, port=port)
        return
    with progress_bar() as progress:
        count = export_results(results, export, reader=reader, identify=identify, progress=progress)
    if json_:
        print_json({"results": count, "page": str(export / "index.html")})
    else:
        console.print(f"{count} results: open {export / 'index.html'}.", highlight=False)
