"""`infmap-kit export`: from a trained network to a published Triton repository."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from infmap_kit.export.engine import EmbeddedEngine, ReferenceEngine, require_cpu_precision
from infmap_kit.export.gate import Equivalence, compare
from infmap_kit.export.source import Source
from infmap_kit.graphs.contract import DETECTION, ENSEMBLE, PIPELINE, RENDERING, SEGMENTATION
from infmap_kit.graphs.detection import detection_graph
from infmap_kit.graphs.rendering import rendering_graph
from infmap_kit.imaging.colour import jet_table
from infmap_kit.imaging.network_input import network_input
from infmap_kit.imaging.synthetic import synthetic_radiograph
from infmap_kit.triton import runner
from infmap_kit.triton.config import (
    VERSION,
    EmbeddedOptions,
    Target,
    config_text,
    embedded_configs,
    graph_file,
    openvino_precision,
    segmentation_file,
)
from infmap_kit.triton.repository import Manifest, publishing, versions, write_manifest

_SYNTHETIC_GATE_IMAGES = 8


def gate_pictures(
    radiographs: list[tuple[str, NDArray[np.uint8]]],
) -> list[tuple[str, NDArray[np.uint8]]]:
    """What an engine is proved on: the given radiographs, and synthetic ones that are always there.

    Parameters
    ----------
    radiographs
        Name and (H, W) uint8 pixels.
    """
    synthetic = [
        (
            f"synthetic-{seed}",
            synthetic_radiograph(
                seed, height=512, width=512, infected=seed % 2 == 0
            ).radiograph.pixels,
        )
        for seed in range(_SYNTHETIC_GATE_IMAGES)
    ]
    return [(name, network_input(pixels)) for name, pixels in [*radiographs, *synthetic]]


def export_embedded(
    source: Source,
    repository: Path,
    options: EmbeddedOptions,
    *,
    pictures: list[tuple[str, NDArray[np.uint8]]],
    report: Callable[[str], None] = lambda _: None,
) -> tuple[Manifest, Equivalence]:
    """Publish a network for the server on CPUs, once it is proved to decide as its reference.

    Parameters
    ----------
    source
        The network.
    repository
        Where to publish; what was there is replaced in one step, or stays.
    options
        Precision and threads.
    pictures
        Name and (224, 224) uint8 network input of what the engine is proved on.
    report
        Told each step in a few words.

    Returns
    -------
    tuple
        What was published, and how close the engine is to its reference.

    Raises
    ------
    GateFailed
        When the engine decides otherwise; the repository is as it was.
    HostMismatch
        When this CPU cannot compute in that precision.
    """
    require_cpu_precision(options.precision)
    with publishing(repository) as folder:
        report("writing graphs and configs")
        write_pipeline(folder, source)
        engine = EmbeddedEngine(
            folder / PIPELINE.name / str(VERSION) / segmentation_file(options.precision),
            precision=openvino_precision(options.precision),
            threads=options.threads,
        )
        report(f"comparing with the reference over {len(pictures)} pictures")
        equivalence = compare(
            ReferenceEngine(source.segmentation.SerializeToString()), engine, pictures
        )
        equivalence.require()
        identity = serving_identity(source, target=Target.EMBEDDED, precision=options.precision)
        for name, config in embedded_configs(options, identity).items():
            (folder / name / "config.pbtxt").write_text(config_text(config), encoding="utf-8")
        report("publishing")
        manifest = write_manifest(
            folder,
            target=Target.EMBEDDED,
            precision=options.precision,
            model={**source.identity, "convolutions_by_type": engine.precisions()},
            built_with=versions("openvino", "onnx", "onnxruntime", "numpy"),
        )
    return manifest, equivalence


def serving_identity(source: Source, *, target: str, precision: str) -> dict[str, str]:
    """What a server says of its model: parameters of the ensemble's config, part of every result."""
    network: dict[str, Any] = source.identity.get("network", {})
    return {
        "model_name": source.identity["name"],
        "model_version": source.identity["version"],
        "network": f"{network['architecture']} {network['encoder']}" if network else "unknown",
        "onnx_sha256": source.identity["onnx_sha256"],
        "target": target,
        "precision": precision,
    }


def graphs_of(source: Source) -> dict[str, onnx.ModelProto]:
    """The three graphs behind the ensemble, by name."""
    return {
        SEGMENTATION.name: source.segmentation,
        DETECTION.name: detection_graph(),
        RENDERING.name: rendering_graph(jet_table()),
    }


def write_pipeline(folder: Path, source: Source) -> None:
    """Write the three graphs and their runner into one version folder, and the ensemble's empty one."""
    version = folder / PIPELINE.name / str(VERSION)
    version.mkdir(parents=True)
    for name, graph in graphs_of(source).items():
        (version / graph_file(name)).write_bytes(graph.SerializeToString(deterministic=True))
    shutil.copyfile(runner.__file__, version / "model.py")
    write_ensemble(folder)


def write_model(folder: Path, name: str, file: str, content: bytes) -> None:
    """Write what a model's version folder holds."""
    version = folder / name / str(VERSION)
    version.mkdir(parents=True)
    (version / file).write_bytes(content)


def write_ensemble(folder: Path) -> None:
    """Make the ensemble's version folder."""
    ensemble = folder / ENSEMBLE.name / str(VERSION)
    ensemble.mkdir(parents=True)
    # Object stores know no empty folders, and Triton wants one for each version.
    (ensemble / "README.txt").write_text("An ensemble has no file of its own.\n", encoding="utf-8")
