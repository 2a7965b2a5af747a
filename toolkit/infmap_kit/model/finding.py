"""The finding that a network was trained on: name, codes, threshold, colour and words, in one record.

COVID-19 infection is the one that is shipped. A run folder with a ``finding.toml`` is of another::

    name = "Pulmonary tuberculosis"                     # what the map shows
    noun = "tuberculosis"                               # in titles: "Tuberculosis map"
    condition = ["56717001", "SCT", "Tuberculosis"]     # what is detected: code, scheme, meaning

Every other key has a default (see :class:`FindingSpec`). The field names of JSON and the names of tensors are
the interface, and the same for every finding.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from reprlib import repr as _short
from typing import Any, NamedTuple, Self

from infmap_kit.errors import SpecError
from infmap_kit.model.files import parse_json, parse_toml
from infmap_kit.model.spec import DETECTION_THRESHOLD

COLOUR_TABLES = (
    *("autumn", "bone", "jet", "winter", "rainbow", "ocean", "summer", "spring", "cool", "hsv", "pink"),
    *("hot", "parula", "magma", "inferno", "plasma", "viridis", "cividis", "twilight"),
    *("twilight_shifted", "turbo", "deepgreen"),
)  # fmt: skip
"""OpenCV's colour maps by name."""

_PARAMETER = "finding_"
_LONG_STRING = 64
"""Characters of DICOM's value representation LO (PS3.5, 6.2)."""


class Code(NamedTuple):
    """A coded concept, as DICOM has it.

    Parameters
    ----------
    value, scheme, meaning
        As in ``56717001``, ``SCT`` (SNOMED CT), ``Tuberculosis``; a private scheme begins with ``99``.
    """

    value: str
    scheme: str
    meaning: str


_OPACITY = Code("112033", "DCM", "Abnormal opacity")
_SITE = Code("39607008", "SCT", "Lung")
# What a network did, and not what a patient has: below its threshold nothing is known to be absent.
_PRESENT = Code("260373001", "SCT", "Detected")
_ABSENT = Code("260415000", "SCT", "Not detected")


