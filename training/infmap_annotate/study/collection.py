"""Making a new study from a folder of radiographs."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import infmap_kit
from infmap_annotate.study.folder import Rules, Study, make_folder, now
from infmap_annotate.study.readers import DEFAULT_DAYS, OWNER, add_reader
from infmap_annotate.study.sequence import shuffled
from infmap_kit.errors import InputRejected, StudyError, TrainingError
from infmap_kit.imaging.readers import decode_file
from infmap_kit.model.files import require_new_folder, sha256_of
from infmap_kit.progress import Progress, no_progress
from infmap_kit.text import one_line
from infmap_train.data.dataset import Sample
from infmap_train.data.layouts import read_dataset
from infmap_train.data.output import new_folder
from infmap_train.data.picture_files import read_pixels


def init_study(
    folder: Path,
    data: Path,
    *,
    first: Sequence[str],
    third: Sequence[str] = (),
    subset: int | None = None,
    rules: Rules | None = None,
    days: int = DEFAULT_DAYS,
    progress: Progress = no_progress,
) -> dict[str, str]:
    """Make a study; it appears whole or not at all.

    Parameters
    ----------
    folder
        The new study.
    data
        Data set in a layout that ``infmap-train`` knows. In the plain one COVID-19 radiographs may
        lack a mask; they become stage II.
    first, third
        Names of the readers, and of those who decide where they disagree.
    subset
        Number of radiographs with a drawn mask in stage I, chosen by patient group; the others
        become stage II, and their masks are not used. All by default.
    rules
        The study's rules.
    days
        Days for which tokens are good.

    Returns
    -------
    dict
        Name to token, the owner's too; they are stored nowhere.

    Raises
    ------
    StudyError
        Naming all problems of the data at once.
    """
    rules = rules or Rules()
    _check_people(first, third)
    require_new_folder(folder, StudyError)
    listed = read_listed(data)
    stage_one = _subset(listed, subset, rules.seed)
    facts = {
        "made_at": now(),
        "infmap_kit": infmap_kit.__version__,
        "data": str(data.resolve()),
        "subset": subset,
        "rules": dataclasses.asdict(rules),
    }
    roles = [(OWNER, OWNER), *((n, "first") for n in first), *((n, "third") for n in third)]
    try:
        with new_folder(folder) as beside:
            make_folder(beside, facts)
            study = Study(beside)
            _add_pictures(study, listed, stage_one, progress)
            with study.writing() as sql:
                tokens = {name: add_reader(sql, name, role, days=days) for name, role in roles}
            study.query("PRAGMA wal_checkpoint(TRUNCATE)")
            study.database.close()
    except OSError as error:
        raise StudyError(f"cannot write {folder}: {error.strerror}") from error
    return tokens


def read_listed(folder: Path) -> list[Sample]:
    """Read the radiographs of a data set in any layout that ``infmap-train`` knows.

    In the plain layout COVID-19 radiographs may lack a mask that is still to be made.

    Raises
    ------
    StudyError
        When the plain layout's index cannot be used.
    TrainingError
        When another layout cannot, or the folder is in none.
    """
    if not (folder / "index.csv").is_file():
        return read_dataset(folder)
    try:
        return read_dataset(folder, to_train=False)
    except TrainingError as error:
        raise StudyError(str(error)) from error


def refuse(problems: Sequence[str]) -> None:
    """Raise ``StudyError`` that names all problems, if there are any."""
    if problems:
        raise StudyError(f"{len(problems)} problem(s) in the data:\n  " + "\n  ".join(problems))


def read_mask(
    path: Path, name: str, width: int, height: int, problems: list[str]
) -> NDArray[np.bool_] | None:
    """Read a radiograph's mask as (H, W) bool; ``None``, and one more problem, when it does not fit."""
    mask = read_pixels(path)
    if mask is None:
        problems.append(f"{name}: {path} is missing or cannot be decoded")
    elif mask.shape != (height, width):
        problems.append(
            f"{name}: expected a mask of {width}x{height}, its picture's size, found "
            f"{mask.shape[1]}x{mask.shape[0]}"
        )
    else:
        return np.asarray(mask >= 128)
    return None


def _check_people(first: Sequence[str], third: Sequence[str]) -> None:
    if not first:
        raise StudyError("expected at least one reader, found none: name them with --readers")
    names = [*first, *third]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise StudyError(f"expected every reader once, found named twice: {', '.join(twice)}")
    if OWNER in names:
        raise StudyError(f"{OWNER!r} is whoever runs the study: name the reader otherwise")


def _subset(listed: Iterable[Sample], subset: int | None, seed: int) -> set[str]:
    """Choose the names of stage I by patient group, so that no patient is in both stages."""
    groups: dict[str, list[Sample]] = {}
    for sample in listed:
        if sample.covid:
            groups.setdefault(sample.group, []).append(sample)
    drawn = {name: g for name, g in groups.items() if all(s.infection_mask for s in g)}
    count = sum(map(len, drawn.values())) if subset is None else subset
    chosen: set[str] = set()
    for name in shuffled(drawn, seed, "stage I", key=str):
        if len(chosen) + len(drawn[name]) <= count:
            chosen |= {sample.name for sample in drawn[name]}
    if len(chosen) < count:
        raise StudyError(
            f"expected {count} COVID-19 radiographs with a mask, found whole patients with "
            f"{len(chosen)}: take a smaller --subset"
        )
    return chosen


def _add_pictures(
    study: Study, listed: Sequence[Sample], stage_one: set[str], progress: Progress
) -> None:
    problems: list[str] = []
    pictures, candidates = [], []
    for number, sample in enumerate(listed, start=1):
        progress("reading radiographs", number, len(listed))
        name = sample.name
        try:
            image = decode_file(sample.image)
        except InputRejected as error:
            problems.append(f"{name}: {error}")
            continue
        stage = (1 if name in stage_one else 2) if sample.covid else None
        file = os.path.relpath(sample.image.resolve(), study.data)
        try:
            file.encode()
        except UnicodeEncodeError:
            problems.append(f"{name}: expected a path in UTF-8, found {one_line(file)}: rename it")
            continue
        size = (image.width, image.height)
        pictures.append((number, name, file, sha256_of(sample.image), *size, sample.group, stage))
        if stage == 1 and sample.infection_mask:
            mask = read_mask(sample.infection_mask, name, *size, problems)
            if mask is not None:
                candidates.append((number, "drawn", *study.add_mask(mask)))
    refuse(problems)
    with study.writing() as sql:
        sql.executemany("INSERT INTO picture VALUES (?, ?, ?, ?, ?, ?, ?, ?)", pictures)
        sql.executemany(
            "INSERT INTO candidate (picture_id, kind, file, sha256) VALUES (?, ?, ?, ?)", candidates
        )
