"""The pictures that an engine is proved on."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from infmap_kit.errors import InputRejected
from infmap_kit.imaging.files import find_pictures
from infmap_kit.imaging.network_input import network_input
from infmap_kit.imaging.readers import read_radiograph
from infmap_kit.imaging.synthetic.drawing import synthetic_radiograph
from infmap_kit.model.files import read_json
from infmap_kit.model.run_folder import GATE_IMAGES
from infmap_kit.model.spec import IMAGE_SIZE
from infmap_kit.model.typed import typed

Pictures = list[tuple[str, NDArray[np.uint8]]]
"""Name and (H, H) uint8 network input of each."""

_SYNTHETIC = 8
_PREFIX = "synthetic-"


def pictures_of(run: Path, folder: Path | None = None, image_size: int = IMAGE_SIZE) -> Pictures:
    """The pictures for an engine of a run: synthetic radiographs always, and real ones where there are.

    Parameters
    ----------
    run
        A run folder, which may name radiographs; anything else names none.
    folder
        A folder of radiographs to use instead.
    image_size
        Height and width in pixels of the network's input.

    Raises
    ------
    InputRejected
        When ``folder`` holds none, or a file in it is no suitable radiograph.
    """
    if folder is not None:
        real = radiographs_in(folder, image_size)
    else:
        real = _inputs(named_pictures(run), image_size)
    return [*real, *synthetic_pictures(image_size)]


def radiographs_in(folder: Path, image_size: int = IMAGE_SIZE) -> Pictures:
    """All radiographs of a folder, as a network's input of that size.

    Raises
    ------
    InputRejected
        When it holds none, or a file in it is no suitable radiograph.
    """
    pictures = _inputs(find_pictures([folder]), image_size)
    if not pictures:
        raise InputRejected("empty", f"expected radiographs in {folder}, found none")
    return pictures


def _inputs(files: list[Path], image_size: int) -> Pictures:
    return [(file.name, network_input(read_radiograph(file).pixels, image_size)) for file in files]


def synthetic_pictures(image_size: int = IMAGE_SIZE) -> Pictures:
    """Synthetic radiographs, every second one with an infection."""
    return [
        # A caller's own, whatever is done to it.
        (f"{_PREFIX}{seed}", network_input(pixels, image_size).copy())
        for seed, pixels in enumerate(_drawn())
    ]


def are_synthetic(names: Iterable[str]) -> bool:
    """Whether all pictures of such names are :func:`synthetic_pictures`."""
    return all(name.startswith(_PREFIX) for name in names)


@functools.cache
def _drawn() -> tuple[NDArray[np.uint8], ...]:
    """Drawn once in a process: they take longer than a small network takes to answer about them."""
    return tuple(
        synthetic_radiograph(seed, height=512, width=512, infected=seed % 2 == 0).radiograph.pixels
        for seed in range(_SYNTHETIC)
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class _GateImages:
    """``gate_images.json``: a folder, and files below it."""

    folder: str
    files: list[str]


def named_pictures(run: Path) -> list[Path]:
    """Files that a run folder names and that are here; a run that was carried elsewhere has none.

    Raises
    ------
    SpecError
        When what names them is damaged.
    """
    path = run / GATE_IMAGES
    if not path.is_file():
        return []
    where = f"{path} does not name pictures: train again, or take the file away"
    named = typed(_GateImages, read_json(path), where)
    paths = [Path(named.folder, name) for name in named.files]
    return [path for path in paths if path.is_file()]
