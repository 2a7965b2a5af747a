"""The base of the readers of data sets, and what they share: tables, pictures by name, samples."""

from __future__ import annotations

import csv
import dataclasses
import gzip
import logging
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from infmap_kit.errors import TrainingError
from infmap_kit.imaging.files import PICTURE_SUFFIXES, find_pictures
from infmap_kit.model.files import shortened
from infmap_train.data.dataset import COVID, Sample
from infmap_train.data.patients import patient_in_name
from infmap_train.data.problems import Problem

_log = logging.getLogger(__name__)

_MAX_FIELD = 2**20
"""Longest cell of a table; reports of radiologists are some thousand characters."""


def _always(_folder: Path, _mark: Path) -> bool:
    return True


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reader:
    """Knows one data set.

    Parameters
    ----------
    name
        Name for ``--reader``.
    title
        The data set, for people.
    mark
        Pattern of the name of a file or folder by which it is recognised, as of :mod:`fnmatch`.
    read
        Samples of all classes of a folder, given the marks that were found in it.
    knows
        Whether a mark that was found in a folder is really this data set's.
    """

    name: str
    title: str
    mark: str
    read: Callable[[Path, Sequence[Path]], list[Sample]]
    knows: Callable[[Path, Path], bool] = _always


@dataclasses.dataclass(frozen=True, kw_only=True)
class Entry:
    """One radiograph in a table of labels.

    Parameters
    ----------
    picture
        Name of its file, with suffix or without.
    kind
        Its class: ``covid``, ``normal`` or ``other``.
    patient
        Patient, unique in the data set; empty if unknown.
    frontal
        Whether it is taken from the front or the back; from aside it is no input of the networks.
    details
        Further facts of the table, by the names of ``infmap_train.data.dataset.DETAILS``.
    """

    picture: str
    kind: str
    patient: str = ""
    frontal: bool = True
    details: Mapping[str, str] = dataclasses.field(default_factory=dict)


def read_table(path: Path, *columns: str, delimiter: str = ",") -> list[dict[str, str]]:
    """Read the rows of a table of labels, compressed by gzip or not; columns are found in any case of letters.

    Raises
    ------
    TrainingError
        When it cannot be read, or lacks one of the columns.
    """
    try:
        opened = gzip.open if path.suffix == ".gz" else open
        csv.field_size_limit(_MAX_FIELD)
        with opened(path, "rt", newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, delimiter=delimiter)
            known = {name.strip().lower(): name for name in reader.fieldnames or ()}
            missing = [name for name in columns if name.lower() not in known]
            if missing:
                raise TrainingError(f"{path} has no column {', '.join(missing)}")
            return [
                {name: (row[known[name.lower()]] or "").strip() for name in columns}
                for row in reader
            ]
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise TrainingError(f"cannot read {path}: {error}") from error


