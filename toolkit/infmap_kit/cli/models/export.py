"""`infmap-kit export`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Optional

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
from infmap_kit.cli.options import Given, with_options
from infmap_kit.cli.parts import part_options, parts_of, settings_of
from infmap_kit.cli.sentences import equivalent, published
from infmap_kit.command import console, print_json
from infmap_kit.progress import progress_bar


@app.command(
    epilog="Examples: `infmap-kit export training/demo_model --repository model_repository`, "
    "`infmap-kit export runs/unet --lungs runs/lungs --grades 0,25,50`"
)
@with_options(part_options())
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
            "(openvino and embedded, on CPUs that have it); int8 (embedded); auto (embedded: the fastest that "
            "passes the gate here, by measurement)."
        ),
    ] = "default",
    batches: Annotated[
        str,
        typer.Option(help="Batch sizes that Triton's own backends are tuned and warmed up for."),
    ] = "1,8,32",
    instances: Annotated[
        int,
        typer.Option(min=1, help="Of the segmentation, side by side; `tune` finds how many."),
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
    keep_fp32: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            help="Node of the FP16 segmentation to compute in FP32; may be given again. `verify bisect` "
            "names them."
        ),
    ] = None,
    *,
    given: Given,
    gate_images: GateImages = None,
    calibration_images: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            help="Folder of radiographs that int8 takes its ranges from; without it, those of the gate."
        ),
    ] = None,
    report: Report = DEFAULT_REPORT,
    json_: Json = False,
) -> None:
    """Publish a trained network as a Triton repository.

    Writes the graphs (segmentation, detection, rendering), the ensemble `infmap` and a manifest
    with the hash of every file, compares the engine with its reference, and replaces the repository
    in one step, keeping what was there (`infmap-kit rollback`). When the engine decides otherwise, nothing is
    published (exit code 3), and a report says why. With --lungs, severity is of the lungs, by lung and zone;
    with --classifier, a second opinion is served beside, with a map of where it looked.
    """
    from infmap_kit.gate.pictures import pictures_of, radiographs_in
    from infmap_kit.gate.report import Evidence
    from infmap_kit.release.source import read_source, with_parts
    from infmap_kit.report.terminal import candidates_table
    from infmap_kit.targets.registry import export_options, publish, require_host

    options = export_options(
        target=target,
        precision=precision,
        threads=threads,
        batches=batches,
        instances=instances,
        cpu=cpu,
        accelerator=accelerator,
        keep_fp32=tuple(keep_fp32 or ()),
    )
    require_host(options)
    with progress_bar() as progress:
        progress("reading", 0, 1)
        network = with_parts(
            read_source(source, encoder=encoder), parts_of(given), settings_of(given)
        )
        manifest, gate = publish(
            network,
            repository,
            options,
            pictures=pictures_of(source, gate_images),
            calibration=radiographs_in(calibration_images) if calibration_images else None,
            evidence=Evidence(report),
            progress=progress,
        )
    if json_:
        print_json({"manifest": dataclasses.asdict(manifest), "gate": gate.as_json()})
        return
    console.print(published(manifest, repository))
    console.print(equivalent(gate))
    if candidates := manifest.model.get("candidates"):
        console.print(candidates_table(candidates))
    for what, key in (("", "int8"), ("The lungs: ", "lung_int8")):
        if not (eight := manifest.model.get(key)):
            continue
        console.print(
            f"{what}In INT8, calibrated on {eight['calibration_pictures']} pictures; "
            f"{eight['split'] or 'no'} convolutions were split by what they join, "
            f"{len(eight['kept']) or 'none'} kept as they were, in {eight['rest']}."
        )
    if halved := manifest.model.get("fp16"):
        console.print(
            f"In FP16 {halved['fp16_vanished_weights']} of {halved['fp16_weights']} weights vanish."
        )
