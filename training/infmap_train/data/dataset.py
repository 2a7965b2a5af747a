"""Training data: an index of radiographs with masks, checked completely, split by patient group.

The layout is plain: a folder with ``index.csv`` (columns ``name``, ``file``, ``class`` = ``covid``, ``normal``
or ``other``, and, optional, ``group``, ``source`` and those of ``DETAILS``), the pictures that it names,
``infection_masks/NAME.png`` for the COVID-19 ones, and ``lung_masks/NAME.png`` for any that have one.
"""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import re
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

from infmap_kit.errors import InputRejected, TrainingError
from infmap_kit.imaging.network_input import network_input, network_mask
from infmap_kit.imaging.radiograph import Radiograph
from infmap_kit.imaging.readers import decode_file, judge
from infmap_kit.model.spec import IMAGE_SIZE, Anatomy
from infmap_kit.progress import Progress, no_progress
from infmap_train.data.masks import read_mask
from infmap_train.data.problems import Problem, grouped, refuse

INFECTION_MASKS = "infection_masks"
LUNG_MASKS = "lung_masks"

COVID, NORMAL, OTHER = "covid", "normal", "other"
"""The classes. What shows another finding than COVID-19 is ``other``, and is left out unless asked for."""

DETAILS = ("licence", "patient_id", "finding", "view", "sex", "age", "original_file")
"""Further columns of an index, which are kept when data sets are composed."""

_LONGEST_NAME_BYTES = 240
"""A file's name may have 255, and every file made of a radiograph has a suffix."""
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sample:
    """One radiograph of the training data.

    Parameters
    ----------
    name
        Unique name.
    image
        Picture file.
    covid
        Whether it shows COVID-19; else it is normal, or of another kind.
    group
        All that may be one patient; never on both sides of a split. The name where the patient is unknown.
    source
        Where it came from, such as a hospital or a public set; splits keep the shares of each. Empty where it
        is not known.
    infection_mask, lung_mask
        Masks of the same size, 0 or 255; ``None`` where there is none. What is infected on a normal
        radiograph is known without one: nothing.
    kind
        Its class: ``covid``, ``normal`` or ``other``.
    details
        What else its source says, by the names of ``DETAILS``; not all need be there.
    """

    name: str
    image: Path
    covid: bool
    group: str
    source: str = ""
    infection_mask: Path | None = None
    lung_mask: Path | None = None
    kind: str = ""
    details: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", self.kind or (COVID if self.covid else NORMAL))

    @property
    def patient_known(self) -> bool:
        """Whether anybody says who the patient is."""
        return self.group != self.name

    def mask(self, anatomy: Anatomy) -> Path | None:
        """The path of the mask of an anatomy."""
        return self.lung_mask if anatomy is Anatomy.LUNGS else self.infection_mask

    def has_truth(self, anatomy: Anatomy) -> bool:
        """Whether it is known where it lies, or that it is nowhere."""
        known_empty = anatomy is Anatomy.INFECTION and not self.covid
        return known_empty or self.mask(anatomy) is not None


