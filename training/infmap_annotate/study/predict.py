"""Masks by trained networks, each radiograph by one that never saw it in training."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from infmap_annotate.study.candidates import add_model, check_can_join, pictures_of_stage
from infmap_annotate.study.folder import Picture, Study
from infmap_kit.errors import MissingDependency, StudyError
from infmap_kit.imaging.network_input import network_input
from infmap_kit.imaging.readers import decode
from infmap_kit.model.files import read_json
from infmap_kit.model.run_folder import SEGMENTATION_GRAPH, SPEC
from infmap_kit.model.spec import DETECTION_THRESHOLD, IMAGE_SIZE, Anatomy, ModelSpec, NetworkSpec
from infmap_kit.progress import Progress, no_progress

_MOST_NAMED = 10

Network = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""(N, 224, 224) uint8 to probabilities, (N, 224, 224) float32."""


@dataclasses.dataclass(frozen=True)
class Run:
    """A finished training, and its two sides of the data.

    Parameters
    ----------
    trained, held_back
        Names of radiographs.
    """

    folder: Path
    spec: ModelSpec
    trained: frozenset[str]
    held_back: frozenset[str]

    @classmethod
    def read(cls, folder: Path) -> Run:
        """Read a run folder.

        Raises
        ------
        SpecError
            When it is none, or not finished.
        """
        split = read_json(folder / "split.json")
        spec = ModelSpec.read(folder / SPEC)
        return cls(folder, spec, frozenset(split["train"]), frozenset(split["held_back"]))


def find_runs(paths: Sequence[Path]) -> list[Run]:
    """Read run folders, and those in folders such as cross-validation makes.

    Raises
    ------
    StudyError
        When a folder holds none, or they are of different networks, or segment something else.
    """
    folders = []
    for path in paths:
        specs = [path / SPEC] if (path / SPEC).is_file() else sorted(path.glob(f"*/{SPEC}"))
        if not specs:
            raise StudyError(
                f"{path} is no finished run, and has none in it: expected spec.json, which "
                "`infmap-train fit` writes at its end"
            )
        folders += [spec.parent for spec in specs]
    runs = [Run.read(folder) for folder in folders]
    for run in runs:
        segments = isinstance(run.spec.network, NetworkSpec)
        learnt = run.spec.anatomy if segments else "whole radiographs"
        if learnt != Anatomy.INFECTION:
            raise StudyError(
                f"expected a run that segments infection, found {learnt} in {run.folder}: name another run"
            )
    networks = {run.spec.network.label for run in runs}
    if len(networks) > 1:
        raise StudyError(
            f"expected runs of one network under one name, found {', '.join(sorted(networks))}: add each "
            "network by itself"
        )
    return runs


def assign(
    pictures: Sequence[Picture], runs: Sequence[Run], study: Study
) -> dict[Path, list[Picture]]:
    """Assign each radiograph to the run that held it back, or to the only one that knows nothing of it.

    A run knows a radiograph when it trained on it, or on another one of the same patient.

    Raises
    ------
    StudyError
        Naming the radiographs that no run may predict.
    """
    group_of = {picture.name: picture.patient_group for picture in study.pictures()}
    patients = {
        run.folder: {group_of[name] for name in run.trained & group_of.keys()} for run in runs
    }
    by_run: dict[Path, list[Picture]] = {run.folder: [] for run in runs}
    trained, unsure = [], []
    for picture in pictures:
        fit = [
            run
            for run in runs
            if picture.name not in run.trained and picture.patient_group not in patients[run.folder]
        ]
        holding = [run for run in fit if picture.name in run.held_back]
        if not fit:
            trained.append(picture.name)
        elif not holding and len(fit) > 1:
            unsure.append(picture.name)
        else:
            by_run[(holding or fit)[0].folder].append(picture)
    if trained:
        raise StudyError(
            f"{len(trained)} radiographs were trained on, or others of their patients were, by every run "
            f"given: {_listed(trained)}; a network may only predict what it has not seen: give the "
            "cross-validation's folder, with all its folds"
        )
    if unsure:
        raise StudyError(
            f"{len(unsure)} radiographs were held back by none of the {len(runs)} runs: {_listed(unsure)}; "
            "give one run, that says whose masks they become"
        )
    return {folder: given for folder, given in by_run.items() if given}


