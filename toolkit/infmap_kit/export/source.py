"""What is exported: a run folder, an ONNX file, or a Keras model that is converted first."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import onnx

from infmap_kit.errors import ExportError, MissingDependency
from infmap_kit.export.onnx import prepare_segmentation, read_graph
from infmap_kit.spec import ModelSpec, sha256_of

SPEC = "spec.json"
GRAPH = "segmentation.onnx"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Source:
    """A trained network, ready to be exported.

    Parameters
    ----------
    segmentation
        Its graph, prepared to stand behind the ensemble.
    identity
        Name, version, network, provenance: goes into the manifest and into every result.
    small_graphs
        Detection and rendering by name, where they came with it; else they are made.
    """

    segmentation: onnx.ModelProto
    identity: dict[str, Any]
    small_graphs: dict[str, onnx.ModelProto] = dataclasses.field(default_factory=dict)


def read_source(path: Path, *, encoder: str | None = None) -> Source:
    """Read whatever ``export`` was given.

    Parameters
    ----------
    path
        A run folder, an ONNX file, or a Keras model.
    encoder
        Whose normalisation a Keras model wants, where no ``spec.json`` beside it says so.

    Raises
    ------
    ExportError
        When it is none of the kinds, or a file is not the one whose hash the run folder names.
    MissingDependency
        When a Keras model is given and TensorFlow is not installed.
    """
    if path.is_dir() and (path / SPEC).is_file():
        return _from_run(path)
    if path.suffix == ".onnx":
        return _from_onnx(path, {"name": path.stem, "version": "unversioned"})
    if path.suffix in (".keras", ".h5") or (path / "saved_model.pb").is_file():
        return _from_keras(path, encoder)
    if not path.exists():
        raise ExportError(f"{path} does not exist")
    raise ExportError(
        f"expected a run folder (with {SPEC}), .onnx, .keras, .h5 or a SavedModel folder, found {path}"
    )


def _from_run(run: Path) -> Source:
    spec = ModelSpec.read(run / SPEC)
    graph = run / GRAPH
    if not graph.is_file():
        raise ExportError(f"{run} has no {GRAPH}: let `infmap-train fit` end, or convert it again")
    if spec.files.get(GRAPH) != sha256_of(graph):
        raise ExportError(
            f"{graph} is not what {SPEC} names (SHA-256 differs): take the run folder whole"
        )
    return _from_onnx(graph, identity_of(spec))


def identity_of(spec: ModelSpec) -> dict[str, Any]:
    """What a manifest says of a trained model."""
    return {
        "name": spec.name,
        "version": spec.version,
        "network": dataclasses.asdict(spec.network),
        "data_licence": spec.data_licence,
        "dataset_fingerprint": spec.dataset_fingerprint,
        "metrics": spec.metrics,
    }


def _from_onnx(path: Path, identity: dict[str, Any]) -> Source:
    segmentation = prepare_segmentation(read_graph(path))
    return Source(segmentation=segmentation, identity={**identity, "onnx_sha256": sha256_of(path)})


def _from_keras(path: Path, encoder: str | None) -> Source:
    """Convert in a process of its own: TensorFlow never enters this one."""
    if importlib.util.find_spec("tensorflow") is None:
        raise MissingDependency(
            f"{path.name} is a Keras model, and TensorFlow is not installed here: export it on the training "
            "machine, or pip install 'infmap-kit[train]'"
        )
    options = ["--encoder", encoder] if encoder else []
    with tempfile.TemporaryDirectory(prefix="infmap-kit-") as scratch:
        target = Path(scratch) / GRAPH
        result = subprocess.run(  # noqa: S603  # our own module in our own interpreter
            [sys.executable, "-m", "infmap_train.convert", str(path), str(target), *options],
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode:
            reason = (result.stderr.strip().splitlines() or ["the converter gave no reason"])[-1]
            raise ExportError(reason.removeprefix("error: "))
        converted = json.loads(result.stdout.splitlines()[-1])
        source = _from_onnx(target, {"name": path.stem, "version": "unversioned"})
    source.identity["encoder"] = converted.get("encoder")
    return source