@dataclasses.dataclass(frozen=True)
class Pictures:
    """Decoded samples at the networks' size.

    Parameters
    ----------
    samples
        The rows' samples.
    images
        (N, 224, 224) uint8.
    masks
        (N, 224, 224) uint8, 0 or 1; empty where there is no mask.
    anatomy
        The anatomy that the masks show.
    doubts
        Radiographs that serving would refuse or warn of.
    notes
        Decisions on masks, and masks that should be looked at.
    """

    samples: tuple[Sample, ...]
    images: NDArray[np.uint8]
    masks: NDArray[np.uint8]
    anatomy: Anatomy = Anatomy.INFECTION
    doubts: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def covid(self) -> NDArray[np.bool_]:
        """(N,) bool, true for COVID-19."""
        return np.array([s.covid for s in self.samples], dtype=bool)

    @property
    def masked(self) -> NDArray[np.bool_]:
        """(N,) bool, true where a mask is expected: lungs on all, an infection on COVID-19 ones."""
        return self.covid | (self.anatomy is Anatomy.LUNGS)

    @property
    def groups(self) -> list[str]:
        """Patient group of each row."""
        return [sample.group for sample in self.samples]

    @property
    def sources(self) -> NDArray[np.str_]:
        """(N,) where each picture came from."""
        return np.array([sample.source for sample in self.samples])

    def counts(self) -> dict[str, int]:
        """The number of pictures of each class."""
        return {"covid": int(self.covid.sum()), "normal": int((~self.covid).sum())}

    def take(self, rows: Sequence[int] | NDArray[np.intp]) -> Pictures:
        """The pictures of those rows only."""
        return dataclasses.replace(
            self,
            samples=tuple(self.samples[row] for row in rows),
            images=self.images[rows],
            masks=self.masks[rows],
        )

    def with_truth(self) -> Pictures:
        """The pictures whose mask is known."""
        rows = [row for row, sample in enumerate(self.samples) if sample.has_truth(self.anatomy)]
        return self if len(rows) == len(self.samples) else self.take(rows)

    def fingerprint(self) -> str:
        """SHA-256 over names, groups, pixels and masks, whatever the rows' order."""
        digest = hashlib.sha256()
        for row in sorted(range(len(self.samples)), key=lambda r: self.samples[r].name):
            sample = self.samples[row]
            digest.update(f"{sample.name}\0{sample.group}\0{sample.covid}\0".encode())
            digest.update(self.images[row].tobytes())
            digest.update(self.masks[row].tobytes())
        return digest.hexdigest()


def read_index(folder: Path, *, to_train: bool = True) -> list[Sample]:
    """Read ``index.csv``, radiographs of all classes.

    Parameters
    ----------
    to_train
        Expect a mask of every COVID-19 radiograph; otherwise masks are taken where they are, and those of
        lungs are left out.

    Raises
    ------
    UnfitData
        Naming every row that cannot be used, all at once.
    TrainingError
        When there is no index, or it lacks a column.
    """
    index = folder / "index.csv"
    try:
        # Spreadsheets begin their UTF-8 with a mark.
        with index.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            rows, columns = list(reader), reader.fieldnames or []
    except OSError as error:
        raise TrainingError(
            f"cannot read {index}: {error.strerror}; expected a folder with index.csv, the "
            "pictures that it names, and infection_masks/"
        ) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise TrainingError(f"expected CSV in UTF-8 in {index}: {error}") from error
    missing = {"name", "file", "class"} - set(columns)
    if missing:
        raise TrainingError(
            f"{index} has no column {', '.join(sorted(missing))}: its first line is {','.join(columns)[:100]!r}"
        )
    if not rows:
        raise TrainingError(
            f"{index} names no radiograph: expected a row for each below its first line"
        )
    problems: list[Problem] = []
    samples: list[Sample] = []
    seen: set[str] = set()
    for line, row in enumerate(rows, start=1):
        name = row["name"]
        if not _is_name(name) or not row["file"]:
            reason = "expected a name that a file can have, and a file"
            problems.append(Problem(reason, f"row {line}"))
            continue
        image = folder / row["file"]
        covid = row["class"] == COVID
        infection_mask = folder / INFECTION_MASKS / f"{name}.png" if covid else None
        lung_mask = _lung_mask(folder, row) if to_train else None
        if infection_mask and not to_train and not infection_mask.is_file():
            infection_mask = None
        masks = [path for path in (infection_mask, lung_mask) if path and not path.is_file()]
        wrong = [f"{path.parent}/NAME.png is missing" for path in masks]
        if not image.is_file():
            wrong.append(f"the file that {index} names is missing")
        if row["class"] not in (COVID, NORMAL, OTHER):
            wrong.append(f"class is {row['class']!r}, expected covid, normal or other")
        if name in seen:
            wrong.append("named twice")
        seen.add(name)
        problems += [Problem(reason, name) for reason in wrong]
        if not wrong:
            samples.append(
                Sample(
                    name=name,
                    image=image,
                    covid=covid,
                    # An unknown patient is a group of its own.
                    group=(row.get("group") or "").strip() or name,
                    source=(row.get("source") or "").strip(),
                    infection_mask=infection_mask,
                    lung_mask=lung_mask,
                    kind=row["class"],
                    details={key: row[key].strip() for key in DETAILS if row.get(key)},
                )
            )
    refuse(problems, samples)
    return samples


def _is_name(name: str | None) -> bool:
    """Whether files can be called so, in the folders of the data set and of what is made of it."""
    if not name or len(name.encode()) > _LONGEST_NAME_BYTES or _CONTROLS.search(name):
        return False
    return not Path(name).is_absolute() and ".." not in Path(name).parts


