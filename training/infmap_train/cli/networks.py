"""``infmap-train networks``."""

from __future__ import annotations

from infmap_kit.progress import progress_bar
from infmap_train.cli.app import AsJson, app, show, start


@app.command(epilog="Example: `infmap-train networks --json`")
def networks(as_json: AsJson = False) -> None:
    """List the paper's 24 networks and the edge network: parameters and multiplications, beside Table V."""
    start()
    from infmap_train.networks.complexity import network_rows, network_tables

    with progress_bar() as progress:
        rows = network_rows(progress=progress)
    show(rows, network_tables(rows), as_json=as_json)
