"""From a folder of radiographs to a new study."""

from __future__ import annotations

import csv
import dataclasses
import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

import infmap_kit
from infmap_annotate.study.folder import Rules, Study, make_folder, now
from infmap_annotate.study.masks import encode_mask
from infmap_annotate.study.readers import DEFAULT_DAYS, OWNER, add_reader
from infmap_annotate.study.sequence import shuffled
from infmap_kit.errors import InputRejected, StudyError
from infmap_kit.imaging.readers import decode_file
from infmap_kit.model.files import sha256_of
from infmap_kit.progress import Progress, no_progress


@dataclasses.dataclass(frozen=True)
class Listed:
    """A radiograph of a data set; unlike one to train on it may lack a mask that is still to be made."""

    name: str
    image: Path
    mask: Path | None
    covid: bool
    group: str


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
        How many radiographs with a drawn mask are stage I, chosen by patient group; the others
        become stage II, and their masks are not used. All by default.
    rules
        The study's.
    days
        How long tokens are good.

    Returns
    -------
    dict
        Name to token, the owner's too; they are kept nowhere.

    Raises
    ------
    StudyError
        Naming everything that is wrong with the data, all at once.
    """
    rules = rules or Rules()
    _check_people(first, third)
    if folder.exists() and any(folder.iterdir()):
        raise StudyError(f"{folder} is not empty: name a new folder, or remove it")
    listed = read_listed(data)
    stage_one = _subset(listed, subset, rules.seed)
    beside = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(beside, ignore_errors=True)
    facts = {
        "made_at": now(),
        "infmap_kit": infmap_kit.__version__,
        "data": str(data.resolve()),
        "subset": subset,
        "rules": dataclasses.asdict(rules),
    }
    try:
        make_folder(beside, facts)
        study = Study(beside)
        _add_pictures(study, listed, stage_one, progress)
        roles = [(OWNER, OWNER), *((n, "first") for n in first), *((n, "third") for n in third)]
        with study.writing() as sql:
            tokens = {name: add_reader(sql, name, role, days=days) for name, role in roles}
        study.database.reading().execute("PRAGMA wal_checkpoint(TRUNCATE)")
        study.database.close()
        if folder.exists():
            folder.rmdir()
        beside.replace(folder)
    except OSError as error:
        raise StudyError(f"cannot write {folder}: {error.strerror}") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return tokens


def read_listed(folder: Path) -> list[Listed]:
    """Read which radiographs a data set has, in any layout that ``infmap-train`` knows.

    Raises
    ------
    StudyError
        When the plain layout's index cannot be used.
    TrainingError
        When another layout cannot, or the folder is in none.
    """
    index = folder / "index.csv"
    if not index.is_file():
        from infmap_train.data.layouts import read_dataset

        return [
            Listed(s.name, s.image, s.infection_mask, s.covid, s.group)
            for s in read_dataset(folder)
        ]
    with index.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    missing = {"name", "file", "class"} - set(rows[0] if rows else ())
    if missing:
        raise StudyError(f"{index} has no column {', '.join(sorted(missing))}")
    listed, problems, seen = [], [], set()
    for row in rows:
        name, mask = row["name"], folder / "infection_masks" / f"{row['name']}.png"
        if name in seen:
            problems.append(f"{name}: named twice")
        if row["class"] not in ("covid", "normal"):
            problems.append(f"{name}: class is {row['class']!r}, expected covid or normal")
        if not (folder / row["file"]).is_file():
            problems.append(f"{name}: {folder / row['file']} is missing")
        seen.add(name)
        covid = row["class"] == "covid"
        listed.append(
            Listed(
                name,
                folder / row["file"],
                mask if covid and mask.is_file() else None,
                covid,
                row.get("group") or name,
            )
        )
    refuse(problems)
    return listed


def refuse(problems: Sequence[str]) -> None:
    """Raise ``StudyError`` that names all problems, if there are any."""
    if problems:
        raise StudyError(f"{len(problems)} problem(s) in the data:\n  " + "\n  ".join(problems))


def read_mask(path: Path) -> NDArray[np.uint8] | None:
    """Decode a mask as (H, W) uint8, as training does; ``None`` when it cannot be."""
    picture = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    return None if picture is None else picture.astype(np.uint8, copy=False)


def _check_people(first: Sequence[str], third: Sequence[str]) -> None:
    if not first:
        raise StudyError("expected at least one reader, found none: name them with --readers")
    names = [*first, *third]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise StudyError(f"named twice: {', '.join(twice)}")
    if OWNER in names:
        raise StudyError(f"{OWNER!r} is whoever runs the study: name the reader otherwise")


def _subset(listed: Iterable[Listed], subset: int | None, seed: int) -> set[str]:
    """Names of stage I: whole patient groups, so that no patient is in both stages."""
    groups: dict[str, list[Listed]] = {}
    for one in listed:
        if one.covid:
            groups.setdefault(one.group, []).append(one)
    drawn = {name: g for name, g in groups.items() if all(one.mask for one in g)}
    count = sum(map(len, drawn.values())) if subset is None else subset
    chosen: set[str] = set()
    for name in shuffled(drawn, seed, "stage I", key=str):
        if len(chosen) + len(drawn[name]) <= count:
            chosen |= {one.name for one in drawn[name]}
    if len(chosen) < count:
        raise StudyError(
            f"expected {count} COVID-19 radiographs with a mask, found whole patients with "
            f"{len(chosen)}: take a smaller --subset"
        )
    return chosen


def _add_pictures(
    study: Study, listed: Sequence[Listed], stage_one: set[str], progress: Progress
) -> None:
    problems: list[str] = []
    pictures, candidates = [], []
    for number, one in enumerate(listed, start=1):
        progress("reading radiographs", number, len(listed))
        try:
            image = decode_file(one.image)
        except InputRejected as error:
            problems.append(f"{one.name}: {error}")
            continue
        stage = (1 if one.name in stage_one else 2) if one.covid else None
        file = os.path.relpath(one.image.resolve(), study.data)
        pictures.append(
            (
                number,
                one.name,
                file,
                sha256_of(one.image),
                image.width,
                image.height,
                one.group,
                stage,
            )
        )
        if stage != 1 or one.mask is None:
            continue
        mask = read_mask(one.mask)
        if mask is None:
            problems.append(f"{one.name}: {one.mask} cannot be decoded")
        elif mask.shape != image.pixels.shape:
            problems.append(
                f"{one.name}: expected a mask of {image.width}x{image.height}, its picture's size, found "
                f"{mask.shape[1]}x{mask.shape[0]}"
            )
        else:
            candidates.append((number, "drawn", *kept(study, mask >= 128)))
    refuse(problems)
    with study.writing() as sql:
        sql.executemany("INSERT INTO picture VALUES (?, ?, ?, ?, ?, ?, ?, ?)", pictures)
        sql.executemany(
            "INSERT INTO candidate (picture_id, kind, file, sha256) VALUES (?, ?, ?, ?)", candidates
        )


def kept(study: Study, mask: NDArray[np.bool_]) -> tuple[str, str]:
    """Keep a mask in the study; its file's name and SHA-256."""
    file = study.keep_mask(encode_mask(mask))
    return file, sha256_of(study.folder / "masks" / file)
