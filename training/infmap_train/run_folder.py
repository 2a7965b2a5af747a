"""The run folder: handed to the toolkit by training, and read again by evaluation.

::

    spec.json            ModelSpec, written last: a folder without it is not finished
    model.weights.h5     FP32 weights
    finding.toml         the finding that it was trained for, where that is not COVID-19 infection
    segmentation.onnx    the network with its normalisation, gray uint8 in, probability out
    classifier.onnx      a classifier's graph, in its place: probability and activation map out
    metrics.json         figures on the held-back part
    history.csv          one row an epoch
    split.json           names of the pictures trained on, watched and held back
    gate_images.json     where held-back pictures lie that an engine is to be proved on
    plots/               history, precision and recall, Dice; no radiograph
"""

from __future__ import annotations

import dataclasses
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import infmap_kit
from infmap_kit.errors import SpecError
from infmap_kit.model.files import read_json, sha256_of, write_bytes, write_json
from infmap_kit.model.finding import FindingSpec
from infmap_kit.model.run_folder import (
    CLASSIFIER_GRAPH,
    FINDING,
    GATE_IMAGES,
    METRICS,
    SEGMENTATION_GRAPH,
    SPEC,
)
from infmap_kit.model.spec import Anatomy, ClassifierSpec, ModelSpec, NetworkSpec
from infmap_kit.model.typed import typed
from infmap_train.data.dataset import Pictures
from infmap_train.data.output import json_ready, write_csv

WEIGHTS = "model.weights.h5"
HISTORY = "history.csv"
SPLIT = "split.json"
_GATE_IMAGES_EACH = 32

_PACKAGES = ("tensorflow", "tf-keras", "segmentation-models", "tf2onnx", "onnx")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Split:
    """Names of the pictures that a run was trained on, that it held back, and that it was chosen by."""

    train: list[str]
    held_back: list[str]
    validation: list[str] = dataclasses.field(default_factory=list)


def is_finished(run: Path) -> bool:
    """Whether training came to its end in this folder."""
    return (run / SPEC).is_file()


def write(
    run: Path,
    *,
    model: Any,
    network: NetworkSpec | ClassifierSpec,
    dataset_fingerprint: str,
    training: Mapping[str, Any],
    report: Mapping[str, Any],
    history: Sequence[Mapping[str, Any]],
    draw: Callable[[Path], Sequence[Path]],
    data_licence: str = "not stated",
) -> ModelSpec:
    """Fill a run folder; every file is written beside and renamed, ``spec.json`` last.

    Parameters
    ----------
    run
        The folder.
    model
        The trained network, built with FP32 and 224x224 pixels.
    network
        Its architecture and encoder.
    dataset_fingerprint
        Fingerprint of the training data, both sides of the split.
    training
        Options that it was trained with.
    report
        Metrics on the held-back part.
    history
        One row an epoch, all with the same keys.
    draw
        Draws the plots into a folder and names them.
    data_licence
        Licence of the data that the weights were learnt from.

    Raises
    ------
    ExportError
        When the network cannot be converted to ONNX.
    """
    from infmap_train.networks.onnx_from_keras import onnx_from_classifier, onnx_from_keras

    is_classifier = isinstance(network, ClassifierSpec)
    graph = CLASSIFIER_GRAPH if is_classifier else SEGMENTATION_GRAPH
    to_onnx = onnx_from_classifier if is_classifier else onnx_from_keras
    run.mkdir(parents=True, exist_ok=True)
    # On the same disk, so that a rename is all that is left to do once everything was made.
    with tempfile.TemporaryDirectory(dir=run, prefix=".writing-") as folder:
        beside = Path(folder)
        model.save_weights(str(beside / WEIGHTS))
        to_onnx(model, network.encoder, beside / graph)
        write_json(beside / METRICS, json_ready(report))
        write_csv(beside / HISTORY, list(history[0]), (row.values() for row in history))
        drawn = draw(beside / "plots")
        names = [WEIGHTS, graph, METRICS, HISTORY, *(f"plots/{path.name}" for path in drawn)]
        (run / SPEC).unlink(missing_ok=True)
        (run / "plots").mkdir(exist_ok=True)
        for name in names:
            (beside / name).replace(run / name)
    names += [name for name in (FINDING, SPLIT, GATE_IMAGES) if (run / name).is_file()]
    files = {name: sha256_of(run / name) for name in names}
    spec = ModelSpec(
        name=f"infmap {'lungs ' if training.get('anatomy') is Anatomy.LUNGS else ''}{network.label}",
        # Two trainings of one network are two versions: the weights themselves tell them apart.
        version=files[WEIGHTS][:12],
        network=network,
        files=files,
        data_licence=data_licence,
        dataset_fingerprint=dataset_fingerprint,
        training={**training, "versions": _versions()},
        metrics=json_ready(report),
    )
    spec.write(run / SPEC)
    return spec


