"""One radiograph's result, read back from the JSON that `infmap-kit infer` or the node wrote."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
from collections.abc import Mapping
from pathlib import Path

from infmap_kit.answer.severity import Grades
from infmap_kit.errors import SpecError
from infmap_kit.model.identity import ModelIdentity
from infmap_kit.model.paint import PARAMETERS
from infmap_kit.model.severity_noise import PARAMETER as NOISE
from infmap_kit.model.severity_noise import SeverityNoise
from infmap_kit.progression.fields import Fields, file_name, shown
from infmap_kit.report.numbers import shown_percent

SIDES = ("right", "left")
"""The patient's lungs."""

GRADES = ("none", "mild", "moderate", "severe")

_GRADES = "0,25,50"
"""Cut-offs of a server that states none."""

_ROUNDING = 0.05
"""Percentage points by which a whole may lie outside its parts: half of what is shown."""

_SECONDARY_CAPTURES = (".sc.dcm", "-sc.dcm")
"""Ends of the names of maps in DICOM, of `infer` and of the node."""

_NOT_COMPARED = frozenset(("target", "engine_sha256", "model_name", "network", NOISE)) | PARAMETERS
"""Parameters that say on what a model runs, how its maps are painted or what was measured of it, or follow from
the others. The gate has held every engine against the same reference; version, graph and precision tell models
apart, and whatever else is stated."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Severity:
    """The infected share in percent, in each region where it is known.

    Parameters
    ----------
    percent
        Infected share of the image, or of the lungs.
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
        Bounds between the grades in percent, rising; empty without grades.
    """

    percent: float
    of: str
    lungs: Mapping[str, float] = dataclasses.field(default_factory=dict)
    zones: Mapping[str, Mapping[str, float]] = dataclasses.field(default_factory=dict)
    at_threshold: Mapping[str, float] = dataclasses.field(default_factory=dict)
    grade: str = ""
    cut_offs: tuple[float, ...] = ()

    def shown_percent(self, part: str = "total") -> str:
        """A part's share as text, without its sign; the whole's stays on its side of the grades' ends."""
        cut_offs = self.cut_offs if part == "total" else ()
        return shown_percent(self.parts()[part], cut_offs, decimals=1)

    def parts(self) -> dict[str, float]:
        """Severities that a course follows: ``"total"``, and each lung that is known."""
        return {"total": self.percent, **self.lungs}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """A model's answer about one radiograph.

    Parameters
    ----------
    file, source
        The JSON, and the radiograph's name in it.
    severity
        Infected share.
    detected
        Whether the condition was detected.
    probability_max
        Largest probability of any pixel.
    model
        The parameters that tell the model from others, from :func:`compared_identity`.
    stated_noise
        Noise of the severity that the model states; ``None`` if it states none.
    patient
        Patient ID or its stand-in; empty when it is not stated.
    taken
        When it was taken, by the hospital's wall clock; ``None`` when it is not stated.
    is_shifted
        Whether that is a stand-in, in which only the time to another radiograph is true.
    instance, pixels
        The radiograph's UID and the hash of its pixels, or stand-ins; empty when not stated.
    pictures
        Names of files beside the JSON in which the map may be, the best first.
    warnings
        Codes of what is doubtful about the radiograph or the answer.
    sides_assumed
        Whether the file did not state which side is which, and results name them all the same.
    """

    file: Path
    source: str
    severity: Severity
    detected: bool
    probability_max: float
    model: ModelIdentity
    stated_noise: SeverityNoise | None = None
    patient: str = ""
    taken: dt.datetime | None = None
    is_shifted: bool = False
    instance: str = ""
    pixels: str = ""
    pictures: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    sides_assumed: bool = False

    @property
    def name(self) -> str:
        """The radiograph as messages call it."""
        return self.source or shown(self.file.name)


def parse_severity(fields: Fields) -> Severity:
    """Read the severities of an answer's JSON.

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
    both = fields.inner("lungs")
    lungs, zones = {}, {}
    for side in SIDES:
        lung = both.inner(side)
        if "severity_percent" in lung:
            lungs[side] = lung.number("severity_percent")
            # A zone without a pixel of lung has no severity.
            inner = lung.inner("zones")
            zones[side] = {name: inner.number(name) for name in inner.names() if name in inner}
            _require_between(lungs[side], zones[side], lung)
    percent = fields.number("severity_percent")
    _require_between(percent, lungs, fields)
    return Severity(
        percent=percent,
        of=of,
        lungs=lungs,
        zones=zones,
        at_threshold=fields.numbers("severity_at_threshold"),
        grade=grade,
        cut_offs=_cut_offs(stated.get("grades", _GRADES), fields.where) if grade else (),
    )


def _require_between(percent: float, parts: Mapping[str, float], whole: Fields) -> None:
    """Every pixel of a whole is of one of its parts, so its severity lies between theirs."""
    values = parts.values()
    if values and not min(values) - _ROUNDING <= percent <= max(values) + _ROUNDING:
        stated = ", ".join(f"{name} {value:g}" for name, value in parts.items())
        raise SpecError(
            f"expected severity_percent of {whole.where} to lie between those of its parts ({stated}), found "
            f"{percent:g}: make the result again"
        )


def _cut_offs(grades: str, where: str) -> tuple[float, ...]:
    """The bounds of the grades as a server states them: ``0,25,50``."""
    try:
        return Grades.parse(grades).cut_offs
    except SpecError as error:
        raise SpecError(
            f'expected grades of {where} to be such as 0,25,50, found "{grades}"'
        ) from error


def parse_result(document: object, file: Path) -> Result:
    """Read one result out of the document of a file.

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
    model = fields.texts("model")
    return Result(
        file=file,
        source=fields.text("source", ""),
        severity=parse_severity(fields),
        detected=fields.flag("detected"),
        probability_max=fields.number("probability_max", high=1.0),
        model=compared_identity(model),
        stated_noise=SeverityNoise.from_parameters(model),
        patient=fields.text("patient", ""),
        taken=_taken(fields, file),
        is_shifted=fields.flag("study_time_shifted", False),
        instance=fields.inner("uids").text("instance", ""),
        pixels=fields.text("pixels", ""),
        pictures=_pictures(fields),
        warnings=_codes(fields),
        sides_assumed=not fields.flag("sides_stated", True),
    )


def _codes(fields: Fields) -> tuple[str, ...]:
    """The codes of the warnings; earlier versions wrote none."""
    listed = fields.list("warnings") if "warnings" in fields else []
    where = f"warnings of {fields.where}"
    return tuple(dict.fromkeys(Fields(one, where).text("code") for one in listed))


def compared_identity(model: Mapping[str, str]) -> ModelIdentity:
    """The parameters of a model that tell it from others."""
    return ModelIdentity(
        {key: value for key, value in model.items() if value and key not in _NOT_COMPARED}
    )


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
    with contextlib.suppress(ValueError):
        time = dt.datetime.fromisoformat(text)
        if time.tzinfo is None:
            return time
    raise ValueError(f'expected a time such as 2026-11-22T10:30, without a zone, found "{text}"')


def _pictures(fields: Fields) -> tuple[str, ...]:
    """Read the names of pictures, never paths, so that no JSON leads to a file elsewhere."""
    objects = [file_name(name) for name in fields.list("dicom") if isinstance(name, str)]
    captures = [name for name in objects if name.endswith(_SECONDARY_CAPTURES)]
    return tuple(name for name in (fields.name("infection_map"), *captures) if name)
