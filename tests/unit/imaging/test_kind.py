"""Pictures that are no chest, and chests that are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from infmap_kit.imaging.looks.chest import DOUBTFUL_BELOW, chest_likeness
from infmap_kit.imaging.looks.judging import judge_picture
from infmap_kit.imaging.looks.kind import COMPONENTS, Kind, strangeness
from infmap_kit.imaging.synthetic.drawing import synthetic_radiograph
from pictures import read_picture

CODE = "unlike-a-chest"


@pytest.mark.parametrize("seed", range(3))
def test_drawn_chests_are_not_strange_and_turned_ones_more_so(seed: int) -> None:
    pixels = synthetic_radiograph(seed, height=448, width=400).radiograph.pixels
    assert strangeness(pixels) < 1
    assert strangeness(np.rot90(pixels).copy()) > strangeness(pixels)
    assert strangeness(pixels[:, ::-1].copy()) == pytest.approx(strangeness(pixels), abs=0.1)


def test_what_resembles_the_drawing_alone_is_warned_of_as_well() -> None:
    """Two dark blocks on a bright ground: near the drawing of a chest, and near no radiograph."""
    blocks = np.full((256, 256), 220, np.uint8)
    blocks[30:180:8, 30:110] = blocks[30:180:8, 146:226] = 0
    blocks[34:180:8, 30:110] = blocks[34:180:8, 146:226] = 30
    blocks[:20, ::2] = 0
    blocks[:, :6] = blocks[:, -6:] = 0
    assert chest_likeness(blocks) > DOUBTFUL_BELOW
    assert strangeness(blocks) > 1
    assert [warning.code for warning in judge_picture(blocks)] == [CODE]


def test_components_are_orthonormal_numbers() -> None:
    with np.load(COMPONENTS, allow_pickle=False) as stored:
        assert all(stored[name].dtype.kind == "f" for name in stored.files)
    components = Kind.read(COMPONENTS).components
    products = components @ components.T
    np.testing.assert_allclose(products, np.eye(len(products)), atol=5e-3)


def test_over_real_radiographs(shared_data: Path) -> None:
    files = sorted((shared_data / "control").iterdir())[::4]
    strange = np.array([strangeness(read_picture(file, gray=True)) for file in files])
    assert len(strange) == 250
    assert (strange > 1).mean() < 0.02