def has_columns(path: Path, *columns: str, delimiter: str = ",") -> bool:
    """Whether a file begins as a table with these columns."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            heading = file.readline(_MAX_FIELD).lower().rstrip("\n").split(delimiter)
    except (OSError, UnicodeDecodeError):
        return False
    return {name.lower() for name in columns} <= {name.strip(' "') for name in heading}


def the_one(marks: Sequence[Path]) -> Path:
    """The only table of labels that was found.

    Raises
    ------
    TrainingError
        When there are several, of which nobody says which counts.
    """
    if len(marks) > 1:
        listed = ", ".join(map(str, marks[:3]))
        raise TrainingError(
            f"expected one table of labels, found {listed}: pass their folders one by one"
        )
    return marks[0]


def samples_of(source: str, folder: Path, entries: Iterable[Entry]) -> list[Sample]:
    """Find the radiographs that a table of labels names.

    What is not from the front is left out, and so is what is not there, since few people download a large set
    whole; both are counted in the log, as are pictures that the table does not name.

    Raises
    ------
    TrainingError
        When none is there, or two are of one name.
    """
    pictures = pictures_by_name(folder)
    samples: list[Sample] = []
    named: set[str] = set()
    counts = Counter[str]()
    for entry in entries:
        name = plain_name(entry.picture)
        if name in named:
            continue
        named.add(name)
        paths = pictures.get(name, [])
        if not paths:
            counts["are not there"] += 1
        elif not entry.frontal:
            counts["are not frontal"] += 1
        else:
            path = _the_only(paths, folder)
            patient = f"{source}-{entry.patient}" if entry.patient else ""
            samples.append(
                make_sample(source, name, path, entry.kind, patient=patient, details=entry.details)
            )
    if not samples:
        raise TrainingError(
            f"not one of the {len(named)} radiographs that {source}'s table names is below {folder} and "
            "frontal: unpack its pictures beside it"
        )
    counts["are not in the table"] = len(set(pictures) - named)
    for reason, count in counts.items():
        if count:
            _log.info("%d radiographs of %s %s and are left out", count, folder, reason)
    return samples


def pictures_by_name(folder: Path) -> dict[str, list[Path]]:
    """All pictures below a folder, by name without suffix."""
    found: dict[str, list[Path]] = {}
    for path in find_pictures([folder]):
        if path.is_file():
            found.setdefault(plain_name(path.name), []).append(path)
    return found


def _the_only(paths: Sequence[Path], folder: Path) -> Path:
    if len(paths) > 1:
        raise TrainingError(
            f"{paths[0].name} is below {folder} twice, as {paths[0]} and {paths[1]}: pass a folder with one"
        )
    return paths[0]


def plain_name(name: str) -> str:
    """A file's name without the suffixes of pictures: ``1_IM-0001-4001`` of ``1_IM-0001-4001.dcm.png``."""
    path = Path(Path(name).name)
    while path.suffix.lower() in PICTURE_SUFFIXES:
        path = path.with_suffix("")
    return path.name


def make_sample(
    source: str,
    stem: str,
    image: Path,
    kind: str,
    *,
    infection_mask: Path | None = None,
    lung_mask: Path | None = None,
    patient: str = "",
    details: Mapping[str, str] | None = None,
) -> Sample:
    """Make a sample of a data set's picture, named after both.

    Parameters
    ----------
    stem
        The picture's own name.
    patient
        Who it shows. Empty: what the file's name says by a known data set's rule, or unknown.
    """
    plain = re.sub(r"[^A-Za-z0-9.-]+", "-", stem)
    # Room for a number, where two are called so, and for a suffix.
    name = shortened(f"{source}_{plain}", room_bytes=24)
    return Sample(
        name=name,
        image=image,
        covid=kind == COVID,
        group=patient or patient_in_name(stem) or name,
        source=source,
        infection_mask=infection_mask,
        lung_mask=lung_mask,
        kind=kind,
        details={key: value for key, value in (details or {}).items() if value},
    )


def by_stem(folder: Path) -> dict[str, Path]:
    """Pictures of a folder by name without the last suffix."""
    return {path.stem: path for path in find_pictures([folder]) if path.is_file()}


def repeated(samples: Iterable[Sample], fix: str) -> list[Problem]:
    """Name samples that are there several times."""
    counts = Counter(sample.name for sample in samples)
    return [
        Problem(f"is there {count} times: {fix}", name)
        for name, count in counts.items()
        if count > 1
    ]


def quoted_words(text: str) -> list[str]:
    """The words of a list as Python writes it, such as ``['normal', 'unchanged']``, in small letters."""
    return [
        word.strip().lower() for word in re.findall(r"""['"]([^'"]*)['"]""", text) if word.strip()
    ]


def years(text: str) -> str:
    """An age in whole years: of ``058Y`` 58, of ``16 months`` 1; empty where none is said."""
    said = re.search(r"(\d{1,3})(?:\.\d+)?\s*(y|m|w|d|$)", text.strip().lower())
    if said is None:
        return ""
    per_year = {"m": 12, "w": 52, "d": 365}.get(said[2], 1)
    return str(int(said[1]) // per_year)
