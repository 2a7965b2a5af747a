"""Small invented data: a bright patch is an infection, and its mask is known."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import gc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from infmap_kit.errors import MissingDependency
from infmap_kit.model.spec import Anatomy, ClassifierSpec, Encoder, NetworkSpec
from infmap_train.networks.quiet import import_tensorflow
from infmap_train.options import FitOptions
from made_once import MadeOnce

# As every command begins, and before anything computes: that is what makes runs repeatable.
with contextlib.suppress(MissingDependency):
    import_tensorflow()

PATCH = 40


@pytest.fixture(autouse=True)
def _let_go_of_networks(request: pytest.FixtureRequest) -> Iterator[None]:
    """Models hang together in circles: 24 of them, uncollected, took 13 GiB."""
    yield
    if request.node.get_closest_marker("slow"):
        gc.collect()


NETWORK = NetworkSpec.parse("unet/efficientnetlite0", encoder_frozen=True)
CLASSIFIER = ClassifierSpec(encoder=Encoder.RESNET_50)
# Small pictures and a schedule that depends on the step: a resume that forgot it would be seen.
OPTIONS = FitOptions(
    epochs=2,
    batch_size=4,
    learning_rate=1e-3,
    schedule="cosine",
    small_epochs=2,
    small_size=32,
    tone_jitter=0.1,
    flip=True,
    folds=2,
    seed=5,
    encoder_weights="none",
)
ARGUMENTS = [
    "--network=unet/efficientnetlite0",
    "--frozen",
    "--epochs=2",
    "--batch-size=4",
    "--learning-rate=1e-3",
    "--schedule=cosine",
    "--small-epochs=2",
    "--small-size=32",
    "--tone-jitter=0.1",
    "--flip",
    "--folds=2",
    "--seed=5",
    "--encoder-weights=none",
]


def write_data(folder: Path, *, covid: int, normal: int, size: int = 96) -> Path:
    """Write a folder in the plain layout, two radiographs a patient; every fifth has no lung mask."""
    rng = np.random.default_rng(7)
    lungs = np.zeros((size, size), np.uint8)
    lungs[size // 6 : -size // 6, size // 8 : 3 * size // 8] = 255
    lungs[size // 6 : -size // 6, 5 * size // 8 : -size // 8] = 255
    for name in ("images", "infection_masks", "lung_masks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    with (folder / "index.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["name", "file", "class", "group"])
        for number in range(covid + normal):
            kind = "covid" if number < covid else "normal"
            name = f"made_{kind}_{number}"
            picture = rng.integers(60, 120, (size, size)).astype(np.uint8)
            if kind == "covid":
                top, left = rng.integers(0, size - PATCH, 2)
                mask = np.zeros_like(picture)
                mask[top : top + PATCH, left : left + PATCH] = 255
                picture[mask > 0] += 100
                cv2.imwrite(str(folder / "infection_masks" / f"{name}.png"), mask)
            if number % 5:
                cv2.imwrite(str(folder / "lung_masks" / f"{name}.png"), lungs)
            cv2.imwrite(str(folder / "images" / f"{name}.png"), picture)
            writer.writerow([name, f"images/{name}.png", kind, f"patient-{kind}-{number // 2}"])
    return folder


@pytest.fixture
def made_data(tmp_path: Path) -> Callable[..., Path]:
    """Make a data folder: ``made_data(covid=4, normal=4)``."""

    def make(**options: int) -> Path:
        return write_data(tmp_path / "data", **options)

    return make


@pytest.fixture(scope="session")
def pictures(made_once: MadeOnce) -> Any:
    """Decoded invented data: 12 COVID-19 radiographs and 20 normal ones."""
    data = pytest.importorskip("infmap_train.data.dataset")
    folder = made_once("data", lambda beside: write_data(beside, covid=12, normal=20))
    return data.load(data.read_index(folder))


@pytest.fixture(scope="session")
def lung_run(pictures: Any, made_once: MadeOnce) -> Path:
    """Train a network on the lungs of the same data for an epoch, to the end; read-only."""
    fit = pytest.importorskip("infmap_train.training.fit")
    data = pytest.importorskip("infmap_train.data.dataset")
    # In 16 bits: what is reported has to be of the files all the same.
    options = dataclasses.replace(
        OPTIONS, anatomy=Anatomy.LUNGS, epochs=1, small_epochs=1, mixed_precision=True
    )
    lungs = data.load(pictures.samples, anatomy=options.anatomy)
    return made_once("lungs", lambda run: fit.fit(NETWORK, lungs, run, options))


@pytest.fixture(scope="session")
def finished_run(pictures: Any, made_once: MadeOnce) -> Path:
    """Train a network for two epochs, to the end; read-only for the tests."""
    fit = pytest.importorskip("infmap_train.training.fit")
    return made_once(
        "finished", lambda run: fit.fit(NETWORK, pictures, run, OPTIONS, data_licence="invented")
    )


@pytest.fixture(scope="session")
def classifier_run(pictures: Any, made_once: MadeOnce) -> Path:
    """Train a classifier for two epochs, to the end; read-only for the tests."""
    learn = pytest.importorskip("infmap_train.training.classify")
    return made_once(
        "classifier",
        lambda run: learn.classify(CLASSIFIER, pictures, run, OPTIONS, data_licence="invented"),
    )