@dataclasses.dataclass(frozen=True, kw_only=True)
class FindingSpec:
    """A finding, and how results speak of it. Texts are ASCII, which every PACS shows.

    Parameters
    ----------
    name
        Name of what the map shows, in up to 40 characters: ``COVID-19 infection``.
    noun
        The same in titles, in up to 16 letters, digits and spaces: ``infection`` map, ``infection`` report.
    condition
        Code of what is detected; its meaning, up to 33 characters, stands over the column of a table.
    affected
        Adjective of a pixel that reaches the threshold: ``infected`` share of the lungs.
    threshold
        Probability in (0, 1) from which a pixel is affected, and a radiograph one with any such pixel; also
        from which a classifier detects.
    colour_table
        The map's: one of :data:`COLOUR_TABLES`.
    display_colour
        CIELAB of the contour in a presentation state: L* in [0, 100], a* and b* in [-128, 127].
    opacity
        Code of what a segment of the mask is.
    site
        Code of where it lies.
    present, absent
        Codes of the two answers.
    detected, not_detected
        The two answers in tables and logs.
    notice, short_notice
        The notice of its use in every JSON and in DICOM objects; the second fits one line with the name.
    code_prefix
        Begins the codes of the project's own concepts that speak of this finding, since one code has one
        meaning only; the noun, when it is not given.

    Raises
    ------
    SpecError
        Naming the first key whose value does not fit.
    """

    name: str
    noun: str
    condition: Code
    affected: str = "affected"
    threshold: float = DETECTION_THRESHOLD
    colour_table: str = "jet"
    display_colour: tuple[float, float, float] = (53.0, 80.0, 67.0)
    opacity: Code = _OPACITY
    site: Code = _SITE
    present: Code = _PRESENT
    absent: Code = _ABSENT
    detected: str = "detected"
    not_detected: str = "not detected"
    notice: str = "For research use, not a medical device."
    short_notice: str = "Research use, not for diagnosis"
    code_prefix: str | None = None

    def __post_init__(self) -> None:
        for key, check in _CHECKS.items():
            object.__setattr__(self, key, check(key, getattr(self, key)))
        if self.code_prefix is None:
            object.__setattr__(self, "code_prefix", f"{self.label.replace(' ', '-')}-")
        elif self.code_prefix:
            _text("code_prefix", self.code_prefix, longest=20, of=_SYMBOL)
        both = f"{self.name}. {self.short_notice}"
        if len(both) > _LONG_STRING:
            raise SpecError(
                f"short_notice: expected at most {_LONG_STRING} characters of DICOM together with the name, "
                f"found {len(both)} in {both!r}"
            )

    @property
    def title(self) -> str:
        """The noun as the first word of a title."""
        return self.noun[0].upper() + self.noun[1:]

    @property
    def label(self) -> str:
        """The noun as a DICOM code string."""
        return self.noun.upper()

    @property
    def caveat(self) -> str:
        """The sentence that says what a detection means and what it does not."""
        return (
            f"Detected means {self.noun}-like opacity on the picture, not {self.condition.meaning} by itself: "
            "other diseases look alike."
        )

    def decision(self, *, detected: bool) -> str:
        """Say in words whether it was detected."""
        return self.detected if detected else self.not_detected

    def as_document(self) -> dict[str, Any]:
        """Return every field, for JSON or TOML; :meth:`of` reads it again."""
        return {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in vars(self).items()
        }

    def as_toml(self) -> str:
        """The text of a ``finding.toml``."""
        # JSON's texts, numbers and lists are TOML's as well.
        return "".join(
            f"{key} = {json.dumps(value)}\n" for key, value in self.as_document().items()
        )

    def as_parameters(self) -> dict[str, str]:
        """Return its differences from COVID-19 infection, as texts for configs, manifests and identities."""
        shipped = COVID_19.as_document()
        return {
            f"{_PARAMETER}{key}": value if isinstance(value, str) else json.dumps(value)
            for key, value in self.as_document().items()
            if value != shipped[key]
        }

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, str]) -> FindingSpec:
        """The finding that :meth:`as_parameters` was made of; COVID-19 infection where there are none.

        Other parameters of a config or an identity are ignored.

        Raises
        ------
        SpecError
            When they are of a newer kind, or damaged.
        """
        document = COVID_19.as_document()
        stated = [name for name in parameters if name.startswith(_PARAMETER)]
        for name in stated:
            key, text = name.removeprefix(_PARAMETER), parameters[name]
            try:
                document[key] = text if isinstance(document.get(key, ""), str) else parse_json(text)
            except ValueError as error:
                raise SpecError(f"{name} of the model is damaged: export again") from error
        return cls.of(document, "the model's finding") if stated else COVID_19

    @classmethod
    def of(cls, document: Mapping[str, Any], where: str) -> Self:
        """The finding of a document, which errors name as ``where``.

        Raises
        ------
        SpecError
            Naming the first key that is missing, is none, or does not fit.
        """
        fields = dataclasses.fields(cls)
        names = [field.name for field in fields]
        for key in document:
            if key not in names:
                raise SpecError(f"{where}: {key} is no key: expected some of {', '.join(names)}")
        for field in fields:
            if field.default is dataclasses.MISSING and field.name not in document:
                raise SpecError(f"{where}: {field.name} is missing")
        try:
            return cls(**document)
        except SpecError as error:
            raise SpecError(f"{where}: {error}") from error

    @classmethod
    def parse(cls, content: bytes, where: str) -> Self:
        """The finding of the bytes of a TOML file, which errors name as ``where``.

        Raises
        ------
        SpecError
            When it is not TOML, or no finding.
        """
        return cls.of(parse_toml(content, where), where)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a TOML file.

        Raises
        ------
        SpecError
            When it cannot be read, is not TOML, or no finding.
        """
        try:
            content = path.read_bytes()
        except OSError as error:
            raise SpecError(f"cannot read {path}: {error.strerror}") from error
        return cls.parse(content, str(path))


_PRINTABLE = r"[!-\[\]-~]([ -\[\]-~]*[!-\[\]-~])?", "printable ASCII without backslashes"
_WORDS = r"[A-Za-z0-9]([A-Za-z0-9 ]*[A-Za-z0-9])?", "letters and digits, with spaces between"
_SYMBOL = r"[!-+\--\[\]-~]+", "printable ASCII without spaces, commas and backslashes"


def _text(
    key: str, value: object, *, longest: int = _LONG_STRING, of: tuple[str, str] = _PRINTABLE
) -> str:
    pattern, described = of
    fits = isinstance(value, str) and len(value) <= longest and re.fullmatch(pattern, value)
    if not fits:
        raise SpecError(
            f"{key}: expected 1 to {longest} characters of {described}, found {_short(value)}"
        )
    return str(value)


def _code(key: str, value: object, *, longest: int = _LONG_STRING) -> Code:
    """Value, scheme and meaning, each as long as DICOM allows."""
    if not isinstance(value, list | tuple) or len(value) != len(Code._fields):
        raise SpecError(
            f'{key}: expected a code, its scheme and its meaning, such as ["56717001", "SCT", "Tuberculosis"], '
            f"found {_short(value)}"
        )
    return Code(
        _text(f"{key}[0]", value[0], of=_SYMBOL),
        _text(f"{key}[1]", value[1], longest=16),
        _text(f"{key}[2]", value[2], longest=longest),
    )


def _number(key: str, value: object, low: float, high: float) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not low <= value <= high:
        raise SpecError(f"{key}: expected a number from {low:g} to {high:g}, found {_short(value)}")
    return float(value)


def _colour(key: str, value: object) -> tuple[float, ...]:
    if not isinstance(value, list | tuple) or len(value) != 3:
        raise SpecError(f"{key}: expected L*, a* and b* of CIELAB, found {_short(value)}")
    bounds = ((0, 100), (-128, 127), (-128, 127))
    return tuple(_number(f"{key}[{index}]", value[index], *bounds[index]) for index in range(3))


def _table(key: str, value: object) -> str:
    if value not in COLOUR_TABLES:
        raise SpecError(f"{key}: expected one of {', '.join(COLOUR_TABLES)}, found {_short(value)}")
    return str(value)


# The longest words with which every title and meaning is still a DICOM long string.
_CHECKS: Mapping[str, Callable[[str, Any], Any]] = {
    "name": functools.partial(_text, longest=40),
    "noun": functools.partial(_text, longest=16, of=_WORDS),
    "condition": functools.partial(_code, longest=33),
    "affected": functools.partial(_text, longest=16),
    # At 0 everything would be affected, and at 1 next to nothing could be.
    "threshold": functools.partial(_number, low=0.001, high=0.999),
    "colour_table": _table,
    "display_colour": _colour,
    **dict.fromkeys(("opacity", "site", "present", "absent"), _code),
    **dict.fromkeys(("detected", "not_detected"), functools.partial(_text, longest=24)),
    "notice": functools.partial(_text, longest=400),
    "short_notice": _text,
}

COVID_19 = FindingSpec(
    name="COVID-19 infection",
    noun="infection",
    condition=Code("840539006", "SCT", "COVID-19"),
    affected="infected",
    code_prefix="",
)
"""The finding where no other is named (paper: Degerli et al., 2021)."""
