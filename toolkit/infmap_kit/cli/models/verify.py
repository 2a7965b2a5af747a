"""`infmap-kit verify`."""

from __future__ import annotations

import dataclasses
import functools
import shlex
from pathlib import Path
from typing import Annotated, Optional

import typer

from infmap_kit.cli.app import (
    DEFAULT_REPORT,
    DEFAULT_REPOSITORY,
    Classifier,
    GateImages,
    Json,
    Lungs,
    Report,
    Repository,
    app,
)
from infmap_kit.cli.options import numbers
from infmap_kit.cli.sentences import same_doctor
from infmap_kit.command import console, print_json
from infmap_kit.progress import progress_bar


@app.command(
    epilog="Examples: `infmap-kit verify runs/unet --url 127.0.0.1:8001`, "
    "`infmap-kit verify runs/unet --bisect`, `infmap-kit verify runs/unet --compile --gpu 2080ti`"
)
def verify(
    origin: Annotated[
        Path,
        typer.Argument(
            metavar="RUN_OR_BUNDLE",
            help="The trained network: run folder, bundle or ONNX file; with --compile a repository, too.",
        ),
    ],
    repository: Repository = DEFAULT_REPOSITORY,
    url: Annotated[
        Optional[str],  # noqa: UP045  # Typer reads this at run time
        typer.Option(help="Verify a running server (gRPC, host:port) instead of the repository."),
    ] = None,
    bisect: Annotated[
        bool,
        typer.Option(
            "--bisect", help="Find the layers that an FP16 graph of it must keep in FP32, instead."
        ),
    ] = False,
    compile_: Annotated[
        bool,
        typer.Option(
            "--compile", help="Compile it with NVIDIA's compiler, without a GPU, instead."
        ),
    ] = False,
    gpu: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(help="For --compile: 2080ti, t4, a10, l4, sm75, ...; may be given again."),
    ] = None,
    precision: Annotated[str, typer.Option(help="For --compile: fp16 or fp32.")] = "fp16",
    batches: Annotated[str, typer.Option(help="For --compile: batch sizes.")] = "1,8,32",
    lungs: Lungs = None,
    classifier: Classifier = None,
    gate_images: GateImages = None,
    report: Report = DEFAULT_REPORT,
    json_: Json = False,
) -> None:
    """Prove that what was published, or what a server answers, is the same doctor as the trained network.

    Compares masks, detections, severities and maps over pictures, writes a report, and ends with exit code 3
    when anything is beyond the gate's bounds. --bisect says which layers a lower precision breaks; --compile
    says by node and operator what TensorRT would refuse on a GPU box.
    """
    if compile_:
        _compile(origin, lungs, gpu, precision, batches, json_=json_)
    elif bisect:
        _bisect(origin, gate_images, json_=json_)
    else:
        _gate(origin, lungs, classifier, repository, url, gate_images, report, json_=json_)


def _gate(
    path: Path,
    lungs: Path | None,
    classifier: Path | None,
    repository: Path,
    url: str | None,
    gate_images: Path | None,
    report: Path,
    *,
    json_: bool,
) -> None:
    from infmap_kit.gate.report import Evidence
    from infmap_kit.release.origin import read_origin
    from infmap_kit.release.verify import verify_repository, verify_served
    from infmap_kit.report.terminal import gate_table

    with progress_bar() as progress:
        progress("reading", 0, 1)
        origin = read_origin(path, gate_images, lungs=lungs, classifier=classifier)
        how = functools.partial(
            verify_served if url else verify_repository,
            origin.source,
            reference=origin.reference,
            pictures=origin.pictures,
            evidence=Evidence(report),
            progress=progress,
        )
        gate = how(url) if url else how(repository)
    if json_:
        print_json(gate.as_json())
    else:
        console.print(gate_table(gate))
        console.print(f"Report in {report}.")
    gate.require()
    if not json_:
        console.print(same_doctor(gate))


def _bisect(path: Path, gate_images: Path | None, *, json_: bool) -> None:
    from infmap_kit.gate.bisect import localise
    from infmap_kit.release.origin import read_origin
    from infmap_kit.report.terminal import leaving_table

    with progress_bar() as progress:
        progress("reading", 0, 1)
        origin = read_origin(path, gate_images)
        found = localise(
            origin.source.segmentation, origin.reference, origin.pictures, progress=progress
        )
    if json_:
        print_json(dataclasses.asdict(found))
        return
    if found.passes:
        console.print("The FP16 graph is the same doctor; nothing has to stay in FP32.")
        return
    console.print(leaving_table(found))
    console.print(f"It is not the same doctor: {found.reason}")
    if found.keep_fp32 is None:
        console.print("Even with every layer named above in FP32: export with --precision fp32.")
        return
    options = " ".join(f"--keep-fp32 {shlex.quote(name)}" for name in found.keep_fp32)
    console.print(f"The same doctor again with: infmap-kit export {path} {options}", soft_wrap=True)


def _compile(
    path: Path,
    lungs: Path | None,
    gpus: list[str] | None,
    precision: str,
    batches: str,
    *,
    json_: bool,
) -> None:
    from infmap_kit.release.compilation import (
        DEFAULT_GPUS,
        GateOptions,
        as_json,
        compile_graphs,
        graphs_at,
        require_passed,
    )

    options = GateOptions(
        gpus=tuple(gpus or DEFAULT_GPUS), precision=precision, batches=numbers(batches, "--batches")
    )
    with console.status("reading") as status:
        results = compile_graphs(
            graphs_at(path, lungs),
            options,
            progress=lambda label, done, total: status.update(f"{label} {done}/{total}"),
        )
    if json_:
        print_json(as_json(results))
    else:
        from infmap_kit.report.terminal import compilations_table

        console.print(compilations_table(results))
    require_passed(results)
