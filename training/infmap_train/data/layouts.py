"""Reading a folder of any data set into samples, by the reader that knows it, with patients and classes."""

from __future__ import annotations

import dataclasses
import logging
import re
from collections import Counter
from pathlib import Path

from infmap_kit.errors import TrainingError
from infmap_kit.imaging.files import find_pictures
from infmap_kit.model.spec import Anatomy
from infmap_kit.progress import Progress, no_progress
from infmap_train.data.dataset import (
    LUNG_MASKS,
    NORMAL,
    OTHER,
    Pictures,
    Sample,
    load,
    read_index,
    too_few_groups,
)
from infmap_train.data.patients import one_patient_a_picture, with_patients
from infmap_train.data.problems import Problem, UnfitData, refuse
from infmap_train.data.readers.masked.plain import READER as PLAIN
from infmap_train.data.readers.reader import make_sample
from infmap_train.data.readers.registry import choose_reader, expected
from infmap_train.options import ReadOptions

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Read:
    """The radiographs that were read from a folder.

    Parameters
    ----------
    samples
        Radiographs of all classes.
    reader
        Name of the reader.
    reason
        Why it was that one.
    """

    samples: list[Sample]
    reader: str
    reason: str

    def counts(self) -> dict[str, int]:
        """The number of radiographs of each class."""
        return dict(Counter(sample.kind for sample in self.samples))


def read_folder(folder: Path, options: ReadOptions | None = None) -> Read:
    """Read a data set that a reader knows, radiographs of all classes.

    Raises
    ------
    TrainingError
        When no reader knows the folder, or naming every radiograph and mask that cannot be used, all at once.
    """
    options = options or ReadOptions()
    choice = choose_reader(folder, options.reader, must_know=not options.recorded)
    if choice is None:
        raise TrainingError(f"{folder} is no known data set: expected {expected()}")
    # An index is the usual case, of which nobody needs to be told.
    level = logging.DEBUG if choice.reader is PLAIN else logging.INFO
    _log.log(level, "%s is read as %s: %s", folder, choice.reader.title, choice.reason)
    try:
        samples = with_patients(choice.read(folder), folder, options)
    except UnfitData as error:
        usable = with_patients(error.usable, folder, options)
        raise UnfitData(error.problems, usable) from error
    return Read(samples=samples, reader=choice.reader.name, reason=choice.reason)


def read_dataset(
    folder: Path, options: ReadOptions | None = None, *, to_train: bool = True
) -> list[Sample]:
    """Read a data set of any known layout: COVID-19 that has a mask, normal, and the negatives asked for.

    Parameters
    ----------
    to_train
        As of :func:`infmap_train.data.dataset.read_index`, for a folder in the plain layout.

    Raises
    ------
    TrainingError
        As by :func:`read_folder`.
    """
    options = options or ReadOptions()
    if not to_train and (folder / "index.csv").is_file():
        return [sample for sample in read_index(folder, to_train=False) if sample.kind != OTHER]
    try:
        return _to_learn(read_folder(folder, options).samples, folder, options)
    except UnfitData as error:
        raise UnfitData(error.problems, _to_learn(error.usable, folder, options)) from error


def _to_learn(samples: list[Sample], folder: Path, options: ReadOptions) -> list[Sample]:
    """The samples that a training takes; the log says how many it leaves."""
    others = [s for s in samples if s.kind == OTHER and options.negatives != OTHER]
    without = [s for s in samples if s.covid and s.infection_mask is None]
    if others:
        _log.info(
            "%d radiographs of %s show something else and are left out: --negatives other takes them as "
            "not COVID-19",
            *(len(others), folder),
        )
    if without:
        _log.info(
            "%d COVID-19 radiographs of %s have no mask and are left out", len(without), folder
        )
    left = {sample.name for sample in (*others, *without)}
    return [sample for sample in samples if sample.name not in left]


def read_normals(folder: Path, options: ReadOptions | None = None) -> Read:
    """Read normal radiographs: those of a data set that a reader knows, or else every picture, DICOM too.

    Of a folder that none knows, the source is the folder's name.
    """
    options = options or ReadOptions()
    if choose_reader(folder, options.reader) is not None:
        read = read_folder(folder, options)
        normals = [sample for sample in read.samples if sample.kind == NORMAL]
        if not normals:
            raise TrainingError(
                f"expected normal radiographs in {folder}, found none among {len(read.samples)}"
            )
        return dataclasses.replace(read, samples=normals)
    source = re.sub(r"[^a-z0-9]+", "-", folder.resolve().name.lower()).strip("-") or NORMAL
    files = [path for path in find_pictures([folder]) if path.is_file()]
    if not files:
        raise TrainingError(f"expected radiographs in {folder}, found none")
    _log.info("%s is no known data set: every picture in it is taken for normal", folder)
    taken = Counter(path.stem for path in files)
    samples = []
    for path in files:
        # Files of one stem are distinguished by their folders.
        parts = path.relative_to(folder).with_suffix("").parts
        stem = path.stem if taken[path.stem] == 1 else "-".join(parts)
        sample = make_sample(source, stem, path, NORMAL)
        samples.append(sample)
    samples = with_patients(samples, folder, options)
    return Read(samples=samples, reader="", reason="no reader knows it: every picture is normal")


def open_dataset(
    folder: Path,
    *,
    folds: int,
    anatomy: Anatomy = Anatomy.INFECTION,
    options: ReadOptions | None = None,
    progress: Progress = no_progress,
) -> Pictures:
    """Read, check and decode a data set to train on.

    Parameters
    ----------
    folder
        In any layout that a reader knows.
    folds
        In how many parts it will be split.
    anatomy
        Whose masks are decoded.
    options
        Options of the reading.
    progress
        Called after every radiograph.

    Raises
    ------
    UnfitData
        Naming all problems of all kinds at once.
    """
    problems: list[Problem] = []
    try:
        samples = read_dataset(folder, options)
    except UnfitData as error:
        problems += error.problems
        samples = error.usable
    problems += too_few_groups(samples, folds)
    if not any(sample.has_truth(anatomy) for sample in samples):
        problems.append(
            Problem(
                f"no radiograph has a mask of the {anatomy}: expected {LUNG_MASKS}/NAME.png beside "
                "index.csv, or 'lung masks'/ beside images/ (COVID-QU-Ex)"
            )
        )
    try:
        pictures, contrary = one_patient_a_picture(
            load(samples, anatomy=anatomy, progress=progress)
        )
        problems += contrary
    except UnfitData as error:
        problems += error.problems
    refuse(problems)
    if pictures.doubts:
        lines = "\n  ".join(pictures.doubts)
        _log.info("serving would refuse these radiographs or warn of them:\n  %s", lines)
    if pictures.notes:
        _log.info("of the masks:\n  %s", "\n  ".join(pictures.notes))
    return pictures
