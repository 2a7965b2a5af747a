"""Results for `infmap-kit view`, as `infer --format png,json,view` writes them of answers that are made up."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import uvicorn
from numpy.typing import NDArray

from dicom_files import as_file, chest_dataset, drawn_chest
from findings import MODEL, with_lungs
from findings import probability as two_regions
from infmap_kit.answer.classifier import ClassifierAnswer
from infmap_kit.errors import InputRejected
from infmap_kit.gate.engines import OnnxRuntimeEngine
from infmap_kit.graphs.rendering import rendering_graph
from infmap_kit.imaging.colour import encode_png
from infmap_kit.imaging.readers import read_radiograph
from infmap_kit.imaging.synthetic.drawing import synthetic_radiograph
from infmap_kit.model.paint import Paint
from infmap_kit.results.folder import ResultOptions, ResultsFolder, SourceFile
from infmap_kit.view.app import make_app
from infmap_kit.view.gallery import Gallery
from infmap_kit.view.opinions import Opinions
from infmap_kit.web.listener import listen, quiet_config, url_of
from patience import PATIENCE_S

HOSTILE = "<img src=x onerror=alert(1)>&\"'"
"""A name that a file may have, and that must stay a text."""

TOKEN = "a-token-of-the-tests"  # noqa: S105


@functools.cache
def field(seed: int) -> NDArray[np.float32]:
    """(224, 224) float32 in [0, 1]: smooth, with values all around 0.5."""
    coarse = np.random.default_rng(seed).random((9, 9)).astype(np.float32)
    smooth = cv2.resize(coarse, (224, 224), interpolation=cv2.INTER_CUBIC)
    probability: NDArray[np.float32] = np.clip(smooth * 1.1 - 0.1, 0, 1).astype(np.float32)
    return probability


@functools.cache
def drawn_lungs(seed: int) -> NDArray[np.uint8]:
    """(224, 224) uint8, 0 or 1: the lungs of one of five synthetic radiographs."""
    return synthetic_radiograph(seed % 5, height=224, width=224).lung_mask


def write_dicom(
    path: Path, *, size: tuple[int, int], seed: int = 5, date: str = "20260301"
) -> None:
    """A radiograph with a window and a pixel spacing."""
    tags = {
        "StudyDate": date,
        "PixelSpacing": [0.4, 0.4],
        "WindowCenter": 1800,
        "WindowWidth": 2600,
    }
    path.write_bytes(as_file(chest_dataset(drawn_chest(*size, seed=seed), **tags)))


def write_pictures(folder: Path, *, size: tuple[int, int] = (400, 360)) -> list[Path]:
    """Files as a user has them: two PNG, one with a hostile name, two DICOM of one patient, one no chest."""
    folder.mkdir()
    height, width = size
    drawn = [
        synthetic_radiograph(seed, height=height, width=width).radiograph.pixels for seed in (1, 2)
    ]
    paths = [folder / "chest_1.png", folder / f"{HOSTILE}.png"]
    for path, pixels in zip(paths, drawn, strict=True):
        path.write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
    for number, date in enumerate(("20260301", "20260309")):
        paths.append(folder / f"chest_{number}.dcm")
        write_dicom(paths[-1], size=size, seed=5 + number, date=date)
    paths.append(folder / "notes.txt")
    paths[-1].write_text("no radiograph")
    return paths


def write_results(
    folder: Path,
    pictures: list[Path],
    *,
    formats: tuple[str, ...] = ("png", "json", "view"),
    identify: bool = True,
    classifier: float = 0.2,
    probability: NDArray[np.float32] | None = None,
) -> list[dict[str, Any]]:
    """Results of files, with answers that are made up of ``field(number)`` or given; their JSON documents."""
    options = ResultOptions(formats=formats, identify=identify)
    results = ResultsFolder(folder, options, files=pictures)
    documents = []
    for number, path in enumerate(pictures):
        named = results.named(SourceFile.of(path, path.read_bytes()))
        try:
            radiograph = read_radiograph(path)
        except InputRejected as rejection:
            results.write_rejection(named, rejection)
            continue
        made = field(number) if probability is None else probability
        answer = with_lungs(radiograph, probability=made, lungs=drawn_lungs(number))
        detected = bool((answer.probability >= 0.5).any())
        parts = {**answer.parts, "classifier": ClassifierAnswer(probability=classifier)}
        answer = dataclasses.replace(answer, detected=detected, parts=parts)
        documents.append(results.write_finding(named, radiograph, answer).document)
    return documents


def write_painted(folder: Path, paints: list[Paint]) -> dict[str, NDArray[np.uint8]]:
    """A result of a model of each paint in ``out``; by source the map that its graph served, (400, 360, 3)."""
    (first,) = write_pictures(folder / "in")[:1]
    pixels = read_radiograph(first).pixels
    files = [first.with_name(f"chest_{number}.png") for number in range(len(paints))]
    for file in files:
        file.write_bytes(first.read_bytes())
    served = {}
    documents = write_results(folder / "out", files)
    for number, (paint, document) in enumerate(zip(paints, documents, strict=True)):
        engine = OnnxRuntimeEngine(rendering_graph(paint).SerializeToString())
        inputs: dict[str, NDArray[Any]] = {
            "probability": field(number)[np.newaxis],
            "CANVAS": pixels[np.newaxis],
        }
        if paint.in_lungs:
            inputs["lung_probability"] = drawn_lungs(number)[np.newaxis].astype(np.float32)
        (map_,) = engine.run(inputs, ["INFECTION_MAP"])["INFECTION_MAP"]
        served[document["source"]] = map_
        stem = Path(document["source"]).stem
        (folder / "out" / f"{stem}.infection_map.png").write_bytes(encode_png(map_))
        stated = {**document, "model": {**document["model"], **paint.as_parameters()}}
        (folder / "out" / f"{stem}.json").write_text(json.dumps(stated))
    return served


def write_many(folder: Path, count: int) -> None:
    """So many results with small maps, quickly: what a gallery has to cope with."""
    folder.mkdir()
    field_ = two_regions()
    small = cv2.applyColorMap((field_ * 255).astype(np.uint8), cv2.COLORMAP_JET)
    maps = [cv2.imencode(".png", np.roll(small, 5 * n, axis=1))[1].tobytes() for n in range(20)]
    for number in range(count):
        stem = f"chest_{number:05d}"
        document = {
            "source": f"{stem}.png", "height": 224, "width": 224, "notes": [], "detected": number % 3 > 0,
            "warnings": [{"code": "crop", "text": "a crop"}] if number % 7 == 0 else [],
            "infection_map": f"{stem}.infection_map.png", "probability_max": (number % 100) / 100,
            "severity_percent": (number * 37 % 1000) / 10, "severity_of": "image", "model": MODEL,
        }  # fmt: skip
        (folder / f"{stem}.json").write_text(json.dumps(document))
        (folder / f"{stem}.infection_map.png").write_bytes(maps[number % 20])


@contextlib.contextmanager
def shown(folder: Path, reader: str = "anna", *, identify: bool = False) -> Iterator[str]:
    """Serve results while the block lasts; gives the address with its token."""
    from infmap_kit.errors import ViewError

    gallery = Gallery(folder, identify=identify)
    listener = listen("127.0.0.1", 0, error=ViewError)
    app = make_app(gallery, Opinions(gallery, reader), token=TOKEN)
    server = uvicorn.Server(quiet_config(app))
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    try:
        yield f"{url_of(listener)}?token={TOKEN}"
    finally:
        server.should_exit = server.force_exit = True
        thread.join(timeout=PATIENCE_S)
