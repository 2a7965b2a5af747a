"""A small network, in NumPy, that tells whether a frontal chest is probably mirrored.

The score of a picture is the network's answer about it less its answer about its mirror image, so that
mirroring changes the score's sign and nothing else. It is above 0 where heart, aorta and stomach lie as in
most people. What it was fitted on, and how often it is wrong: docs/looks.md.
"""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from infmap_kit.imaging.looks.sampling import sampled, without_even_edges
from infmap_kit.imaging.radiograph import InputWarning, WarningCode

SEEN_PIXELS = 64
"""Height and width of what the network sees."""

WEIGHTS = Path(__file__).with_name("laterality.npz")

_SAMPLED = 128

_ONE_THREAD = 2**18
"""Multiplications of a product up to which OpenBLAS keeps to one thread (its interface/gemm.c)."""


@dataclasses.dataclass(frozen=True, eq=False)
class Laterality:
    """Networks that are asked together, and where a warning begins.

    Parameters
    ----------
    networks
        For each network its kernels, (3, 3, in, out) float32, each followed by its biases, (out,)
        float32, and at the end the weights of its one neuron, (16 * out,) float32.
    mirrored_below
        Score below which a chest is warned of.
    """

    networks: tuple[tuple[NDArray[np.float32], ...], ...]
    mirrored_below: float

    @classmethod
    def read(cls, path: Path) -> Laterality:
        """Read what ``scripts/fit_laterality.py`` wrote; nothing in it is executed."""
        with np.load(path, allow_pickle=False) as stored:
            count = int(stored["networks"])
            networks = tuple(
                tuple(
                    stored[f"{number}.{name}"].astype(np.float32)
                    for name in stored["layers"].tolist()
                )
                for number in range(count)
            )
            return cls(networks, float(stored["mirrored_below"]))

    def score(self, seen: NDArray[np.float32]) -> float:
        """Mean score of the networks for (64, 64) float32 from :func:`network_view`."""
        pair = np.stack([seen, seen[:, ::-1]])[..., np.newaxis]
        answers = np.mean([_answers(network, pair) for network in self.networks], axis=0)
        return float(answers[0] - answers[1])


def mirror_score(pixels: NDArray[np.uint8]) -> float:
    """Score of an upright chest, (H, W) uint8: above 0 the right way round, below 0 mirrored."""
    return _fitted().score(network_view(pixels))


def judge_side(view: NDArray[np.float32], *, turned_over: bool = False) -> tuple[InputWarning, ...]:
    """Warn of an upright chest that is probably mirrored.

    Parameters
    ----------
    view
        (64, 64) float32 from :func:`network_view`, of a chest; of anything else the answer means nothing.
    turned_over
        Whether the file's own orientation has mirrored it already.
    """
    score, least = _fitted().score(view), _fitted().mirrored_below
    if score >= least:
        return ()
    reason = (
        "the file's orientation, by which it was turned over, is false"
        if turned_over
        else "left and right were exchanged"
    )
    text = (
        f"the chest is possibly mirrored (score {score:.1f}, usually above 0): look whether {reason}, or the "
        "heart does lie on the right"
    )
    return (InputWarning(WarningCode.POSSIBLY_MIRRORED, text),)


def network_view(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The network's input of a picture, (H, W) uint8: (64, 64) float32 of mean 0 and deviation 1."""
    inner = without_even_edges(sampled(pixels, _SAMPLED))
    small = cv2.resize(inner, (SEEN_PIXELS, SEEN_PIXELS), interpolation=cv2.INTER_AREA)
    return standardised(small.astype(np.uint8))


def standardised(pictures: NDArray[np.uint8] | NDArray[np.float32]) -> NDArray[np.float32]:
    """Bring (..., H, W) to mean 0 and standard deviation 1, each by itself."""
    levels = pictures.astype(np.float32)
    centred = levels - levels.mean((-2, -1), keepdims=True)
    return np.asarray(centred / (centred.std((-2, -1), keepdims=True) + 1e-3), np.float32)


@functools.cache
def _fitted() -> Laterality:
    return Laterality.read(WEIGHTS)


def _answers(
    network: tuple[NDArray[np.float32], ...], pictures: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Compute a number for each of (N, 64, 64, 1): convolutions in steps of 2 with ReLU, and one neuron."""
    *layers, neuron = network
    for kernel, bias in zip(layers[::2], layers[1::2], strict=True):
        # As Keras pads for "same" where the size is even: below and on the right alone.
        count, height, width, channels = pictures.shape
        padded = np.zeros((count, height + 1, width + 1, channels), np.float32)
        padded[:, :-1, :-1] = pictures
        columns = np.concatenate(
            [padded[:, y : y + height : 2, x : x + width : 2] for y, x in np.ndindex(3, 3)], axis=-1
        )
        products = _product(
            columns.reshape(-1, columns.shape[-1]), kernel.reshape(-1, kernel.shape[-1])
        )
        pictures = np.maximum(products + bias, 0).reshape(*columns.shape[:3], -1)
    return np.asarray(pictures.reshape(len(pictures), -1) @ neuron, np.float32)


def _product(rows: NDArray[np.float32], weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Matrix product in parts that OpenBLAS computes in the calling thread.

    Spread over threads that must wait for each other, a millisecond becomes a hundred on a busy machine.
    """
    together = 1 << (max(1, _ONE_THREAD // weights.size).bit_length() - 1)
    parts = rows.reshape(-1, min(together, len(rows)), rows.shape[1])
    return np.asarray((parts @ weights).reshape(len(rows), -1), np.float32)