def write_split(run: Path, *, train: Pictures, validation: Pictures, held_back: Pictures) -> None:
    """Record by name which pictures are trained on, which are watched, and which are held back."""
    parts = {"train": train, "validation": validation, "held_back": held_back}
    write_json(
        run / SPLIT,
        {part: [sample.name for sample in of.samples] for part, of in parts.items()},
    )


def read(run: Path) -> ModelSpec:
    """Read a finished run's spec, and check every file that it names against its SHA-256.

    Raises
    ------
    SpecError
        When the run is not finished, or a file is missing or is not the one that was written.
    """
    if not is_finished(run):
        raise SpecError(
            f"{run} is not a finished run: expected {SPEC} in it; `infmap-train fit` writes it at "
            "its end"
        )
    spec = ModelSpec.read(run / SPEC)
    for name, expected in spec.files.items():
        path = run / name
        if not path.is_file():
            raise SpecError(f"{path} is missing, and {run / SPEC} names it: copy the whole folder")
        if sha256_of(path) != expected:
            raise SpecError(
                f"{path} is not the file that training wrote (its SHA-256 differs from {SPEC}): "
                "copy the run folder again"
            )
    return spec


def write_finding(run: Path, path: Path) -> None:
    """Copy the record of the finding into the run folder, once it is read without a fault.

    Raises
    ------
    SpecError
        When it cannot be read, or describes no finding.
    """
    FindingSpec.read(path)
    write_bytes(run / FINDING, path.read_bytes())


def split_rows(run: Path, pictures: Pictures) -> tuple[NDArray[np.intp], ...] | None:
    """The rows that a run learns from, watches and holds back, as recorded; ``None`` for a new run."""
    if not (run / SPLIT).is_file():
        return None
    recorded = read_split(run)
    rows = {sample.name: row for row, sample in enumerate(pictures.samples)}
    return tuple(
        np.array([rows[name] for name in part if name in rows], dtype=np.intp)
        for part in (recorded.train, recorded.validation, recorded.held_back)
    )


