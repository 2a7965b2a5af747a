"""What is learnt from, watched and held back; and the epoch that early stopping hands over."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="TensorFlow is not installed")

from infmap_kit.errors import TrainingError
from infmap_kit.model.spec import NetworkSpec
from infmap_train import run_folder
from infmap_train.data import dataset as data
from infmap_train.options import FitOptions
from infmap_train.training.loop import Task, best_epoch, has_stopped, train
from infmap_train.training.losses import make_hybrid_loss
from infmap_train.training.parts import draw_parts, watched_rows
from train.conftest import NETWORK, OPTIONS

pytestmark = pytest.mark.train

WATCHING = dataclasses.replace(
    OPTIONS, validation_percent=50, early_stopping=2, epochs=5, small_epochs=5
)


def _groups(pictures: data.Pictures, rows: Any) -> set[str]:
    return {pictures.samples[row].group for row in rows}


@pytest.mark.parametrize("percent", [0, 34, 50])
def test_no_patient_is_in_two_parts_and_the_held_back_ones_stay(
    percent: int, pictures: data.Pictures
) -> None:
    options = dataclasses.replace(OPTIONS, validation_percent=percent)
    learnt, validation, held_back = parts = draw_parts(pictures, options)
    assert sorted(np.concatenate(parts)) == list(range(len(pictures.samples)))
    groups = [_groups(pictures, part) for part in parts]
    assert sum(map(len, groups)) == len(set.union(*groups)) == 16
    assert set(held_back) == set(draw_parts(pictures, OPTIONS)[2])
    assert bool(len(validation)) is (percent > 0)
    if percent:
        # Both classes are watched, and both are learnt from.
        for part in (learnt, validation):
            assert set(pictures.covid[part]) == {True, False}


def test_without_a_validation_part_what_is_watched_is_learnt_from(pictures: data.Pictures) -> None:
    learnt_rows, _, held_back = draw_parts(pictures, OPTIONS)
    learnt = pictures.take(learnt_rows)
    watched = learnt.take(watched_rows(learnt, seed=0))
    assert 0 < len(watched.samples) < len(learnt.samples)
    assert set(watched.covid) == {True, False}
    assert not {s.name for s in watched.samples} & {pictures.samples[row].name for row in held_back}
    alone = learnt.take([0])
    assert watched_rows(alone, seed=0).tolist() == [0]


def test_too_few_patients_for_a_validation_part_are_told(pictures: data.Pictures) -> None:
    options = dataclasses.replace(OPTIONS, validation_percent=5)
    with pytest.raises(TrainingError, match=r"20 patient groups.*found 3.*--validation-percent"):
        draw_parts(pictures, options)


def _history(*watched: float | None) -> list[dict[str, Any]]:
    return [{"epoch": number, "watched": value} for number, value in enumerate(watched, start=1)]


def test_the_best_epoch_is_among_those_that_can_be_compared() -> None:
    options = FitOptions(epochs=9, validation_percent=10, early_stopping=2)
    assert best_epoch(_history(0.5, 0.7, 0.7, 0.6), "watched", options) == 2
    assert has_stopped(_history(0.5, 0.7, 0.7, 0.6), "watched", options)
    assert not has_stopped(_history(0.5, 0.7, 0.7), "watched", options)
    assert best_epoch(_history(None, None), "watched", options) is None
    assert not has_stopped(_history(None, None, None), "watched", options)
    # Smaller pictures, and another loss, are easier or harder.
    small = dataclasses.replace(options, small_epochs=2)
    assert best_epoch(_history(0.9, 0.9, 0.6), "watched", small) == 3
    finer = dataclasses.replace(options, image_dice_epochs=6)
    assert best_epoch(_history(0.9, 0.9, 0.9, 0.6), "watched", finer) == 4
    assert (
        best_epoch(_history(0.9), "watched", dataclasses.replace(options, early_stopping=0)) is None
    )


def test_early_stopping_wants_something_to_watch() -> None:
    with pytest.raises(TrainingError, match="--validation-percent 10"):
        FitOptions(early_stopping=3)


@pytest.fixture
def few_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Build four layers in place of every network, whose hundreds no end of a training depends on."""
    from tensorflow.keras import Model, layers

    def build(_spec: NetworkSpec, *, image_size: int | None, **_: object) -> Any:
        pixels = layers.Input((image_size, image_size, 3))
        features = layers.Conv2D(4, 3, padding="same", use_bias=False, name="features")(pixels)
        normal = layers.BatchNormalization(name="normal")(features)
        return Model(pixels, layers.Conv2D(1, 1, activation="sigmoid", name="answer")(normal))

    monkeypatch.setattr("infmap_train.networks.classifiers.build_network", build)


