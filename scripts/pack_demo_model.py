"""Make a committed demo model from a run folder: FP16 weights in the file, FP32 in the arithmetic.

    .venv/bin/python scripts/pack_demo_model.py RUN DATA training/demo_model
    .venv/bin/python scripts/pack_demo_model.py LUNG_RUN DATA training/demo_lungs

A temperature, a familiarity, a detection score and the noise of the severity go along where the run has them.
The figures that it records are measured anew, on the packed graph itself and the run's held-back part, in
ONNX Runtime.
"""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import numpy as np

from infmap_kit.gate.engines import OnnxRuntimeEngine
from infmap_kit.graphs.precision.half_weights import halve_weights
from infmap_kit.graphs.preparation import prepare_segmentation, read_graph
from infmap_kit.model.files import sha256_of, write_bytes, write_json
from infmap_kit.model.run_folder import (
    CALIBRATION,
    DETECTION_SCORE,
    DETECTION_SCORE_GRAPH,
    FAMILIARITY,
    FAMILIARITY_GRAPH,
    METRICS,
    SEGMENTATION_GRAPH,
    SEVERITY_NOISE,
    SPEC,
)
from infmap_kit.model.spec import Anatomy
from infmap_train import run_folder
from infmap_train.data.dataset import load, read_index
from infmap_train.data.output import json_ready
from infmap_train.evaluation.evaluate import figures_of


def main(run: Path, data: Path, target: Path) -> None:
    """Pack ``run``, measure it, and write graph, metrics and spec."""
    spec = run_folder.read(run)
    graph = read_graph(run / SEGMENTATION_GRAPH)
    print(halve_weights(graph))
    held_back = run_folder.held_back_names(run)
    pictures = load(
        [sample for sample in read_index(data) if sample.name in held_back],
        anatomy=Anatomy(spec.anatomy),
    )
    content = graph.SerializeToString(deterministic=True)
    engine = OnnxRuntimeEngine(prepare_segmentation(graph).SerializeToString())
    probability = np.concatenate([engine.infer(image[np.newaxis]) for image in pictures.images])
    report = json_ready(figures_of(pictures, probability))
    write_bytes(target / SEGMENTATION_GRAPH, content)
    write_json(target / METRICS, report)
    write_bytes(target / run_folder.HISTORY, (run / run_folder.HISTORY).read_bytes())
    names = [SEGMENTATION_GRAPH, METRICS, run_folder.HISTORY]
    for name in (
        *(CALIBRATION, FAMILIARITY, FAMILIARITY_GRAPH),
        *(DETECTION_SCORE, DETECTION_SCORE_GRAPH, SEVERITY_NOISE),
    ):
        if (run / name).is_file():
            write_bytes(target / name, (run / name).read_bytes())
            names.append(name)
    packed = dataclasses.replace(
        spec,
        files={name: sha256_of(target / name) for name in names},
        training={**spec.training, "weights": "stored in FP16, computed in FP32"},
        metrics=report,
    )
    packed.write(target / SPEC)
    print(f"{(target / SEGMENTATION_GRAPH).stat().st_size / 2**20:.1f} MiB")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
