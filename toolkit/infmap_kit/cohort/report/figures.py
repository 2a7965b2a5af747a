"""The figures of a cohort's report, read part by part in bounded memory. Small groups are left out."""

from __future__ import annotations

import dataclasses
import heapq
import math
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from infmap_kit.cohort.parts import each_table
from infmap_kit.cohort.plan import Plan
from infmap_kit.cohort.rows import tag_column

GROUPS = {
    "InstitutionName": "site",
    "Manufacturer": "manufacturer",
    "ManufacturerModelName": "device",
    "StationName": "station",
    "PatientSex": "sex",
    "AgeBand": "age",
}
"""Tags whose values are groups of the report, and what they are called."""

UNKNOWN = "not stated"
_MONTH = "TakenMonth"
_MOST_PICTURES = 5
_MOST_GROUPS = 1000
"""Values of one tag that are counted; a free text may have as many as there are radiographs."""


@dataclasses.dataclass
class Group:
    """Radiographs with one value of a tag; sums, so that it grows row by row.

    Parameters
    ----------
    answered, detected
        Radiographs that the model answered about, and with a finding.
    severity, severity_squares
        Sum of their severities in percent, and of the squares.
    mean, std
        Sums of the means and standard deviations of their pixels.
    """

    answered: int = 0
    detected: int = 0
    severity: float = 0.0
    severity_squares: float = 0.0
    mean: float = 0.0
    std: float = 0.0

    def add(self, row: dict[str, Any]) -> None:
        """Count a row."""
        self.answered += 1
        self.detected += row["detected"]
        self.severity += row["severity_percent"]
        self.severity_squares += row["severity_percent"] ** 2
        self.mean += row["pixel_mean"]
        self.std += row["pixel_std"]

    @property
    def severity_percent(self) -> float:
        """Mean severity."""
        return self.severity / self.answered

    @property
    def severity_error(self) -> float:
        """Standard error of the mean severity, in percentage points."""
        variance = self.severity_squares / self.answered - self.severity_percent**2
        return math.sqrt(max(variance, 0) / self.answered)

    @property
    def detected_percent(self) -> float:
        """Share with a finding."""
        return 100 * self.detected / self.answered


class _Extremes:
    """The rows with the largest values of something, each by its hash."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, str]] = []

    def add(self, value: float, row: dict[str, Any]) -> None:
        heapq.heappush(self._heap, (value, -row["number"], row["content"]))
        if len(self._heap) > _MOST_PICTURES:
            heapq.heappop(self._heap)

    def listed(self) -> list[tuple[float, str]]:
        """Value and hash, the largest first."""
        return [(value, content) for value, _, content in sorted(self._heap, reverse=True)]


class CohortFigures:
    """The figures that a cohort's report says.

    Parameters
    ----------
    plan
        The plan of the run.
    smallest
        Groups of fewer radiographs are left out.
    """

    def __init__(self, plan: Plan, *, smallest: int) -> None:
        self.plan, self.smallest = plan, smallest
        self.rows = 0
        self.rejected: Counter[str] = Counter()
        self.warned: Counter[str] = Counter()
        self.all = Group()
        self._groups: dict[str, defaultdict[str, Group]] = {
            tag: defaultdict(Group) for tag in (*GROUPS, "year", _MONTH) if tag in self._tags()
        }
        self.worst, self.odd = _Extremes(), {name: _Extremes() for name in _ODD}

    def _tags(self) -> list[str]:
        tags = list(self.plan.options["tags"])
        return [*tags, "year"] if _MONTH in tags else tags

    @classmethod
    def of(cls, folder: Path, plan: Plan, *, smallest: int) -> Self:
        """Figures of the rows in a folder; raises what :func:`~infmap_kit.cohort.parts.each_table` does."""
        figures = cls(plan, smallest=smallest)
        tags = [tag_column(tag) for tag in figures._groups if tag != "year"]
        columns = [
            *("number", "content", "rejection", "warnings", "detected", "severity_percent"),
            *("pixel_mean", "pixel_std", *tags),
        ]
        for table in each_table(folder, columns):
            for row in table.to_pylist():
                figures.add(row)
        return figures

    @property
    def waiting(self) -> int:
        """Radiographs of the plan that have no row yet."""
        return self.plan.radiographs - self.rows

    def groups(self, tag: str) -> tuple[list[tuple[str, Group]], int]:
        """Groups of a tag that are large enough, the largest first, and how many are left out.

        Where what is left out together is small, it could be found out from the total: then the smallest of the
        others is left out with it.
        """
        ordered = sorted(self._groups[tag].items(), key=lambda pair: (-pair[1].answered, pair[0]))
        shown = [pair for pair in ordered if pair[1].answered >= self.smallest]
        hidden = ordered[len(shown) :]
        if hidden and shown and sum(group.answered for _, group in hidden) < self.smallest:
            shown.pop()
        return shown, len(ordered) - len(shown)

    def has(self, tag: str) -> bool:
        """Whether anything is known of a tag."""
        return any(value != UNKNOWN for value in self._groups.get(tag, ()))

    def months(self) -> list[tuple[str, Group]]:
        """Month and group, of each month that is large enough, in their order."""
        shown, _ = self.groups(_MONTH) if _MONTH in self._groups else ([], 0)
        return sorted((pair for pair in shown if pair[0] != UNKNOWN), key=lambda pair: pair[0])

    def add(self, row: dict[str, Any]) -> None:
        """Count a row."""
        self.rows += 1
        if row["rejection"]:
            self.rejected[row["rejection"]] += 1
            return
        self.all.add(row)
        self.warned.update(set(row["warnings"] or ()))
        self.worst.add(row["severity_percent"], row)
        for name, (column, sign) in _ODD.items():
            self.odd[name].add(sign * row[column], row)
        for tag, groups in self._groups.items():
            value = row[tag_column(_MONTH if tag == "year" else tag)] or UNKNOWN
            value = value[:4] if tag == "year" and value != UNKNOWN else value
            if value in groups or len(groups) < _MOST_GROUPS:
                groups[value].add(row)


_ODD = {
    "darkest": ("pixel_mean", -1),
    "brightest": ("pixel_mean", 1),
    "least contrast": ("pixel_std", -1),
    "most contrast": ("pixel_std", 1),
}
"""The columns whose extreme values are unusual, and whether those are the largest or the smallest."""


def odd_pictures(figures: CohortFigures) -> Iterator[tuple[str, float, str]]:
    """The unusual pictures: the reason, the value, and the hash of each."""
    for name, (_, sign) in _ODD.items():
        for value, content in figures.odd[name].listed():
            yield name, sign * value, content
