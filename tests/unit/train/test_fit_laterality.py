"""`scripts/fit_laterality.py`: what it fits, beside Keras, and that it fits the same again."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from infmap_kit.imaging.looks.laterality import Laterality, network_view
from infmap_kit.imaging.synthetic.drawing import synthetic_radiograph
from script_modules import load_script

pytestmark = pytest.mark.train


def _chest(seed: int) -> NDArray[np.uint8]:
    pixels = synthetic_radiograph(seed, height=256, width=256).radiograph.pixels
    return cv2.resize(pixels, (128, 128), interpolation=cv2.INTER_AREA).astype(np.uint8)


def test_it_computes_what_keras_computes() -> None:
    script = load_script("fit_laterality")
    script.keras.utils.set_random_seed(3)
    network, whole = script.build()
    *convolutions, neuron = network.get_weights()
    # Keras begins with biases of 0, which would hide that they are left out.
    convolutions = [
        w + np.linspace(-0.1, 0.1, w.size, dtype=w.dtype).reshape(w.shape) for w in convolutions
    ]
    network.set_weights([*convolutions, neuron])
    ours = Laterality(((*convolutions, neuron.ravel()),), 0.0)
    for seed in range(3):
        seen = network_view(_chest(seed))
        theirs = float(whole(seen[np.newaxis, ..., np.newaxis])[0, 0])
        assert ours.score(seen) == pytest.approx(theirs, abs=1e-4)


def test_a_small_fit_learns_the_side_and_comes_out_the_same_again(tmp_path: Path) -> None:
    script = load_script("fit_laterality")
    chests = [_chest(seed) for seed in range(16)]
    first, again = (script.fit_network(chests, epochs=6, seed=1) for _ in range(2))
    for one, other in zip(first, again, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-3)
    path = tmp_path / "laterality.npz"
    script.write(Laterality((first,), -0.25), path)
    model = Laterality.read(path)
    assert model.mirrored_below == -0.25
    for seed in range(100, 104):
        seen = network_view(_chest(seed))
        assert model.score(seen) > 0
        assert model.score(seen) == Laterality((first,), 0.0).score(seen)
