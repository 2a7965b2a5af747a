"""Folders of synthetic radiographs: with masks, in the layout that training reads; and one patient's course."""

from __future__ import annotations

import csv
import datetime as dt
import io
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from infmap_kit.errors import InfmapError
from infmap_kit.imaging.synthetic.drawing import synthetic_radiograph
from infmap_kit.model.files import write_bytes


def write_synthetic(folder: Path, *, count: int, size: int, seed: int = 0) -> list[Path]:
    """Write radiographs, infection and lung masks, and ``index.csv``.

    Parameters
    ----------
    folder
        Where to; files of the same names are replaced.
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
    rows: list[dict[str, str]] = []
    try:
        for number in range(seed, seed + count):
            infected = (number - seed) % 2 == 0
            drawn = synthetic_radiograph(number, height=size, width=size, infected=infected)
            name = f"synthetic_{number:05d}"
            _write_png(folder / "images" / f"{name}.png", drawn.radiograph.pixels)
            _write_png(folder / "lung_masks" / f"{name}.png", drawn.lung_mask * 255)
            if infected:
                _write_png(folder / "infection_masks" / f"{name}.png", drawn.infection_mask * 255)
            rows.append(
                {
                    "name": name,
                    "file": f"images/{name}.png",
                    "class": "covid" if infected else "normal",
                    "group": name,
                }
            )
        text = io.StringIO()
        writer = csv.DictWriter(text, fieldnames=["name", "file", "class", "group"])
        writer.writeheader()
        writer.writerows(rows)
        write_bytes(folder / "index.csv", text.getvalue().encode())
    except OSError as error:
        raise InfmapError(f"cannot write to {folder}: {error.strerror}") from error
    return [folder / row["file"] for row in rows]


def write_synthetic_course(folder: Path, *, count: int, size: int, seed: int = 0) -> list[Path]:
    """Write radiographs of one chest whose infection grows and recedes, and ``times.csv``.

    Parameters
    ----------
    folder
        Where to; files of the same names are replaced.
    count
        How many; three days lie between two of them.
    size
        Height and width in pixels.
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
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(("file", "time"))
    written = []
    try:
        for number in range(count):
            # Up to the whole infection at two thirds of the way, then down again by half as much.
            way = number / max(count - 1, 1)
            extent = 0.6 + 0.4 * (way / 0.66 if way <= 0.66 else 1 - (way - 0.66) / 0.68)
            drawn = synthetic_radiograph(seed, height=size, width=size, extent=extent)
            path = folder / f"course_{seed:05d}_{number + 1:02d}.png"
            _write_png(path, drawn.radiograph.pixels)
            writer.writerow((path.name, (begin + number * dt.timedelta(days=3)).isoformat()))
            written.append(path)
        write_bytes(folder / "times.csv", text.getvalue().encode())
    except OSError as error:
        raise InfmapError(f"cannot write to {folder}: {error.strerror}") from error
    return written


def _write_png(path: Path, pixels: NDArray[np.uint8]) -> None:
    write_bytes(path, cv2.imencode(".png", pixels)[1].tobytes())
