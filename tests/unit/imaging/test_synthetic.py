"""Drawn radiographs: repeatable, plausible, and with masks that are true."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from infmap_kit.errors import InputRejected
from infmap_kit.imaging.network_input import network_input
from infmap_kit.imaging.synthetic.drawing import synthetic_radiograph

_SIZE = 256


def test_same_seed_same_picture() -> None:
    first, second, other = (synthetic_radiograph(s, height=_SIZE, width=_SIZE) for s in (3, 3, 4))
    np.testing.assert_array_equal(first.radiograph.pixels, second.radiograph.pixels)
    np.testing.assert_array_equal(first.infection_mask, second.infection_mask)
    assert (first.radiograph.pixels != other.radiograph.pixels).mean() > 0.5
    assert first.radiograph.name != other.radiograph.name


@pytest.mark.parametrize("seed", range(5))
def test_infection_is_bright_and_inside_the_lungs(seed: int) -> None:
    ill = synthetic_radiograph(seed, height=_SIZE, width=_SIZE)
    well = synthetic_radiograph(seed, height=_SIZE, width=_SIZE, infected=False)
    assert not well.infection_mask.any()
    np.testing.assert_array_equal(ill.lung_mask, well.lung_mask)
    assert set(np.unique(ill.infection_mask)) == {0, 1}
    assert not (ill.infection_mask & ~ill.lung_mask & 1).any()
    share = ill.infection_mask.sum() / ill.lung_mask.sum()
    assert 0.02 < share < 0.7
    change = ill.radiograph.pixels.astype(int) - well.radiograph.pixels
    assert change[ill.infection_mask == 1].mean() > 20
    assert np.abs(change[ill.lung_mask == 0]).mean() < 1


def test_an_infection_grows_in_the_same_chest() -> None:
    drawn = [
        synthetic_radiograph(5, height=_SIZE, width=_SIZE, extent=extent)
        for extent in (0.5, 0.7, 0.9, 1.0)
    ]
    for smaller, larger in itertools.pairwise(drawn):
        assert smaller.infection_mask.sum() < larger.infection_mask.sum()
        assert not (smaller.infection_mask & ~larger.infection_mask & 1).any(), "inside"
        np.testing.assert_array_equal(smaller.lung_mask, larger.lung_mask)
    whole = synthetic_radiograph(5, height=_SIZE, width=_SIZE)
    np.testing.assert_array_equal(whole.radiograph.pixels, drawn[-1].radiograph.pixels)


@pytest.mark.parametrize("seed", range(5))
def test_lungs_are_the_dark_part_of_the_chest(seed: int) -> None:
    well = synthetic_radiograph(seed, height=_SIZE, width=_SIZE, infected=False)
    pixels, lungs = well.radiograph.pixels, well.lung_mask == 1
    assert 0.15 < lungs.mean() < 0.45
    middle = pixels[100:220, 120:136]
    assert pixels[lungs].mean() + 60 < middle.mean()
    assert pixels.min() < 20
    assert pixels.max() > 230


@pytest.mark.parametrize(("height", "width"), [(64, 64), (224, 224), (480, 300), (300, 900)])
def test_any_size(height: int, width: int) -> None:
    drawn = synthetic_radiograph(1, height=height, width=width)
    for array in (drawn.radiograph.pixels, drawn.infection_mask, drawn.lung_mask):
        assert array.shape == (height, width)
        assert array.dtype == np.uint8
    assert drawn.infection_mask.any()


def test_sizes_show_the_same_chest() -> None:
    small, large = (
        synthetic_radiograph(6, height=size, width=size, infected=False) for size in (256, 512)
    )
    reduced = network_input(large.radiograph.pixels).astype(int)
    difference = np.abs(reduced - network_input(small.radiograph.pixels))
    assert difference.mean() < 12


def test_impossible_sizes_are_refused() -> None:
    for height, width in ((40, 300), (10**6, 10**6)):
        with pytest.raises(InputRejected):
            synthetic_radiograph(1, height=height, width=width)
