"""Compose one training set from many folders, as the paper's II-A does; nothing is deleted."""

from __future__ import annotations

import dataclasses
import os
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infmap_kit.errors import InputRejected, TrainingError
from infmap_kit.imaging.readers import read_radiograph
from infmap_kit.model.files import require_new_folder, write_json, writing_to
from infmap_kit.progress import Progress, no_progress
from infmap_train.data import quality
from infmap_train.data.dataset import (
    COVID,
    DETAILS,
    INFECTION_MASKS,
    LUNG_MASKS,
    NORMAL,
    OTHER,
    Sample,
    load,
    read_index,
)
from infmap_train.data.layouts import Read, read_folder, read_normals
from infmap_train.data.masks import read_mask
from infmap_train.data.output import new_folder, write_csv
from infmap_train.data.patients import joined
from infmap_train.data.picture_files import write_gray
from infmap_train.data.problems import Problem, UnfitData, refuse
from infmap_train.options import ReadOptions

_INDEX = (
    *("name", "file", "class", "group", "source", "lung_mask", "read_from"),
    *DETAILS,
    *(field.name for field in dataclasses.fields(quality.Quality)),
)
_PARTS = ("images", INFECTION_MASKS, LUNG_MASKS)


@dataclasses.dataclass(frozen=True, kw_only=True)
class BuildOptions:
    """The selection of radiographs for a composed set.

    Parameters
    ----------
    keep_all
        Keep repeated and low-quality radiographs in the index, and list them all the same.
    control_count
        Number of normal radiographs to draw from those that pass; 0 takes all. The paper has 12544.
    seed
        Seed of that draw.
    """

    keep_all: bool = False
    control_count: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.control_count < 0:
            raise TrainingError(f"expected a count of controls, found {self.control_count}")


def build_dataset(
    datasets: Sequence[Path],
    normals: Sequence[Path],
    output: Path,
    *,
    options: BuildOptions | None = None,
    reading: ReadOptions | None = None,
    progress: Progress = no_progress,
) -> dict[str, Any]:
    """Write a folder in the plain layout, ready to train on.

    Radiographs that repeat another (by perceptual hash), are over-exposed or of low quality, cannot be
    read, or show COVID-19 and have no mask, are left out of ``index.csv`` and listed in ``left_out.csv``
    with the reason. Of several copies the first that is good enough stays; one picture that is said to be
    of two classes is of the first. The folders read from are never changed.

    Parameters
    ----------
    datasets
        Folders of which all classes are taken, in any layout that a reader knows.
    normals
        Folders of which the normal radiographs are taken; every picture, DICOM too, where no reader knows one.
    output
        A new or empty folder; it appears when it is whole.
    options, reading
        Selection of radiographs, and how they are read.
    progress
        Called after every radiograph.

    Returns
    -------
    dict
        The content of ``dataset.json``: what was read of each folder and by which reader, counts,
        limits of the measures, fingerprint.

    Raises
    ------
    TrainingError
        When the output is not empty or cannot be written, the sources have problems, all named at once, or
        there are fewer normal radiographs than asked for.
    """
    options = options or BuildOptions()
    require_new_folder(output, TrainingError)
    read = _read_all(datasets, normals, reading or ReadOptions())
    samples = [sample for one in read.values() for sample in one.samples]
    kinds = Counter(sample.kind for sample in samples)
    refuse(
        [
            Problem(f"no {what} radiograph among the folders: {fix}")
            for what, fix, kind in (
                ("COVID-19", "pass --data", COVID),
                ("normal", "pass --normal", NORMAL),
            )
            if not kinds[kind]
        ]
    )
    _refuse_few(kinds[NORMAL], options)
    with writing_to(output, TrainingError), new_folder(output) as beside:
        builder = _Builder(beside, output, options)
        ordered = _ordered(_with_unique_names(samples), options)
        for done, sample in enumerate(ordered, start=1):
            progress("reading radiographs", done, len(ordered))
            builder.add(sample)
        return builder.finish(read)


def _read_all(
    datasets: Sequence[Path], normals: Sequence[Path], reading: ReadOptions
) -> dict[Path, Read]:
    """Read every folder, and name the problems of all with their folder."""
    read: dict[Path, Read] = {}
    problems: list[Problem] = []
    for folders, reader in ((datasets, read_folder), (normals, read_normals)):
        for folder in folders:
            if folder in read:
                raise TrainingError(f"{folder} is given twice: leave one out")
            try:
                read[folder] = reader(folder, reading)
            except UnfitData as error:
                problems += [
                    Problem(f"{folder}: {problem.reason}", problem.name)
                    for problem in error.problems
                ]
    refuse(problems)
    return read


def _refuse_few(found: int, options: BuildOptions) -> None:
    if found < options.control_count:
        raise TrainingError(
            f"expected {options.control_count} normal radiographs that pass, found {found}: pass more "
            "--normal folders, or a lower --control-count"
        )


def _ordered(samples: Sequence[Sample], options: BuildOptions) -> list[Sample]:
    """COVID-19 first: of two that are one picture, that with a mask is kept; controls as they are drawn."""
    parts = [
        [sample for sample in samples if sample.kind == kind] for kind in (COVID, NORMAL, OTHER)
    ]
    if options.control_count:
        # No secret hangs on it; one seed draws the same on every machine.
        random.Random(options.seed).shuffle(parts[1])  # noqa: S311
    return [sample for part in parts for sample in part]


@dataclasses.dataclass(frozen=True)
class _Taken:
    """A radiograph that was read."""

    sample: Sample
    measured: quality.Quality
    reasons: tuple[str, ...]


