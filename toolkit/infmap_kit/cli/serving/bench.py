"""`infmap-kit bench`: latency, the paper's Table V, and two records held against each other."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from infmap_kit.cli.app import DEFAULT_REPOSITORY, Json, Repository
from infmap_kit.cli.groups import add_group
from infmap_kit.cli.options import Given, with_options
from infmap_kit.cli.serving.served_by import Runtime, served_by
from infmap_kit.cli.targets import TARGET_OPTIONS, target_options
from infmap_kit.command import console, print_result
from infmap_kit.progress import progress_bar

DEFAULT_RESULTS = Path("benchmarks/results")
Results = Annotated[Path, typer.Option(help="Folder for the record (JSON, Markdown, CSV, HTML).")]
Tolerance = Annotated[
    float,
    typer.Option(
        min=0.1, help="Precision, in percent, to which each p50 and each ratio must be known."
    ),
]


bench = add_group(
    "bench",
    first="latency",
    about="Measure latency beside the paper's Table V.",
    epilog="Example: `infmap-kit bench chest.jpg --repository model_repository`",
)


@bench.command(epilog="Example: `infmap-kit bench chest.jpg --repository model_repository`")
def latency(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Radiographs to measure with. The default is synthetic ones of one megapixel."
        ),
    ] = None,
    repository: Repository = DEFAULT_REPOSITORY,
    samples: Annotated[
        int, typer.Option(min=10, help="Smallest number of requests in each scope.")
    ] = 200,
    warm_up: Annotated[
        int, typer.Option(min=1, help="Number of requests before the measurement begins.")
    ] = 20,
    tolerance: Tolerance = 5.0,
    budget: Annotated[
        float,
        typer.Option(
            min=1, help="Seconds after which measuring ends even if figures are not stable."
        ),
    ] = 180.0,
    baselines: Annotated[
        bool, typer.Option("--baselines", help="Measure ONNX Runtime and Keras in the same run.")
    ] = False,
    load: Annotated[
        bool, typer.Option("--load", help="Measure throughput and open-loop load as well.")
    ] = False,
    beside: Annotated[
        Path | None,
        typer.Option(
            help="Model repository of another model, whose network is measured in the same run."
        ),
    ] = None,
    runtime: Runtime = "auto",
    results: Results = DEFAULT_RESULTS,
    json_: Json = False,
) -> None:
    """Measure the latency of a single radiograph (batch 1) in nested scopes.

    The command starts its own server on free ports. The scopes are the engine alone, the served
    segmentation, the served ensemble, and the way from a file's bytes to the map. Ratios of scopes are
    shown first, because a busy host slows both sides. The exit code is 5 if a figure was not certain in
    time; the record is written all the same.
    """
    from infmap_kit.bench.load import LoadOptions
    from infmap_kit.bench.measure import BenchOptions, measure, require_settled
    from infmap_kit.bench.records.report import write_record
    from infmap_kit.bench.records.tables import latency_table, ratios_table

    options = BenchOptions(
        samples=samples,
        warm_up=warm_up,
        tolerance_percent=tolerance,
        budget_s=budget,
        baselines=baselines,
        load=LoadOptions() if load else None,
    )
    with progress_bar() as progress:
        record = measure(
            repository,
            files or [],
            options,
            beside=beside,
            serve=served_by(runtime),
            progress=progress,
        )
    paths = write_record(record, results)
    print_result(record.as_json(), ratios_table(record), latency_table(record), as_json=json_)
    console.print(f"Written to {paths[0].with_suffix('')}.{{json,md,csv,html}}.", highlight=False)
    require_settled(record)


@bench.command(epilog="Example: `infmap-kit bench compare before.json after.json`")
def compare(
    before: Annotated[Path, typer.Argument(help="Record (JSON) to compare with.")],
    after: Annotated[Path, typer.Argument(help="Later record (JSON).")],
    json_: Json = False,
) -> None:
    """Show what changed between two records by more than the noise, and what else differed."""
    from infmap_kit.bench.records.compare import changes_table, compare_records
    from infmap_kit.bench.records.record import BenchRecord

    comparison = compare_records(BenchRecord.read(before), BenchRecord.read(after))
    print_result(comparison.as_json(), changes_table(comparison), as_json=json_)


@bench.command(epilog="Example: `infmap-kit bench layers --repository model_repository`")
def layers(
    repository: Repository = DEFAULT_REPOSITORY,
    requests: Annotated[int, typer.Option(min=1, help="Number of requests to average over.")] = 100,
    json_: Json = False,
) -> None:
    """Show where the time goes inside the network, as measured by OpenVINO's profiler.

    The table lists how many layers of each kind compute in each precision, conversions and reorders
    included, and how long they take. It is available for the targets embedded and openvino.
    """
    from infmap_kit.bench.layers import layers_table, measure_layers

    found = measure_layers(repository, requests=requests)
    document = [dataclasses.asdict(layer) for layer in found]
    print_result(document, layers_table(found), as_json=json_)


@bench.command(epilog="Example: `infmap-kit bench table5 --only unet/densenet121`")
@with_options(*TARGET_OPTIONS)
def table5(
    results: Results = DEFAULT_RESULTS / "table5",
    only: Annotated[
        list[str] | None,
        typer.Option(
            help="Network as architecture/encoder; may be given several times. The default is all networks."
        ),
    ] = None,
    target: Annotated[
        str, typer.Option(help="Target to build and serve; see `export`.")
    ] = "embedded",
    precision: Annotated[
        str, typer.Option(help="Precision of the network; see `export`.")
    ] = "default",
    *,
    given: Given,
    samples: Annotated[
        int, typer.Option(min=10, help="Smallest number of requests in each scope.")
    ] = 100,
    tolerance: Tolerance = 5.0,
    budget: Annotated[
        float,
        typer.Option(
            min=1,
            help="Seconds after which measuring a network ends even if its figures are not stable.",
        ),
    ] = 90.0,
    again: Annotated[
        bool,
        typer.Option(
            "--again", help="Measure again the networks that already have a settled record."
        ),
    ] = False,
    runtime: Runtime = "auto",
    json_: Json = False,
) -> None:
    """Build, gate and time all 24 networks of the paper, and write Table V with measured columns.

    The weights are random, which does not affect latency. If a network fails, its row states the reason,
    and the others continue. A further call continues where the last one stopped, and repeats measurements
    that did not settle.
    """
    from infmap_kit.bench.measure import BenchOptions
    from infmap_kit.bench.table5.report import table5_table, write_table5
    from infmap_kit.bench.table5.run import chosen_rows, require_rows, run_table5

    options = BenchOptions(
        samples=samples, tolerance_percent=tolerance, budget_s=budget, independent=False
    )
    with progress_bar() as progress:
        outcomes = run_table5(
            chosen_rows(only or ()),
            results,
            options,
            published=target_options(target, precision, given),
            serve=served_by(runtime),
            again=again,
            progress=progress,
        )
    paths = write_table5(outcomes, results)
    document = [outcome.as_json() for outcome in outcomes]
    print_result(document, table5_table(outcomes), as_json=json_)
    console.print(f"Written to {paths[0].with_suffix('')}.{{json,md,csv,html}}.", highlight=False)
    require_rows(outcomes)