@pytest.mark.usefixtures("few_layers")
def test_a_training_that_gets_worse_ends_and_hands_over_its_best_epoch(
    pictures: data.Pictures, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    weights: dict[int, list[np.ndarray]] = {}
    seen: list[set[str]] = []
    figures = iter((0.4, 0.9, 0.3, np.nan))
    killed = iter((False, False, True, False, False))

    def watch(model: Any, watched: data.Pictures, _size: int) -> dict[str, float]:
        if next(killed):
            raise KeyboardInterrupt
        weights[len(weights) + 1] = model.get_weights()
        seen.append({sample.name for sample in watched.samples})
        return {"watched_figure": next(figures)}

    loss = make_hybrid_loss()
    task = Task(
        network=NETWORK,
        loss=lambda _epoch: loss,
        watch=watch,
        best_by="watched_figure",
        evaluate=lambda _model, _pictures, _progress: ({"pixels": {"auc": float("nan")}}, {}),
    )
    with pytest.raises(KeyboardInterrupt):
        train(task, pictures, run, WATCHING)
    assert (run / "best-2.weights.h5").is_file()
    train(task, pictures, run, WATCHING)
    spec = run_folder.read(run)
    assert (spec.training["epochs_run"], spec.training["best_epoch"]) == (4, 2)
    assert spec.training["replicas"] == 1
    model, _ = run_folder.load_network(run)
    for weight, wanted in zip(model.get_weights(), weights[2], strict=True):
        np.testing.assert_array_equal(weight, wanted)
    assert not list(run.glob("best-*"))
    split = run_folder.read_split(run)
    assert seen == [set(split.validation)] * 4
    assert not set(split.validation) & {*split.train, *split.held_back}

    def refuse(name: str) -> None:
        raise AssertionError(name)

    for path in run.glob("*.json"):
        json.loads(path.read_text(), parse_constant=refuse)


def test_the_pictures_are_held_once_whatever_the_number_of_epochs() -> None:
    import tensorflow as tf

    from infmap_kit.model.spec import Encoder
    from infmap_train.data.batches import training_batches

    count = 1200
    samples = tuple(
        data.Sample(name=str(n), image=Path("x"), covid=n % 2 == 0, group=str(n))
        for n in range(count)
    )
    images, masks = (np.ones((count, 224, 224), np.uint8) for _ in range(2))
    many = data.Pictures(samples, images, masks)
    options = FitOptions(small_epochs=50, small_size=32)
    model = tf.keras.Sequential([tf.keras.layers.Conv2D(1, 1, input_shape=(None, None, 3))])
    model.compile("adam", "mse")

    def resident_mib(epoch: int) -> float:
        batches = training_batches(many, Encoder.DENSENET_121, options, epoch)
        model.fit(batches, epochs=1, verbose=0)
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20

    *_, settled, _, _, last = [resident_mib(epoch) for epoch in range(8)]
    # Copied anew it would be three times the pictures and masks. Batches' own memory comes with the first
    # epochs, on some machines as much as 60 MiB, and later too in a process that has held gigabytes.
    held_mib = (images.nbytes + masks.nbytes) / 2**20
    assert last - settled < held_mib


def test_movement_mirror_and_tone_never_share_a_key() -> None:
    from infmap_train.data.batches import augmentation_keys

    keys = [
        tuple(key.numpy().tolist())
        for epoch in range(6)
        for batch in range(6)
        for key in augmentation_keys(3, epoch, batch)
    ]
    assert len(set(keys)) == len(keys) == 6 * 6 * 3
