"""The plan of a run: every radiograph with a number, and what is asked about it; written once, then fixed.

``plan/inputs.parquet`` holds the locators in the order of their numbers, ``plan/plan.json`` the rest; it is
written last, so a plan that was begun and not ended is made anew.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from infmap_kit import __version__
from infmap_kit.cohort.dicomweb import Query
from infmap_kit.cohort.inputs import locators_of
from infmap_kit.errors import InfmapError
from infmap_kit.imaging.dicom.identity import stand_in
from infmap_kit.model.files import make_private, read_json, write_json, writing_to
from infmap_kit.model.identity import ModelIdentity
from infmap_kit.model.typed import typed
from infmap_kit.progress import Progress, no_progress
from infmap_kit.results.folder import CAM, FORMATS, JSON

_BLOCK = 10_000
"""Locators of one row group: what is in memory at once."""

SAFE_TAGS = (
    *("Modality", "Manufacturer", "ManufacturerModelName", "InstitutionName", "StationName"),
    *("BodyPartExamined", "ViewPosition", "PatientSex", "PresentationIntentType"),
    *("PhotometricInterpretation", "KVP", "Exposure", "DetectorType", "AgeBand", "TakenMonth"),
)
"""Tags that name nobody, and may be asked for without --identify; the last two are made of others."""

MAPS = tuple(name for name in FORMATS if name not in (JSON, CAM))
"""The kinds of results that may be written for each radiograph besides its row."""

USUAL_TAGS = (
    *("InstitutionName", "Manufacturer", "ManufacturerModelName", "PatientSex"),
    *("AgeBand", "TakenMonth"),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class CohortOptions:
    """Options of what is computed and kept for each radiograph of a cohort.

    Parameters
    ----------
    tags
        DICOM keywords whose values become columns, or ``AgeBand`` (ten years) and ``TakenMonth``.
    maps
        Members of :data:`MAPS` that are written for each radiograph.
    identify
        Whether UIDs, patient and time may stand there as they are.
    secondary_capture
        Whether DICOM secondary captures are read.
    task_size
        Radiographs of one task, and rows of one part.

    Raises
    ------
    InfmapError
        When a tag is asked for that may name somebody, or that DICOM does not have; or a map that there is not.
    """

    tags: tuple[str, ...] = USUAL_TAGS
    maps: tuple[str, ...] = ()
    identify: bool = False
    secondary_capture: bool = False
    task_size: int = 200

    def __post_init__(self) -> None:
        from pydicom.datadict import tag_for_keyword

        for tag in self.tags:
            if tag not in SAFE_TAGS and tag_for_keyword(tag) is None:
                raise InfmapError(f"expected --tag to be a keyword of DICOM, found {tag!r}")
            if tag not in SAFE_TAGS and not self.identify:
                raise InfmapError(
                    f"--tag {tag} may name somebody: give --identify too, or choose among "
                    f"{', '.join(SAFE_TAGS)}"
                )
        if unknown := [name for name in self.maps if name not in MAPS]:
            raise InfmapError(
                f"expected --maps to be some of {','.join(MAPS)}, found {', '.join(unknown)}"
            )
        if self.task_size < 1:
            raise InfmapError(f"expected --task-size of at least 1, found {self.task_size}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """The plan of a run: its model, its options and its radiographs.

    Parameters
    ----------
    inputs
        As they were given, a query with them.
    model
        The model's identity.
    options
        What is computed and kept for each radiograph.
    stand_in
        Stand-in for nothing, which another secret for UIDs would change.
    version
        Version of infmap-kit.
    radiographs
        Number of radiographs; they are numbered from 0.
    repeated
        Number of repeated inputs that were left out.
    made_at
        Time, ISO 8601 in UTC; what came into a folder later is not part of it.
    """

    inputs: list[str]
    model: dict[str, str]
    options: dict[str, Any]
    stand_in: str
    version: str
    radiographs: int
    repeated: int
    made_at: str

    @property
    def task_size(self) -> int:
        """Radiographs of one task."""
        return int(self.options["task_size"])

    @property
    def tasks(self) -> int:
        """Number of tasks."""
        return -(-self.radiographs // self.task_size)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Task:
    """Radiographs that one worker is given together: ``(number, locator)`` each."""

    number: int
    items: tuple[tuple[int, bytes], ...]


def plan_of(
    folder: Path,
    inputs: list[str],
    query: Query,
    model: ModelIdentity,
    options: CohortOptions,
    *,
    progress: Progress = no_progress,
) -> tuple[Plan, bool]:
    """The plan in a folder, made where there is none; and whether it was there already.

    Raises
    ------
    InfmapError
        When the plan that is there is of other inputs, options, secrets, another model or version; or when
        there is no radiograph.
    """
    place = folder / "plan"
    told = [*inputs, *(f"{name}={value}" for name, value in dataclasses.asdict(query).items())]
    asked: dict[str, Any] = {
        "inputs": told,
        "model": dict(model),
        # As JSON gives them back.
        "options": {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in dataclasses.asdict(options).items()
        },
        "stand_in": stand_in(b""),
        "version": __version__,
    }
    if (place / "plan.json").is_file():
        plan = read_plan(folder)
        for name, value in asked.items():
            if getattr(plan, name) != value:
                what = _SAID.get(name, name)
                raise InfmapError(
                    f"{folder} holds a run with another {what}: give another --output, or the same again"
                )
        return plan, True
    with writing_to(folder):
        make_private(folder)
        make_private(place)
        made = (one for text in inputs for one in locators_of(text, query))
        radiographs, repeated = _write_inputs(place, made, progress)
        if not radiographs:
            raise InfmapError(f"expected radiographs in {', '.join(inputs)}, found none")
        plan = Plan(
            **asked,
            radiographs=radiographs,
            repeated=repeated,
            made_at=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        )
        write_json(place / "plan.json", dataclasses.asdict(plan), private=True)
    return plan, False


_SAID = {"stand_in": "secret for UIDs", "version": "version of infmap-kit", "inputs": "INPUT"}


def read_plan(folder: Path) -> Plan:
    """The plan of a folder.

    Raises
    ------
    SpecError
        When there is none, or it is damaged.
    """
    path = folder / "plan" / "plan.json"
    return typed(Plan, read_json(path), str(path))


def tasks_of(folder: Path, plan: Plan, *, without: Iterable[int] = ()) -> Iterator[Task]:
    """The tasks of a plan in their order, less those that are done; a row group is in memory at a time."""
    import pyarrow.parquet as pq

    done, size = set(without), plan.task_size
    with pq.ParquetFile(folder / "plan" / "inputs.parquet") as file:
        waiting: list[bytes] = []
        first = 0
        for group in range(file.num_row_groups):
            waiting += file.read_row_group(group).column(0).to_pylist()
            is_last = group + 1 == file.num_row_groups
            while len(waiting) >= size or (is_last and waiting):
                items = tuple(enumerate(waiting[:size], first))
                if first // size not in done:
                    yield Task(number=first // size, items=items)
                del waiting[:size]
                first += len(items)


def _write_inputs(folder: Path, locators: Iterable[bytes], progress: Progress) -> tuple[int, int]:
    """Write locators, each once, and give how many there are and how many came again."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([("locator", pa.binary())])
    beside, path = folder / ".inputs.part", folder / "inputs.parquet"
    known: set[bytes] = set()
    block: list[bytes] = []
    repeated = 0
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with (
        os.fdopen(descriptor, "wb") as file,
        pq.ParquetWriter(file, schema, compression="zstd", use_dictionary=False) as writer,
    ):

        def write() -> None:
            writer.write_table(pa.table({"locator": block}, schema))
            progress("listing radiographs", len(known), len(known))
            block.clear()

        for locator in locators:
            digest = hashlib.blake2b(locator, digest_size=16).digest()
            if digest in known:
                repeated += 1
                continue
            known.add(digest)
            block.append(locator)
            if len(block) == _BLOCK:
                write()
        if block:
            write()
    beside.replace(path)
    return len(known), repeated
