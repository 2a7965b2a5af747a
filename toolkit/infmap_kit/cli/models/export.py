"""`infmap-kit export`."""

from __future__ import annotations

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
    app,
)
from infmap_kit.cli.confined import confined
from infmap_kit.cli.options import Given, with_options
from infmap_kit.cli.parts import part_options, parts_of, settings_of
from infmap_kit.cli.sentences import print_published
from infmap_kit.cli.targets import TARGET_OPTIONS, target_options
from infmap_kit.command import console
from infmap_kit.model.adapter import ModelAdapter
from infmap_kit.model.paint import Paint
from infmap_kit.progress import progress_bar
from infmap_kit.sandbox import SandboxLimits


@app.command(
    epilog="Examples: `infmap-kit export training/demo_model --repository model_repository`, "
    "`infmap-kit export runs/unet --lungs runs/lungs --grades 0,25,50`, "
    "`infmap-kit export smp.onnx --scale 1/255 --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225 "
    "--activation sigmoid`"
)
@with_options(*TARGET_OPTIONS, part_options(), Paint, ModelAdapter, SandboxLimits)
@confined("repository", "report")
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
            help="Target to build for: auto (the one that fits this host), tensorrt (a host with a GPU), "
            "onnxruntime or openvino (Triton's own backends), embedded (the server for CPUs)."
        ),
    ] = "auto",
    precision: Annotated[
        str,
        typer.Option(
            help="Precision of the segmentation: fp32; fp16 (tensorrt, where it is the default, and "
            "onnxruntime); bf16 (openvino and embedded, on CPUs that have it); int8 (tensorrt "
            "and embedded); auto "
            "(embedded: the fastest that passes the gate here, by measurement)."
        ),
    ] = "default",
    *,
    given: Given,
    encoder: Annotated[
        str | None,
        typer.Option(
            help="Encoder of a Keras model that has no spec.json; its normalisation is added to the graph."
        ),
    ] = None,
    gate_images: GateImages = None,
    report: Report = DEFAULT_REPORT,
    json_: Json = False,
) -> None:
    """Publish a trained network as a Triton repository.

    The command writes the graphs (segmentation, detection, rendering), the ensemble `infmap` and a manifest
    with the hash of every file, and compares the engine with the trained network. If both make the same
    decisions, it replaces the repository in one step and keeps the previous release (`infmap-kit
    rollback`). Otherwise nothing is published, the exit code is 3, and a report gives the reason. With
    --lungs, severity is a percentage of the lungs, also by lung and zone. With --classifier, a classifier
    is served as well, with a map of where it looked.

    The way maps are painted is part of the release and is checked by the gate. By default a higher
    probability is more opaque; --paint paper paints as in the paper's figures.

    A network of another framework, such as an ONNX file from PyTorch, may take float pixels of 1 or 3
    channels or of another size, and answer with logits of several classes. --scale, --mean, --std,
    --activation and --size add the conversions that it needs to the graph.
    """
    from infmap_kit.release.export import export_model
    from infmap_kit.targets.candidates import candidates_table

    with progress_bar("reading") as progress:
        manifest, gate = export_model(
            source,
            repository,
            target_options(target, precision, given),
            parts=parts_of(given),
            settings=settings_of(given),
            paint=given.options(Paint),
            encoder=encoder,
            adapter=given.options(ModelAdapter),
            limits=given.options(SandboxLimits),
            gate_images=gate_images,
            report=report,
            progress=progress,
        )
    print_published(manifest, repository, gate, as_json=json_)
    if json_:
        return
    from infmap_kit.gate.pictures import are_synthetic

    if candidates := manifest.model.get("candidates"):
        console.print(candidates_table(candidates))
    for what, key in (("", "int8"), ("The lungs: ", "lung_int8")):
        if not (eight := manifest.model.get(key)):
            continue
        console.print(
            f"{what}In INT8, calibrated on {eight['calibration_pictures']} pictures; "
            f"{eight['split'] or 'no'} convolutions were split by what they join, "
            f"{len(eight['kept'] + eight['left']) or 'none'} compute in {eight['rest']}."
        )
    if "int8" in manifest.model and are_synthetic(picture.name for picture in gate.pictures):
        console.print(
            "It is proved on synthetic radiographs alone, and real ones may differ more: give "
            "--calibration-images and --gate-images.",
            style="yellow",
        )
    if halved := manifest.model.get("fp16"):
        console.print(
            f"In FP16 {halved['fp16_vanished_weights']} of {halved['fp16_weights']} weights vanish; "
            f"{len(halved['kept']) or 'no'} convolutions compute in FP32."
        )
