"""The command line of infmap-kit: each command parses, calls one function, and prints.

Everything heavy is imported inside the commands, so that ``--help`` answers at once.
"""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Annotated, Optional

import typer

from infmap_kit import __version__
from infmap_kit.cli_box import deploy, serve_in_container, verify
from infmap_kit.command import console, print_json, run
from infmap_kit.errors import InfmapError, InputRejected, ServerError
from infmap_kit.progress import progress_bar

app = typer.Typer(
    name="infmap-kit",
    help="COVID-19 infection maps from chest X-rays, served by Triton.\n\n"
    "For research use, not a medical device.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)

DEFAULT_REPOSITORY = Path("model_repository")
DEFAULT_URL = "127.0.0.1:8001"

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
Repository = Annotated[
    Path, typer.Option("--repository", "-r", help="Triton model repository.", show_default=True)
]
Url = Annotated[str, typer.Option(help="The server's gRPC endpoint, host:port.")]
HttpPort = Annotated[int, typer.Option(help="Triton's HTTP port.")]
GrpcPort = Annotated[int, typer.Option(help="Triton's gRPC port.")]
MetricsPort = Annotated[int, typer.Option(help="Triton's metrics port.")]


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"infmap-kit {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    logging.basicConfig(level=logging.WARNING, format="%(message)s")


@app.command(
    epilog="Example: `infmap-kit export training/demo_model --repository model_repository`"
)
def export(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="RUN_OR_MODEL", help="Run folder, .onnx, .keras, .h5 or SavedModel."
        ),
    ],
    repository: Repository = DEFAULT_REPOSITORY,
    target: Annotated[
        str,
        typer.Option(
            help="What it is for: auto (what this host has), tensorrt (GPU box), onnxruntime, openvino "
            "(Triton's own backends), embedded (the server for CPUs)."
        ),
    ] = "auto",
    precision: Annotated[
        str,
        typer.Option(
            help="Of the segmentation: fp32; fp16 (tensorrt, where it is the default, and onnxruntime); bf16 "
            "(openvino and embedded, on CPUs that have it)."
        ),
    ] = "auto",
    batches: Annotated[
        str,
        typer.Option(help="Batch sizes that Triton's own backends are tuned and warmed up for."),
    ] = "1,8,32",
    instances: Annotated[
        int,
        typer.Option(min=1, help="Of the segmentation, side by side, on Triton's own backends."),
    ] = 1,
    cpu: Annotated[bool, typer.Option("--cpu", help="Keep onnxruntime off the GPU.")] = False,
    accelerator: Annotated[
        bool,
        typer.Option(
            "--accelerator", help="Let onnxruntime build a TensorRT engine when the server starts."
        ),
    ] = False,
    threads: Annotated[
        int, typer.Option(help="Of the embedded target's segmentation; 0 is all cores.")
    ] = 0,
    encoder: Annotated[
        Optional[str],  # noqa: UP045  # Typer reads this at run time
        typer.Option(help="Of a Keras model without spec.json: whose normalisation it wants."),
    ] = None,
    gate_images: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            help="Folder of radiographs that the engine is proved on, besides synthetic ones."
        ),
    ] = None,
    json_: Json = False,
) -> None:
    """Publish a trained network as a Triton repository.

    Writes the three graphs (segmentation, detection, rendering), the ensemble `infmap` and a manifest
    with the hash of every file, compares the engine with its reference, and replaces the repository
    in one step; when the engine decides otherwise, nothing is published (exit code 3).
    """
    from infmap_kit.export.publish import gate_pictures
    from infmap_kit.export.source import read_source
    from infmap_kit.export.target import export_options, publish, require_host
    from infmap_kit.imaging.files import find_pictures
    from infmap_kit.imaging.readers import read_radiograph

    options = export_options(
        target=target,
        precision=precision,
        threads=threads,
        batches=batches,
        instances=instances,
        cpu=cpu,
        accelerator=accelerator,
    )
    require_host(options)
    files = find_pictures([gate_images]) if gate_images else []
    with console.status("reading") as status:
        network = read_source(source, encoder=encoder)
        radiographs = [(file.name, read_radiograph(file).pixels) for file in files]
        manifest, equivalence = publish(
            network,
            repository,
            options,
            pictures=gate_pictures(radiographs),
            report=status.update,
        )
    if json_:
        import dataclasses

        print_json(
            {
                "manifest": dataclasses.asdict(manifest),
                "equivalence": dataclasses.asdict(equivalence),
            }
        )
        return
    console.print(
        f"[bold]{manifest.model['name']}[/] {manifest.model['version']} is published in {repository} "
        f"for target {manifest.target}, {manifest.precision}.\n"
        f"Same doctor as its reference over {equivalence.images} pictures: Dice {equivalence.dice:.6f}, "
        f"largest error {equivalence.largest_error:.1e}, no detection changed."
    )
    if halved := manifest.model.get("fp16"):
        console.print(
            f"In FP16 {halved['fp16_vanished_weights']} of {halved['fp16_weights']} weights vanish."
        )


