"""`infmap-kit export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from infmap_kit.cli.app import DEFAULT_REPOSITORY, Json, Repository, app
from infmap_kit.command import console, print_json


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