def _lung_mask(folder: Path, row: Mapping[str, str]) -> Path | None:
    """Find a row's lung mask: by the column ``lung_mask``, or without it where there is a file."""
    path = folder / LUNG_MASKS / f"{row['name']}.png"
    if not path.parent.is_dir():
        return None
    stated = row.get("lung_mask")
    return path if (stated == "1" if stated is not None else path.is_file()) else None


def load(
    samples: Sequence[Sample],
    *,
    anatomy: Anatomy = Anatomy.INFECTION,
    progress: Progress = no_progress,
) -> Pictures:
    """Decode samples, and their masks of one anatomy, and bring them to the networks' size.

    Radiographs are decoded as they are where a network is served. What would be refused or warned of there
    is loaded all the same, and named in ``doubts``.

    Raises
    ------
    UnfitData
        Naming every picture that cannot be read and every mask of another size, all at once.
    """
    images = np.empty((len(samples), IMAGE_SIZE, IMAGE_SIZE), np.uint8)
    masks = np.zeros_like(images)
    problems: list[Problem] = []
    doubts: list[str] = []
    odd: list[Problem] = []
    kinds = Counter[str]()
    for row, sample in enumerate(samples):
        progress("reading radiographs", row + 1, len(samples))
        try:
            radiograph = decode_file(sample.image)
        except InputRejected as error:
            problems.append(Problem(str(error), sample.name))
            continue
        image = radiograph.pixels
        images[row] = network_input(image)
        doubts += [f"{sample.name}: {doubt}" for doubt in _doubts(radiograph)]
        path = sample.mask(anatomy)
        if path is None:
            continue
        try:
            mask, kind = read_mask(path, image.shape)
        except InputRejected as error:
            problems.append(Problem(str(error), sample.name))
            continue
        kinds[kind] += 1
        masks[row] = network_mask(mask)
        if not mask.any():
            odd.append(Problem(f"its mask of the {anatomy} is empty", sample.name))
        if mask[:: len(mask) - 1, :: mask.shape[1] - 1].all():
            reason = f"its mask of the {anatomy} covers all four corners: are inside and outside exchanged?"
            odd.append(Problem(reason, sample.name))
    refuse(problems)
    notes = [f"{count} masks are {kind}" for kind, count in kinds.most_common() if kind]
    notes += grouped(odd)
    return Pictures(tuple(samples), images, masks, anatomy, tuple(doubts), tuple(notes))


def _doubts(radiograph: Radiograph) -> list[str]:
    """The reason why serving would refuse a radiograph, or its warnings."""
    try:
        return [warning.text for warning in judge(radiograph).warnings]
    except InputRejected as error:
        return [error.reason]


def each_patient_once(samples: Sequence[Sample]) -> NDArray[np.float64]:
    """(N,) weights of the pictures, with a mean of 1, with which every patient counts the same."""
    pictures = Counter(sample.group for sample in samples)
    shares = np.array([1 / pictures[sample.group] for sample in samples])
    return np.asarray(shares / shares.mean(), np.float64)


def split_by_group(
    samples: Sequence[Sample], *, folds: int, seed: int
) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Stratified folds, by class and source, with no patient group on both sides.

    Returns
    -------
    list
        For each fold the rows to train on and the rows to test on.

    Raises
    ------
    UnfitData
        When there are fewer groups in a class than folds.
    """
    groups = [s.group for s in samples]
    strata = np.array([f"{s.source} {s.covid}" for s in samples])
    refuse(too_few_groups(samples, folds))
    splitter = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # Of a source with few pictures not every fold has one, which is no fault of the classes' shares.
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        return list(splitter.split(np.zeros(len(samples)), strata, groups))


def too_few_groups(samples: Sequence[Sample], folds: int) -> list[Problem]:
    """Name the classes with fewer patient groups than folds."""
    groups = {
        name: {s.group for s in samples if s.covid is covid}
        for name, covid in (("COVID-19", True), ("normal", False))
    }
    return [
        Problem(
            f"expected at least {folds} patient groups of {name} for {folds} folds, found {len(known)}"
        )
        for name, known in groups.items()
        if len(known) < folds
    ]
