"""Folders of synthetic radiographs: with masks, in the layout that training reads; and one patient's course."""

from __future__ import annotations

import csv
import datetime as dt
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from infmap_kit.imaging.synthetic.drawing import synthetic_radiograph
from infmap_kit.model.files import write_bytes, writing_to


def write_synthetic(folder: Path, *, count: int, size: int, seed: int = 0) -> list[Path]:
    """Write radiographs, infection and lung masks, and ``index.csv``.

    Parameters
    ----------
    folder
        Folder to write to; files of the same names are replaced.
    count
        How many; every second one shows infection.
    size
        Height and width in pixels.
    seed
        Seed of the first one.

    Returns
    -------
    list
        The radiographs.

    Raises
    ------
    InfmapError
        When the folder cannot be written.
    """
    rows: list[tuple[str, ...]] = [("name", "file", "class", "group")]
    with writing_to(folder):
        for number in range(seed, seed + count):
            infected = (number - seed) % 2 == 0
            drawn = synthetic_radiograph(number, height=size, width=size, infected=infected)
            name = f"synthetic_{number:05d}"
            _write_png(folder / "images" / f"{name}.png", drawn.radiograph.pixels)
            _write_png(folder / "lung_masks" / f"{name}.png", drawn.lung_mask * 255)
            if infected:
                _write_png(folder / "infection_masks" / f"{name}.png", drawn.infection_mask * 255)
            rows.append((name, f"images/{name}.png", "covid" if infected else "normal", name))
        _write_csv(folder / "index.csv", rows)
    return [folder / file for _, file, *_ in rows[1:]]


def write_synthetic_course(folder: Path, *, count: int, size: int, seed: int = 0) -> list[Path]:
    """Write radiographs of one chest whose infection grows and recedes, and ``times.csv``.

    Parameters
    ----------
    folder, size
        As for :func:`write_synthetic`.
    count
        How many; three days lie between two of them.
    seed
        Seed of the chest.

    Returns
    -------
    list
        The radiographs, in order of time.

    Raises
    ------
    InfmapError
        When the folder cannot be written.
    """
    begin = dt.datetime(2026, 1, 5, 9, 30)  # noqa: DTZ001  # as a hospital's wall clock says it
    rows = [("file", "time")]
    with writing_to(folder):
        for number in range(count):
            # Up to the whole infection at two thirds of the way, then down again by half as much.
            way = number / max(count - 1, 1)
            extent = 0.6 + 0.4 * (way / 0.66 if way <= 0.66 else 1 - (way - 0.66) / 0.68)
            drawn = synthetic_radiograph(seed, height=size, width=size, extent=extent)
            name = f"course_{seed:05d}_{number + 1:02d}.png"
            _write_png(folder / name, drawn.radiograph.pixels)
            rows.append((name, (begin + number * dt.timedelta(days=3)).isoformat()))
        _write_csv(folder / "times.csv", rows)
    return [folder / name for name, _ in rows[1:]]


def _write_csv(path: Path, rows: Iterable[Sequence[str]]) -> None:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    write_bytes(path, text.getvalue().encode())


def _write_png(path: Path, pixels: NDArray[np.uint8]) -> None:
    write_bytes(path, cv2.imencode(".png", pixels)[1].tobytes())