@app.command(epilog="Example: `infmap-kit serve --repository model_repository`")
def serve(
    repository: Repository = DEFAULT_REPOSITORY,
    host: Annotated[
        str, typer.Option(help="Address to bind to. Triton knows no sign-in: stay on loopback.")
    ] = "127.0.0.1",
    http_port: HttpPort = 8000,
    grpc_port: GrpcPort = 8001,
    metrics_port: MetricsPort = 8002,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show the server's log.")
    ] = False,
    runtime: Annotated[
        str,
        typer.Option(
            help="auto (a tritonserver on this machine) or docker (NVIDIA's stock image)."
        ),
    ] = "auto",
    gpus: Annotated[str, typer.Option(help="Of the container: all, device=0, ...")] = "all",
    shm_mib: Annotated[int, typer.Option(help="Of the container's /dev/shm.")] = 256,
    image: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Image to run; without it the one whose TensorRT built the plans."),
    ] = None,
    print_command: Annotated[
        bool, typer.Option("--print-command", help="Show what docker would run, and run nothing.")
    ] = False,
    json_: Json = False,
) -> None:
    """Serve a repository with Triton until Ctrl-C or SIGTERM.

    Checks the hash of every file first, waits until the ensemble is ready, warms it up, and prints
    the endpoints. In a container it is confined: read-only, no root, no capabilities, loopback.
    """
    if runtime == "docker" or print_command:
        from infmap_kit.triton.server import ServerOptions

        serve_in_container(
            repository,
            ServerOptions(
                host=host, http_port=http_port, grpc_port=grpc_port, metrics_port=metrics_port
            ),
            image=image,
            gpus=gpus,
            shm_mib=shm_mib,
            print_only=print_command,
        )
        return
    if runtime != "auto":
        raise ServerError(f"expected --runtime to be one of auto, docker, found {runtime!r}")
    from infmap_kit.triton.serving import serving

    started = time.monotonic()

    def show_log(line: str) -> None:
        if verbose:
            console.print(line, markup=False, highlight=False)

    from infmap_kit.triton.server import ServerOptions, ending_on_sigterm

    options = ServerOptions(
        host=host, http_port=http_port, grpc_port=grpc_port, metrics_port=metrics_port
    )
    try:
        with ending_on_sigterm(), serving(repository, options, on_log=show_log) as server:
            endpoints = {
                "grpc": server.grpc_url,
                "http": server.http_url,
                "metrics": f"http://{host}:{metrics_port}/metrics",
            }
            if json_:
                print_json(
                    {"endpoints": endpoints, "ready_s": round(time.monotonic() - started, 2)}
                )
            else:
                console.print(f"Ready after {time.monotonic() - started:.1f} s. Ctrl-C ends it.")
                for name, url in endpoints.items():
                    console.print(f"  {name:8}{url}")
            while True:
                server.check_alive()
                time.sleep(0.5)
    except KeyboardInterrupt:
        console.print("The server has ended.")


@app.command(epilog="Example: `infmap-kit infer chest.dcm more/ --output maps`")
def infer(
    files: Annotated[
        list[Path], typer.Argument(help="PNG, JPEG, TIFF or DICOM files, and folders.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for maps and JSON.")],
    url: Url = DEFAULT_URL,
    json_: Json = False,
) -> None:
    """Make an infection map and a JSON for every radiograph.

    A file that is no suitable radiograph is rejected by name and the others go on; the exit code is 6
    when any was.
    """
    from infmap_kit.imaging.files import find_pictures
    from infmap_kit.infer import Outcome, infer_files

    pictures = find_pictures(files)
    with progress_bar() as progress:
        done = 0

        def show(outcome: Outcome) -> None:
            nonlocal done
            done += 1
            progress("radiographs", done, len(pictures))
            if outcome.rejection is not None:
                console.print(f"rejected  {outcome.rejection}", markup=False, highlight=False)

        outcomes = infer_files(pictures, output, url=url, on_outcome=show)
    rejected = [outcome for outcome in outcomes if outcome.rejection is not None]
    if json_:
        print_json([outcome.as_json() for outcome in outcomes])
    else:
        from infmap_kit.tables import findings_table

        console.print(findings_table(outcomes))
        console.print(f"Maps and JSON are in {output}.")
    if rejected:
        raise InputRejected(
            "rejected",
            f"{len(rejected)} of {len(outcomes)} files were rejected; the others are done",
        )


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


@app.command(
    epilog="Example: `infmap-kit runtime`, or `infmap-kit runtime --wheel FILE` without internet"
)
def runtime(
    wheel: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="The nvidia-pytriton wheel as a file, for a box without internet."),
    ] = None,
) -> None:
    """Bring the Triton server for machines without a GPU (55 MB, once)."""
    from infmap_kit.triton.runtime import TRITON_VERSION, install_runtime

    with console.status("bringing the Triton server"):
        folder = install_runtime(wheel)
    console.print(f"Triton {TRITON_VERSION} for CPUs is in {folder}")


@app.command(epilog="Example: `infmap-kit synthesize --output pictures --count 4`")
def synthesize(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the pictures.")],
    count: Annotated[
        int, typer.Option(min=1, help="How many; every second one shows infection.")
    ] = 4,
    size: Annotated[int, typer.Option(min=64, help="Height and width in pixels.")] = 1024,
    seed: Annotated[int, typer.Option(help="Of the first picture.")] = 0,
) -> None:
    """Make synthetic radiographs with known infection masks, for whoever has no data yet."""
    from infmap_kit.imaging.synthetic_set import write_synthetic

    write_synthetic(output, count=count, size=size, seed=seed)
    console.print(f"{count} synthetic radiographs, with masks and index.csv, are in {output}.")


app.command(
    epilog="Example: `infmap-kit verify --compile runs/unet --gpu 2080ti`",
)(verify)
app.add_typer(deploy, name="deploy")


def main() -> None:
    """Entry point of ``infmap-kit``."""
    run(app)


__all__ = ["InfmapError", "app", "main"]