class _Builder:
    """Takes radiographs one after the other; of a picture that is there already, nothing is copied."""

    def __init__(self, folder: Path, output: Path, options: BuildOptions) -> None:
        self._folder, self._output, self._options = folder, output, options
        self._read: list[_Taken] = []
        self._hashes: NDArray[np.uint8] = np.empty((0, quality.HASH_BYTES), np.uint8)
        self._unread: list[tuple[Sample, str]] = []
        self._pairs: list[tuple[int, int]] = []
        self._controls = 0
        self._not_drawn = 0
        for part in _PARTS:
            (folder / part).mkdir(parents=True)

    def add(self, sample: Sample) -> None:
        """Read, measure and copy one, if it is still needed and good enough."""
        wanted = self._options.control_count
        if sample.kind == NORMAL and wanted and self._controls == wanted:
            self._not_drawn += 1
            return
        if sample.covid and sample.infection_mask is None:
            self._unread.append((sample, "it has no infection mask"))
            return
        try:
            pixels = read_radiograph(sample.image).pixels
            masks = _masks(sample, pixels.shape)
        except InputRejected as error:
            self._unread.append((sample, str(error)))
            return
        measured = quality.Quality.measure(pixels)
        reasons = (*measured.complaints(), *self._repeats(sample, quality.perceptual_hash(pixels)))
        self._read.append(_Taken(sample, measured, reasons))
        if reasons and not self._options.keep_all:
            return
        for kind, mask in masks.items():
            write_gray(self._folder / kind / f"{sample.name}.png", mask)
        write_gray(self._folder / "images" / f"{sample.name}.png", pixels)
        self._controls += sample.kind == NORMAL

    def _repeats(self, sample: Sample, made: NDArray[np.uint8]) -> list[str]:
        """Say which picture it repeats: one that was kept, or one that is said to be of another class."""
        rows = quality.same_pictures(made, self._hashes)
        self._hashes = np.vstack([self._hashes, made])
        self._pairs += [(row, len(self._read)) for row in rows]
        for row in rows:
            earlier = self._read[row]
            if not earlier.reasons:
                return [f"the same picture as {earlier.sample.name}"]
        for row in rows:
            earlier = self._read[row]
            if earlier.sample.kind != sample.kind:
                return [
                    f"the same picture as {earlier.sample.name}, of class {earlier.sample.kind}"
                ]
        return []

    def finish(self, read: dict[Path, Read]) -> dict[str, Any]:
        """Write the index, what was left out and the record."""
        if not self._read:
            raise TrainingError("not one radiograph could be read: " + self._unread[0][1])
        _refuse_few(self._controls, self._options)
        left_out = list(self._unread)
        lines = []
        groups = joined([taken.sample.group for taken in self._read], self._pairs)
        for taken, group in zip(self._read, groups, strict=True):
            if taken.reasons:
                left_out.append((taken.sample, "; ".join(taken.reasons)))
            if not taken.reasons or self._options.keep_all:
                lines.append(self._line(taken, group))
        write_csv(self._folder / "index.csv", _INDEX, lines)
        listed = [(sample.name, self._relative(sample.image), why) for sample, why in left_out]
        write_csv(self._folder / "left_out.csv", ("name", "original_file", "reason"), listed)
        return self._record(read, len(left_out), [line[2] for line in lines])

    def _line(self, taken: _Taken, group: str) -> list[Any]:
        sample = taken.sample
        original = self._relative(sample.image)
        details = {"original_file": original, **sample.details}
        return [
            sample.name,
            f"images/{sample.name}.png",
            sample.kind,
            group,
            sample.source,
            int(sample.lung_mask is not None),
            original,
            *(details.get(name, "") for name in DETAILS),
            *(round(value, 4) for value in dataclasses.astuple(taken.measured)),
        ]

    def _record(self, read: dict[Path, Read], listed: int, kinds: list[str]) -> dict[str, Any]:
        samples = [sample for sample in read_index(self._folder) if sample.kind != OTHER]
        pictures = load(samples)
        report = {
            "folders": [
                {
                    "folder": self._relative(folder),
                    "reader": one.reader or "pictures",
                    "reason": one.reason,
                    "read": one.counts(),
                }
                for folder, one in read.items()
            ],
            **pictures.counts(),
            **({OTHER: kinds.count(OTHER)} if OTHER in kinds else {}),
            "patient_groups": len(set(pictures.groups)),
            "patients_known": sum(sample.patient_known for sample in samples),
            "listed": listed,
            **(
                {
                    "controls_drawn": self._options.control_count,
                    "seed": self._options.seed,
                    "controls_not_drawn": self._not_drawn,
                }
                if self._options.control_count
                else {}
            ),
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
        write_json(self._folder / "dataset.json", report)
        return report

    def _relative(self, path: Path) -> str:
        # Relative: the record does not show whose machine it was made on.
        return os.path.relpath(path, self._output.parent)


def _masks(sample: Sample, shape: tuple[int, ...]) -> dict[str, NDArray[np.uint8]]:
    """A radiograph's masks, (H, W) uint8 of 0 and 255, by the folder that they are written to."""
    return {
        kind: read_mask(path, shape)[0]
        for kind, path in ((INFECTION_MASKS, sample.infection_mask), (LUNG_MASKS, sample.lung_mask))
        if path is not None
    }


def _with_unique_names(samples: Sequence[Sample]) -> list[Sample]:
    seen: set[str] = set()
    unique = []
    for sample in samples:
        name, number = sample.name, 2
        while name in seen:
            name, number = f"{sample.name}-{number}", number + 1
        seen.add(name)
        # A group that was the name alone follows it: two files of one name are not one patient.
        group = sample.group if sample.patient_known else name
        unique.append(dataclasses.replace(sample, name=name, group=group))
    return unique