def write_gate_images(run: Path, held_back: Pictures) -> None:
    """Name held-back pictures, up to 32 of each class, for the toolkit's equivalence gate.

    They are spread over the whole part, so that every source of it has some.
    """
    chosen: list[Path] = []
    for covid in (True, False):
        paths = [sample.image.absolute() for sample in held_back.samples if sample.covid is covid]
        chosen += paths[:: -(-len(paths) // _GATE_IMAGES_EACH) or 1]
    folder = Path(os.path.commonpath([path.parent for path in chosen])) if chosen else run
    names = [path.relative_to(folder).as_posix() for path in chosen]
    write_json(run / GATE_IMAGES, {"folder": str(folder), "files": names})


def train_names(run: Path) -> set[str]:
    """Names of the pictures that a finished run was trained on, or chosen by.

    Raises
    ------
    SpecError
        When the run is not finished, was changed, or has no record of them.
    """
    names = seen_names(run) if SPLIT in read(run).files else None
    if names is None:
        raise SpecError(f"{run} does not say what it was trained on: expected {SPLIT} in it")
    return names


def seen_names(run: Path) -> set[str] | None:
    """Names of the pictures that a run was trained on, or chosen by; ``None`` where it has no record."""
    if not (run / SPLIT).is_file():
        return None
    recorded = read_split(run)
    return {*recorded.train, *recorded.validation}


def held_back_names(run: Path) -> set[str]:
    """Names of the pictures that a run did not train on.

    Raises
    ------
    SpecError
        When the run has no record of them.
    """
    if not (run / SPLIT).is_file():
        raise SpecError(
            f"{run} does not say which pictures it held back (it has no {SPLIT}): pass --all to take all, "
            "which flatters where it was trained on them"
        )
    return set(read_split(run).held_back)


def read_split(run: Path) -> Split:
    """Read which pictures a run was trained on.

    Raises
    ------
    SpecError
        When the file is missing or damaged.
    """
    return typed(Split, read_json(run / SPLIT), str(run / SPLIT))


def has_weights(spec: ModelSpec) -> bool:
    """Whether a run has Keras weights; one that is passed on may have its graph alone."""
    return WEIGHTS in spec.files


def load_network(run: Path) -> tuple[Any, ModelSpec]:
    """Build a finished run's network and load its weights, once the hashes are checked.

    Returns
    -------
    tuple
        The Keras model, (N, 224, 224, 3) to (N, 224, 224, 1), or of a classifier to (N, 2), and its
        spec.

    Raises
    ------
    SpecError
        When the run is damaged, or has no weights but only its graph.
    """
    from infmap_train.networks.classifiers import build

    spec = read(run)
    _require_weights(run, spec)
    model = build(spec.network)
    load_weights(model, run / WEIGHTS)
    return model, spec


def start_from(run: Path, network: NetworkSpec) -> Any:
    """Build ``network`` for pictures of any size with the weights of a finished run.

    Raises
    ------
    SpecError
        Whatever :func:`require_start` raises.
    """
    from infmap_train.networks.classifiers import build

    require_start(run, network)
    model = build(network, image_size=None)
    load_weights(model, run / WEIGHTS)
    return model


def require_start(run: Path, network: NetworkSpec) -> None:
    """Refuse a run that a training of ``network`` cannot begin with.

    Raises
    ------
    SpecError
        When the run is not finished, was changed, has no weights, or is of another network; frozen or not
        may differ, as may the anatomy.
    """
    spec = read(run)
    trained = spec.network
    if (
        not isinstance(trained, NetworkSpec)
        or dataclasses.replace(trained, encoder_frozen=network.encoder_frozen) != network
    ):
        raise SpecError(
            f"{run} holds {trained.label}, and a {network.label} cannot start from it: pass its "
            "--network"
        )
    _require_weights(run, spec)
    if SPLIT not in spec.files:
        raise SpecError(f"{run} does not say what it was trained on: expected {SPLIT} in it")


def _require_weights(run: Path, spec: ModelSpec) -> None:
    if not has_weights(spec):
        raise SpecError(
            f"{run} holds the network's graph and no {WEIGHTS}, without which nothing is trained or converted: "
            "take the run folder as training wrote it. Evaluating, calibrating and comparing need no weights"
        )


def load_weights(model: Any, path: Path) -> None:
    """Load Keras weights into a network.

    Raises
    ------
    SpecError
        When they are another network's, or not weights.
    """
    try:
        model.load_weights(str(path))
    except (ValueError, OSError, KeyError) as error:
        reason = str(error).partition("\n")[0]
        raise SpecError(f"{path} does not hold weights of this network: {reason}") from error


def _versions() -> dict[str, str]:
    versions = {"infmap-kit": infmap_kit.__version__}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:  # tensorflow-cpu and other builds go by other names
            versions[package] = "unknown"
    return versions
