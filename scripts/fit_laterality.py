"""Fit the small networks that tell a mirrored chest, and measure them on patients who were held back.

    .venv/bin/python scripts/fit_laterality.py DATA ... [--output FILE] [--epochs N] [--networks N] [--seed N]

Each DATA is a folder as `infmap-train` reads it (index.csv and pictures). Patients are parted into three:
four parts of six to fit, one to choose the threshold (of these, at most 1 of 100 patients the right way round
is warned of), and one to measure. Each patient counts once, however many pictures there are. The mirror images
need no pictures of their own: mirroring changes the score's sign, so that the loss of the pictures as they are
is that of both. The file holds weights in half precision, no picture.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from infmap_kit.command import console
from infmap_kit.imaging.looks import laterality
from infmap_kit.imaging.looks.laterality import SEEN_PIXELS, Laterality, network_view, standardised
from infmap_kit.imaging.looks.sampling import sampled, without_even_edges
from infmap_kit.imaging.readers import decode_file
from infmap_kit.report.table import Table
from infmap_train.data.dataset import Sample, each_patient_once, read_index, split_by_group

keras = tf.keras
CHANNELS = (16, 32, 48, 64)
LAYERS = [
    *(f"{what}{number}" for number in range(len(CHANNELS)) for what in ("kernel", "bias")),
    "neuron",
]
LARGEST_ALARMS = 0.01
_LARGE = 128
_BATCH = 64


def read_pictures(folders: Sequence[Path]) -> tuple[list[Sample], list[NDArray[np.uint8]]]:
    """The samples of all folders, and their pixels as they are read where a model is served."""
    samples = [one for folder in folders for one in read_index(folder, to_train=False)]
    return samples, [decode_file(sample.image).pixels for sample in samples]


def changed(
    pictures: Sequence[NDArray[np.uint8]], random: np.random.Generator
) -> NDArray[np.float32]:
    """(N, 64, 64, 1) of pictures, (128, 128) uint8: turned, stretched, shifted, of other tones, partly covered.

    Covering takes away the letters R and L at the edge, which say the side without any anatomy.
    """
    drawn = np.empty((len(pictures), SEEN_PIXELS, SEEN_PIXELS), np.uint8)
    for row, picture in enumerate(pictures):
        stretch = random.uniform(0.85, 1.15, 2) * SEEN_PIXELS / _LARGE
        turn = np.deg2rad(random.normal(0, 4))
        matrix = stretch[:, None] * np.array(
            [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
        )
        shift = SEEN_PIXELS / 2 + random.normal(0, 3, 2) - matrix @ [_LARGE / 2, _LARGE / 2]
        border = cv2.BORDER_REPLICATE if random.random() < 0.5 else cv2.BORDER_CONSTANT
        seen = cv2.warpAffine(
            cv2.blur(picture, (2, 2)),
            np.column_stack([matrix, shift]),
            (SEEN_PIXELS, SEEN_PIXELS),
            borderMode=border,
        )
        tone = 255 * (np.arange(256) / 255) ** np.exp(random.normal(0, 0.3))
        seen = cv2.LUT(seen, tone.astype(np.uint8))
        for _ in range(random.integers(0, 3)):
            size = random.integers(4, 22, 2)
            x, y = random.integers(0, SEEN_PIXELS - size)
            seen[y : y + size[1], x : x + size[0]] = random.integers(0, 256)
        drawn[row] = seen
    return standardised(drawn)[..., np.newaxis]


def build() -> tuple[Any, Any]:
    """The network, and the model that gives its answer about a picture less that about its mirror image."""
    shape = (SEEN_PIXELS, SEEN_PIXELS, 1)
    layers = keras.layers
    network = keras.Sequential(
        [
            layers.Input(shape),
            *(layers.Conv2D(n, 3, 2, padding="same", activation="relu") for n in CHANNELS),
            layers.Flatten(),
            layers.Dropout(0.4),
            layers.Dense(1, use_bias=False),
        ]
    )
    seen = layers.Input(shape)
    mirrored = layers.Lambda(lambda pictures: pictures[:, :, ::-1])(seen)
    return network, keras.Model(seen, layers.Subtract()([network(seen), network(mirrored)]))


def fit_network(
    pictures: Sequence[NDArray[np.uint8]],
    *,
    epochs: int,
    seed: int,
    counted: NDArray[np.float64] | None = None,
) -> tuple[NDArray[np.float32], ...]:
    """Weights of a network that was fitted on pictures, (128, 128) uint8, the right way round.

    Each picture counts as ``counted`` says, (N,) with a mean of 1.
    """
    counted = np.ones(len(pictures)) if counted is None else counted
    keras.utils.set_random_seed(seed)
    random = np.random.default_rng(seed)
    network, model = build()
    steps = epochs * -(-len(pictures) // _BATCH)
    model.compile(
        keras.optimizers.AdamW(
            keras.optimizers.schedules.CosineDecay(2e-3, steps), weight_decay=1e-2
        ),
        # Some of the pictures may be mirrored: no answer shall be beyond doubt.
        keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=0.05),
    )
    for _ in range(epochs):
        order = random.permutation(len(pictures))
        chosen = [pictures[row] for row in order]
        model.fit(
            changed(chosen, random),
            np.ones((len(chosen), 1), np.float32),
            sample_weight=counted[order],
            batch_size=_BATCH,
            shuffle=False,
            verbose=0,
        )
    *convolutions, neuron = network.get_weights()
    # In half precision as they are stored, so that what is measured is what is shipped.
    return tuple(
        weights.astype(np.float16).astype(np.float32) for weights in (*convolutions, neuron.ravel())
    )


def main(folders: Sequence[Path], output: Path, *, epochs: int, networks: int, seed: int) -> None:
    """Fit, choose the threshold, write the file, and print what it finds among the held back."""
    samples, pixels = read_pictures(folders)
    held_back, choosing = (rows for _, rows in split_by_group(samples, folds=6, seed=0)[:2])
    aside = {*held_back.tolist(), *choosing.tolist()}
    rows_to_fit = [row for row in range(len(samples)) if row not in aside]
    large = [
        cv2.resize(without_even_edges(sampled(pixels[row], _LARGE)), (_LARGE, _LARGE))
        for row in rows_to_fit
    ]
    counted = each_patient_once([samples[row] for row in rows_to_fit])
    fitted = []
    for number in range(networks):
        fitted.append(fit_network(large, epochs=epochs, seed=seed + number, counted=counted))
        console.print(f"network {number + 1} of {networks}")
    model = Laterality(tuple(fitted), 0.0)
    parts = {"choosing the threshold": choosing, "held back": held_back}
    scores = {
        title: np.array([model.score(network_view(pixels[row])) for row in rows])
        for title, rows in parts.items()
    }
    least = threshold(
        scores["choosing the threshold"], each_patient_once([samples[row] for row in choosing])
    )
    write(dataclasses.replace(model, mirrored_below=least), output)
    for title, rows in parts.items():
        console.print(table(title, [samples[row] for row in rows], scores[title], least))


def write(model: Laterality, output: Path) -> None:
    """Write the weights in half precision, and the threshold."""
    arrays = {
        f"{number}.{name}": weights.astype(np.float16)
        for number, network in enumerate(model.networks)
        for name, weights in zip(LAYERS, network, strict=True)
    }
    np.savez_compressed(
        output,
        networks=len(model.networks),
        layers=LAYERS,
        mirrored_below=model.mirrored_below,
        **arrays,
    )


def threshold(scores: NDArray[np.float64], counted: NDArray[np.float64]) -> float:
    """The score below which at most 1 of 100 patients lies; at most 0."""
    order = np.argsort(scores)
    below = np.cumsum(counted[order]) / counted.sum()
    return min(0.0, float(scores[order][np.searchsorted(below, LARGEST_ALARMS)]))


def table(
    title: str, samples: Sequence[Sample], scores: NDArray[np.float64], least: float
) -> Table:
    """Share of mirrored pictures that are found, and of the others that are warned of, by source."""
    kinds = [kind_of(sample) for sample in samples]
    counted = each_patient_once(samples)
    rows = []
    for kind in ("all", *sorted(Counter(kinds))):
        chosen = np.array([kind in ("all", one) for one in kinds])
        patients = {sample.group for sample, there in zip(samples, chosen, strict=True) if there}
        shares = [
            f"{100 * np.average(flagged[chosen], weights=weights):.1f}"
            for weights in (None, counted[chosen])
            for flagged in (-scores < least, scores < least)
        ]
        rows.append((kind, str(chosen.sum()), str(len(patients)), *shares))
    columns = ("kind", "pictures", "patients", "mirrored found %", "false alarms %")
    each = ("found %, each patient once", "alarms %, each patient once")
    return Table(f"{title}, warned of below {least:.2f}", (*columns, *each), rows)


def kind_of(sample: Sample) -> str:
    """Its class and the beginning of its name, which says the collection in the development data."""
    return f"{sample.kind} {sample.name.split('_')[0]}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, nargs="+")
    parser.add_argument("--output", type=Path, default=laterality.WEIGHTS)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--networks", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    main(
        given.data,
        given.output,
        epochs=given.epochs,
        networks=given.networks,
        seed=given.seed,
    )
