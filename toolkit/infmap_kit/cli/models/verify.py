"""`infmap-kit verify`, `verify compile` and `verify bisect`."""

from __future__ import annotations

import dataclasses
import functools
import shlex
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
)
from infmap_kit.cli.confined import confined
from infmap_kit.cli.groups import add_group
from infmap_kit.cli.options import Given, numbers, with_options
from infmap_kit.cli.parts import SETTINGS, part_options, parts_of
from infmap_kit.cli.sentences import equivalent
from infmap_kit.command import console, print_json, print_result
from infmap_kit.model.adapter import ModelAdapter
from infmap_kit.progress import progress_bar
from infmap_kit.sandbox import SandboxLimits

verify = add_group(
    "verify",
    first="published",
    about="Prove that what was published, or what a server answers, is equivalent to the trained network.",
    epilog="Examples: `infmap-kit verify runs/unet --url 127.0.0.1:8001`, "
    "`infmap-kit verify bisect runs/unet`, `infmap-kit verify compile runs/unet --gpu 2080ti`",
)

# A search makes and compares dozens of graphs.
_SEARCH_LIMITS = SandboxLimits(time_limit_minutes=240)

Origin = Annotated[
    Path,
    typer.Argument(
        metavar="RUN_OR_BUNDLE", help="The trained network: run folder, bundle or ONNX file."
    ),
]


@verify.command(epilog="Example: `infmap-kit verify runs/unet --url 127.0.0.1:8001`")
@with_options(part_options(), ModelAdapter, SandboxLimits, leave_out=SETTINGS)
@confined("report", network="url")
def published(
    origin: Origin,
    repository: Repository = DEFAULT_REPOSITORY,
    url: Annotated[
        str | None,
        typer.Option(help="Verify a running server (gRPC, host:port) instead of the repository."),
    ] = None,
    *,
    given: Given,
    gate_images: GateImages = None,
    report: Report = DEFAULT_REPORT,
    json_: Json = False,
) -> None:
    """Compare a repository, or a running server, with the trained network.

    The command compares masks, detections, severities and maps of a set of pictures and writes a report.
    The exit code is 3 if anything exceeds the gate's bounds.
    """
    from infmap_kit.gate.report import Evidence, gate_table
    from infmap_kit.release.origin import read_origin
    from infmap_kit.release.verify import compare_repository, compare_served

    with progress_bar("reading") as progress:
        trained = read_origin(
            origin, gate_images, parts=parts_of(given), adapter=given.options(ModelAdapter)
        )
        how = functools.partial(
            compare_served if url else compare_repository,
            trained.source,
            reference=trained.reference,
            pictures=trained.pictures,
            evidence=Evidence(report),
            progress=progress,
        )
        gate = how(url) if url else how(repository)
    print_result(gate.as_json(), gate_table(gate), f"Report in {report}.", as_json=json_)
    gate.require()
    if not json_:
        console.print(equivalent(gate))


@verify.command(epilog="Example: `infmap-kit verify bisect runs/unet`")
@with_options(_SEARCH_LIMITS)
@confined(limits=_SEARCH_LIMITS)
def bisect(
    origin: Origin, gate_images: GateImages = None, *, given: Given, json_: Json = False
) -> None:
    """Find the layers that an FP16 graph of the network must keep in FP32."""
    from infmap_kit.gate.bisect import leaving_table, localise
    from infmap_kit.release.origin import read_origin

    with progress_bar("reading") as progress:
        trained = read_origin(origin, gate_images)
        located = localise(
            trained.source.segmentation,
            trained.reference,
            trained.pictures,
            finding=trained.source.finding,
            progress=progress,
        )
    if json_:
        print_json(dataclasses.asdict(located))
        return
    if located.passes:
        console.print("The FP16 graph is equivalent; nothing has to stay in FP32.")
        return
    console.print(leaving_table(located))
    console.print(f"It is not equivalent: {located.reason}")
    if located.keep_fp32 is None:
        console.print("Even with every layer named above in FP32: export with --precision fp32.")
        return
    options = " ".join(f"--keep-fp32 {shlex.quote(name)}" for name in located.keep_fp32)
    console.print(
        f"It is equivalent again with: infmap-kit export {origin} {options}", soft_wrap=True
    )


@verify.command(
    "compile",
    epilog="Example: `infmap-kit verify compile runs/unet --lungs runs/lungs --gpu 2080ti`",
)
@with_options(part_options(), SandboxLimits, leave_out=SETTINGS)
@confined()
def compile_(
    origin: Annotated[
        Path,
        typer.Argument(
            metavar="RUN_OR_REPOSITORY", help="Run folder, ONNX file or published repository."
        ),
    ],
    gpu: Annotated[
        list[str] | None,
        typer.Option(
            help="GPU to compile for, such as 2080ti, t4, a10, l4 or sm75; may be given several times."
        ),
    ] = None,
    precision: Annotated[
        str, typer.Option(help="Precision to compile: fp16, fp32 or int8.")
    ] = "fp16",
    batches: Annotated[
        str, typer.Option(help="Batch sizes to compile for, with commas between them.")
    ] = "1,8,32",
    calibration_images: Annotated[
        Path | None,
        typer.Option(
            help="Folder of radiographs from which int8 takes its ranges. The default is synthetic "
            "radiographs."
        ),
    ] = None,
    *,
    given: Given,
    json_: Json = False,
) -> None:
    """Compile every graph with NVIDIA's compiler, without a GPU.

    The command names the nodes and operators that TensorRT would refuse on a host with a GPU.
    """
    from infmap_kit.release.compilation import (
        DEFAULT_GPUS,
        GateOptions,
        as_json,
        compilations_table,
        compile_graphs,
        graphs_at,
        require_passed,
    )

    options = GateOptions(
        gpus=tuple(gpu or DEFAULT_GPUS),
        precision=precision,
        batches=numbers(batches, "--batches"),
        calibration_images=calibration_images,
    )
    with console.status("reading") as status:
        results = compile_graphs(
            graphs_at(origin, parts_of(given)),
            options,
            progress=lambda label, done, total: status.update(f"{label} {done}/{total}"),
        )
    print_result(as_json(results), compilations_table(results), as_json=json_)
    require_passed(results)