def predict_by_runs(
    study: Study,
    name: str,
    stage: int,
    paths: Sequence[Path],
    *,
    load: Callable[[Path], Network] | None = None,
    progress: Progress = no_progress,
) -> int:
    """Add masks predicted by trained runs; returns how many.

    Parameters
    ----------
    paths
        Run folders, or folders of them.
    load
        Loads a run's network; by default its graph in ONNX Runtime, which needs no TensorFlow.

    Raises
    ------
    StudyError
        When a radiograph would be predicted by a network that was trained on it, and by ``add_model``.
    SpecError, ExportError
        When a run is damaged.
    """
    check_can_join(study, name, stage)
    runs = find_runs(paths)
    assigned = assign(pictures_of_stage(study, stage), runs, study)
    load = load or _network_of
    masks: dict[int, NDArray[np.bool_]] = {}
    record = []
    for run in runs:
        pictures = assigned.get(run.folder, [])
        if not pictures:
            continue
        network = load(run.folder)
        masks |= _predicted(study, pictures, network, f"{name}, {run.folder.name}", progress)
        record.append(
            {
                "run": run.folder.name,
                "model": run.spec.name,
                "version": run.spec.version,
                "graph_sha256": run.spec.files.get(SEGMENTATION_GRAPH),
                "dataset_fingerprint": run.spec.dataset_fingerprint,
                "trained_on": len(run.trained),
                "predicted": len(pictures),
                "held_back": sum(picture.name in run.held_back for picture in pictures),
            }
        )
    add_model(study, name, stage, masks, {"made_by": "runs", "runs": record, **_HOW})
    return len(masks)


def predict_by_server(
    study: Study,
    name: str,
    stage: int,
    url: str,
    paths: Sequence[Path] = (),
    *,
    progress: Progress = no_progress,
) -> int:
    """Add masks predicted by a served engine; returns how many.

    Parameters
    ----------
    url
        ``host:port`` of its gRPC endpoint.
    paths
        The run folder that the engine was made from. It proves on which radiographs the network was
        trained; without it the study records that they are not known.

    Raises
    ------
    StudyError
        When the engine is not the run's, or the run was trained on a radiograph, and by ``add_model``.
    ServerError
        When the server cannot be reached or refuses.
    """
    from infmap_kit.triton.client import InfmapClient

    check_can_join(study, name, stage)
    pictures = pictures_of_stage(study, stage)
    runs = find_runs(paths)
    if len(runs) > 1:
        raise StudyError(f"expected the one run that is served at {url}, found {len(runs)}")
    if runs:
        assign(pictures, runs, study)
    with InfmapClient(url) as client:
        served = client.model()
        if runs and served.get("model_version") != runs[0].spec.version:
            raise StudyError(
                f"expected {url} to serve {runs[0].spec.version}, the version of {runs[0].folder}, found "
                f"{served.get('model_version')}: export that run, or leave --run out"
            )

        def ask(images: NDArray[np.uint8]) -> NDArray[np.float32]:
            return np.stack(
                [client.infer(image, outputs=["PROBABILITY"])["PROBABILITY"] for image in images]
            )

        masks = _predicted(
            study, pictures, ask, f"{name}, {url}", progress, image_size=client.image_size()
        )
    record = {
        "made_by": "a served engine",
        "served": dict(served),
        "trained_on": len(runs[0].trained) if runs else "not known",
        **_HOW,
    }
    add_model(study, name, stage, masks, record)
    return len(masks)


_HOW = {"threshold": DETECTION_THRESHOLD, "to_native_size": "probabilities, linearly"}
_BATCH = 16


def _predicted(
    study: Study,
    pictures: Sequence[Picture],
    network: Network,
    what: str,
    progress: Progress,
    *,
    image_size: int = IMAGE_SIZE,
) -> dict[int, NDArray[np.bool_]]:
    masks: dict[int, NDArray[np.bool_]] = {}
    for start in range(0, len(pictures), _BATCH):
        batch = pictures[start : start + _BATCH]
        probabilities = network(np.stack([_image(study, picture, image_size) for picture in batch]))
        for picture, probability in zip(batch, probabilities, strict=True):
            masks[picture.id] = native_mask(probability, width=picture.width, height=picture.height)
        progress(what, len(masks), len(pictures))
    return masks


def native_mask(probability: NDArray[np.float32], *, width: int, height: int) -> NDArray[np.bool_]:
    """Turn a network's probabilities into a mask of the radiograph's own size.

    The probabilities are enlarged, not the mask: its outline follows them, and has no steps.
    """
    enlarged = cv2.resize(probability, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(enlarged >= DETECTION_THRESHOLD)


def _image(study: Study, picture: Picture, image_size: int) -> NDArray[np.uint8]:
    return network_input(decode(study.read_image(picture), picture.name).pixels, image_size)


def _network_of(folder: Path) -> Network:
    """Open the run's own graph, normalisation included: written by training, published by `export`."""
    try:
        from infmap_kit.gate.engines import OnnxRuntimeEngine
        from infmap_kit.release.source import read_source
    except ImportError as error:
        raise MissingDependency(
            f"predicting needs {error.name}, which is not installed: pip install 'infmap-kit[annotate]'"
        ) from error

    return OnnxRuntimeEngine(read_source(folder).segmentation.SerializeToString()).infer


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
