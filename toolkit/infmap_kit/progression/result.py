"""One radiograph's result, read back from the JSON that `infmap-kit infer` or the node wrote."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping
from pathlib import Path, PurePath

from infmap_kit.answer.severity import Grades
from infmap_kit.errors import SpecError
from infmap_kit.progression.fields import Fields, printable

SIDES = ("right", "left")
"""The patient's lungs."""

GRADES = ("none", "mild", "moderate", "severe")

_GRADES = "0,25,50"
"""Cut-offs of a server that states none."""

_SECONDARY_CAPTURES = (".sc.dcm", "-sc.dcm")
"""How `infer` and the node end the names of maps in DICOM."""

_HOW_ONLY = frozenset(("target", "engine_sha256", "model_name", "network"))
"""Of a model's identity: on what it runs, and what follows from the rest. The gate has held every engine
against the same reference; version, graph and precision tell models apart, and whatever else is stated."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Severity:
    """How much is infected, in percent, wherever it is known.

    Parameters
    ----------
    percent
        Of ``severity_of``.
    of
        ``"image"`` or ``"lungs"``.
    lungs
        Side to percent of that lung; a lung that is not known is left out.
    zones
        Side to zone (upper, middle, lower) to percent of that zone.
    at_threshold
        Probability threshold, as text, to percent: how much hangs on it.
    grade
        One of ``GRADES``; empty when none was given.
    cut_offs
        Where one grade ends and the next begins, in percent, rising; empty without a grade.
    """

    percent: float
    of: str
    lungs: Mapping[str, float] = dataclasses.field(default_factory=dict)
    zones: Mapping[str, Mapping[str, float]] = dataclasses.field(default_factory=dict)
    at_threshold: Mapping[str, float] = dataclasses.field(default_factory=dict)
    grade: str = ""
    cut_offs: tuple[float, ...] = ()

    def parts(self) -> dict[str, float]:
        """What a course follows: ``"total"``, and each lung that is known."""
        return {"total": self.percent, **self.lungs}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """What a model said of one radiograph.

    Parameters
    ----------
    file
        The JSON.
    source
        What it calls the radiograph.
    severity
        How much is infected.
    detected
        Whether the condition was detected.
    probability_max
        Largest probability of any pixel.
    model
        Identity of the model, without where it runs.
    patient
        Patient ID or its stand-in; empty when it is not stated.
    taken
        When, by the hospital's wall clock; ``None`` when it is not stated.
    is_shifted
        Whether that is a stand-in, in which only the time to another radiograph is true.
    instance, pixels
        The radiograph's UID and the hash of its pixels, or stand-ins; empty when not stated.
    pictures
        Names of files beside the JSON in which the map may be, the best first.
    """

    file: Path
    source: str
    severity: Severity
    detected: bool
    probability_max: float
    model: Mapping[str, str]
    patient: str = ""
    taken: dt.datetime | None = None
    is_shifted: bool = False
    instance: str = ""
    pixels: str = ""
    pictures: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The radiograph as messages call it."""
        return self.source or self.file.name


def parse_severity(fields: Fields) -> Severity:
    """How much is infected, from a finding's JSON.

    Raises
    ------
    SpecError
        When something is not as it must be.
    """
    of, grade = fields.text("severity_of"), fields.text("grade", "")
    if of not in ("image", "lungs"):
        raise SpecError(
            f'expected severity_of of {fields.where} to be "image" or "lungs", found "{of}"'
        )
    if grade and grade not in GRADES:
        raise SpecError(
            f'expected grade of {fields.where} to be one of {", ".join(GRADES)}, found "{grade}"'
        )
    stated = fields.texts("model")
    lungs, zones = {}, {}
    both = fields.inner("lungs")
    for side in SIDES if both is not None else ():
        lung = both.inner(side) if both is not None else None
        if lung is not None and "severity_percent" in lung:
            lungs[side] = lung.number("severity_percent")
            zones[side] = _zones(lung)
    return Severity(
        percent=fields.number("severity_percent"),
        of=of,
        lungs=lungs,
        zones=zones,
        at_threshold=fields.numbers("severity_at_threshold"),
        grade=grade,
        cut_offs=_cut_offs(stated.get("grades", _GRADES), fields.where) if grade else (),
    )


def _cut_offs(grades: str, where: str) -> tuple[float, ...]:
    """What a server states of its grades: ``0,25,50``."""
    try:
        return dataclasses.astuple(Grades.parse(grades))
    except SpecError as error:
        raise SpecError(
            f'expected grades of {where} to be such as 0,25,50, found "{grades}"'
        ) from error


def _zones(lung: Fields) -> dict[str, float]:
    inner = lung.inner("zones")
    names = () if inner is None else inner.names()
    # A zone without a pixel of lung has no severity.
    return {name: inner.number(name) for name in names if inner is not None and name in inner}


def parse_result(document: object, file: Path) -> Result:
    """Read one result.

    Parameters
    ----------
    document
        What was parsed.
    file
        Where it stands.

    Raises
    ------
    SpecError
        When it is no result of `infmap-kit infer`, or one with something impossible in it.
    """
    fields = Fields(document, str(file))
    missing = [key for key in ("severity_percent", "severity_of", "model") if key not in fields]
    if missing:
        raise SpecError(
            f"{file} is no result of `infmap-kit infer`: {', '.join(missing)} is missing"
        )
    uids = fields.inner("uids")
    return Result(
        file=file,
        source=fields.text("source", ""),
        severity=parse_severity(fields),
        detected=fields.flag("detected"),
        probability_max=fields.number("probability_max", high=1.0),
        model=identity_of(fields.texts("model")),
        patient=fields.text("patient", ""),
        taken=_taken(fields, file),
        is_shifted=fields.flag("study_time_shifted", False),
        instance="" if uids is None else uids.text("instance", ""),
        pixels=fields.text("pixels", ""),
        pictures=_pictures(fields),
    )


def identity_of(model: Mapping[str, str]) -> dict[str, str]:
    """What of a model's identity tells it from others."""
    return {key: value for key, value in sorted(model.items()) if key not in _HOW_ONLY and value}


def _taken(fields: Fields, file: Path) -> dt.datetime | None:
    text = fields.text("study_time", "")
    if not text:
        return None
    try:
        return moment(text)
    except ValueError as error:
        raise SpecError(f"{error} as study_time of {file}") from error


def moment(text: str) -> dt.datetime:
    """Read a date, or a date and a time.

    Raises
    ------
    ValueError
        When it is neither, or names a zone: a hospital's wall clock has none, and times of several zones
        would be put in a wrong order.
    """
    wanted = "expected a time such as 2026-11-22T10:30, without a zone"
    try:
        found = dt.datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f'{wanted}, found "{text}"') from error
    if found.tzinfo is not None:
        raise ValueError(f'{wanted}, found "{text}"')
    return found


def _pictures(fields: Fields) -> tuple[str, ...]:
    """Only names, never paths: nobody's JSON leads to a file elsewhere."""
    painted = [fields.text("infection_map", "")]
    objects = [name for name in fields.list("dicom") if isinstance(name, str)]
    painted += [printable(name) for name in objects if name.endswith(_SECONDARY_CAPTURES)]
    return tuple(PurePath(name).name for name in painted if name)
