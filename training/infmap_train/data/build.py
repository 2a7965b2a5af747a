"""Compose one training set from many folders, as the paper's II-A does; nothing is deleted."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infmap_kit.errors import InputRejected, TrainingError
from infmap_kit.imaging.readers import read_radiograph
from infmap_kit.model.files import write_json, writing_to
from infmap_kit.progress import Progress, no_progress
from infmap_train.data import quality
from infmap_train.data.dataset import INFECTION_MASKS, LUNG_MASKS, Sample, load, read_index, refuse
from infmap_train.data.layouts import read_dataset, read_normals
from infmap_train.data.masks import read_mask
from infmap_train.data.output import new_folder, write_csv
from infmap_train.data.picture_files import write_gray

_INDEX = (
    *("name", "file", "class", "group", "source", "lung_mask", "original_file"),
    *(field.name for field in dataclasses.fields(quality.Quality)),
)
_PARTS = ("images", INFECTION_MASKS, LUNG_MASKS)


def build_dataset(
    datasets: Sequence[Path],
    normals: Sequence[Path],
    output: Path,
    *,
    keep_all: bool = False,
    progress: Progress = no_progress,
) -> dict[str, Any]:
    """Write a folder in the plain layout, ready to train on.

    Radiographs that repeat another (by perceptual hash), are over-exposed or of low quality, or
    cannot be read, are left out of ``index.csv`` and listed in ``left_out.csv`` with the reason.
    The folders read from are never changed.

    Parameters
    ----------
    datasets
        Folders in any layout that ``read_dataset`` knows.
    normals
        Folders of normal radiographs; DICOM too.
    output
        A new or empty folder; it appears when it is whole.
    keep_all
        Keep repeated and low-quality radiographs in the index, and list them all the same.
    progress
        Called after every radiograph.

    Returns
    -------
    dict
        The content of ``dataset.json``: counts, reasons, limits of the measures, fingerprint.

    Raises
    ------
    TrainingError
        When the output is not empty or cannot be written, or the sources have problems, all named at
        once.
    """
    if output.exists() and any(output.iterdir()):
        raise TrainingError(f"expected {output} to be new or empty: pass another folder")
    samples = [s for folder in datasets for s in read_dataset(folder)]
    samples += [s for folder in normals for s in read_normals(folder)]
    refuse(
        [
            f"no {what} radiograph among the folders: {fix}"
            for what, fix, covid in (
                ("COVID-19", "pass --data", True),
                ("normal", "pass --normal", False),
            )
            if not any(sample.covid is covid for sample in samples)
        ]
    )
    samples = _with_unique_names(samples)
    # COVID-19 first: of two that are the same picture, the one with a mask is kept.
    samples.sort(key=lambda sample: not sample.covid)
    with writing_to(output, TrainingError), new_folder(output) as beside:
        return _build(samples, beside, output=output, keep_all=keep_all, progress=progress)


def _build(
    samples: Sequence[Sample], folder: Path, *, output: Path, keep_all: bool, progress: Progress
) -> dict[str, Any]:
    for part in _PARTS:
        (folder / part).mkdir(parents=True)
    read: list[Sample] = []
    hashes: list[NDArray[np.uint8]] = []
    measured: list[quality.Quality] = []
    left_out: list[tuple[Sample, str]] = []
    for done, sample in enumerate(samples, start=1):
        progress("reading radiographs", done, len(samples))
        try:
            pixels = read_radiograph(sample.image).pixels
            _copy(sample, pixels, folder)
        except InputRejected as error:
            left_out.append((sample, str(error)))
            continue
        read.append(sample)
        hashes.append(quality.perceptual_hash(pixels))
        measured.append(quality.Quality.measure(pixels))
    if not read:
        raise TrainingError("not one radiograph could be read: " + left_out[0][1])
    pairs = quality.repeated_pictures(np.stack(hashes))
    reasons = _complaints(read, pairs, measured)
    lines = []
    for row, sample in enumerate(_with_joined_groups(read, pairs)):
        if row in reasons:
            left_out.append((sample, "; ".join(reasons[row])))
            if not keep_all:
                for part in _PARTS:
                    (folder / part / f"{sample.name}.png").unlink(missing_ok=True)
                continue
        lines.append(
            [
                sample.name,
                f"images/{sample.name}.png",
                "covid" if sample.covid else "normal",
                sample.group,
                sample.source,
                int(sample.lung_mask is not None),
                _relative(sample.image, output),
                *(round(value, 4) for value in dataclasses.astuple(measured[row])),
            ]
        )
    write_csv(folder / "index.csv", _INDEX, lines)
    listed = [(sample.name, _relative(sample.image, output), why) for sample, why in left_out]
    write_csv(folder / "left_out.csv", ("name", "original_file", "reason"), listed)
    return _record(folder, left_out)


def _record(folder: Path, left_out: Sequence[tuple[Sample, str]]) -> dict[str, Any]:
    pictures = load(read_index(folder))
    report = {
        **pictures.counts(),
        "patient_groups": len(set(pictures.groups)),
        "listed": len(left_out),
        "fingerprint": pictures.fingerprint(),
        "limits": {
            "same_picture_bits_of_255": quality.SAME_PICTURE_BITS,
            "min_side_pixels": quality.MIN_SIDE_PIXELS,
            "max_white_share": quality.MAX_WHITE_SHARE,
            "max_black_share": quality.MAX_BLACK_SHARE,
            "min_contrast_levels": quality.MIN_CONTRAST_LEVELS,
            "min_sharpness": quality.MIN_SHARPNESS,
        },
    }
    write_json(folder / "dataset.json", report)
    return report


def _complaints(
    samples: Sequence[Sample], pairs: Sequence[tuple[int, int]], measured: Sequence[quality.Quality]
) -> dict[int, list[str]]:
    """By row, what speaks against it; of pictures that are the same, nothing against the first."""
    reasons = {row: m.complaints() for row, m in enumerate(measured)}
    repeated: set[int] = set()
    for first, second in pairs:
        if first not in repeated and second not in repeated:
            repeated.add(second)
            reasons[second].append(f"the same picture as {samples[first].name}")
    return {row: why for row, why in reasons.items() if why}


def _with_joined_groups(
    samples: Sequence[Sample], pairs: Sequence[tuple[int, int]]
) -> list[Sample]:
    """Make one group of two that share a picture: it is one patient, whatever the files say."""
    groups = [sample.group for sample in samples]
    for first, second in pairs:
        group, joined = groups[first], groups[second]
        groups = [group if other == joined else other for other in groups]
    return [
        dataclasses.replace(sample, group=group)
        for sample, group in zip(samples, groups, strict=True)
    ]


def _copy(sample: Sample, pixels: NDArray[np.uint8], folder: Path) -> None:
    """Write a radiograph, and its masks, as 8-bit gray PNG at its own size; all or nothing."""
    masks = {
        kind: read_mask(path, pixels.shape)[0]
        for kind, path in ((INFECTION_MASKS, sample.infection_mask), (LUNG_MASKS, sample.lung_mask))
        if path is not None
    }
    for kind, mask in masks.items():
        write_gray(folder / kind / f"{sample.name}.png", mask)
    write_gray(folder / "images" / f"{sample.name}.png", pixels)


def _with_unique_names(samples: Sequence[Sample]) -> list[Sample]:
    seen: set[str] = set()
    unique = []
    for sample in samples:
        name, number = sample.name, 2
        while name in seen:
            name, number = f"{sample.name}-{number}", number + 1
        seen.add(name)
        # A group that was the name alone follows it: two files of one name are not one patient.
        group = name if sample.group == sample.name else sample.group
        unique.append(dataclasses.replace(sample, name=name, group=group))
    return unique


def _relative(path: Path, output: Path) -> str:
    # Relative: the record does not show whose machine it was made on.
    return os.path.relpath(path, output.parent)
