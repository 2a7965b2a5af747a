"""`infmap-kit bench`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from infmap_kit.cli.app import DEFAULT_REPOSITORY, Json, Repository, app
from infmap_kit.command import console, print_json
from infmap_kit.progress import progress_bar


@app.command(epilog="Example: `infmap-kit bench chest.jpg --repository model_repository`")
def bench(
    files: Annotated[
        Optional[list[Path]],  # noqa: UP045
        typer.Argument(help="Radiographs; without any, synthetic ones of a megapixel."),
    ] = None,
    repository: Repository = DEFAULT_REPOSITORY,
    samples: Annotated[int, typer.Option(min=10, help="Measured requests in each scope.")] = 200,
    warm_up: Annotated[int, typer.Option(min=1, help="Requests before measuring.")] = 20,
    results: Annotated[
        Path, typer.Option(help="Folder for the record (JSON and Markdown).")
    ] = Path("benchmarks/results"),
    json_: Json = False,
) -> None:
    """Measure per-sample latency, batch 1, beside the paper's Table V.

    Starts its own server on free ports and measures three nested scopes: the engine alone, the served
    ensemble, and from a file's bytes to the map.
    """
    from infmap_kit.bench.measure import BenchOptions, measure
    from infmap_kit.bench.report import latency_table, write_record

    options = BenchOptions(samples=samples, warm_up=warm_up)
    with progress_bar() as progress:
        record = measure(repository, files or [], options, progress=progress)
    paths = write_record(record, results)
    if json_:
        print_json(record.as_json())
        return
    console.print(latency_table(record))
    console.print(f"Written to {' and '.join(map(str, paths))}.")
