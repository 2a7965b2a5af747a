"""Experts' scores of severity, from a CSV with a row a radiograph.

Columns: ``name``, and any of ``geographic_mean_0_8`` (extent, 0 to 8), ``opacity_mean_0_6`` (density, 0 to
6; both after Wong et al., as in Cohen et al., Cureus 2020), and the Brixia score of a senior (S) and a junior
(J) radiologist: ``brixia_S_A`` to ``_F`` (zones, 0 to 3) and ``brixia_S_global`` (0 to 18); or a reader's
``severity_percent`` of the lungs (0 to 100), as `infmap-kit view` keeps it. An empty cell is one that was not
scored.
"""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from infmap_kit.errors import TrainingError
from infmap_train.data.problems import Problem, refuse

ZONES = "ABCDEF"
"""Brixia's zones: right upper, middle, lower, then left."""

_ZONE_HIGHEST = 3.0


@dataclasses.dataclass(frozen=True)
class _Score:
    label: str
    column: str
    highest: float
    zones: tuple[str, ...] = ()


_SCORES = (
    _Score("geographic extent", "geographic_mean_0_8", 8),
    _Score("opacity", "opacity_mean_0_6", 6),
    *(
        _Score(
            f"Brixia {who}", f"brixia_{who}_global", 18, tuple(f"brixia_{who}_{z}" for z in ZONES)
        )
        for who in "SJ"
    ),
    _Score("reader", "severity_percent", 100),
)


@dataclasses.dataclass(frozen=True)
class Rating:
    """The scores that one rater gave to pictures: an expert, a network, or masks.

    Parameters
    ----------
    label
        The rater's name.
    total
        (N,) float64 in percent of the highest score; NaN where there is none.
    zones
        (N, 6) float64 likewise, Brixia's A to F; ``None`` for a rater without zones.
    """

    label: str
    total: NDArray[np.float64]
    zones: NDArray[np.float64] | None = None

    def take(self, rows: Sequence[int] | NDArray[np.intp]) -> Rating:
        """The rating of those pictures only."""
        zones = None if self.zones is None else self.zones[rows]
        return dataclasses.replace(self, total=self.total[rows], zones=zones)


def read_scores(path: Path) -> tuple[tuple[str, ...], tuple[Rating, ...]]:
    """Read experts' scores.

    Returns
    -------
    tuple
        The pictures' names, and a rating for each score that the file has.

    Raises
    ------
    UnfitData
        Naming every cell that is no number or out of its score's range, and every name that is there
        twice, all at once.
    TrainingError
        When the file cannot be read, or lacks ``name`` or every score.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except OSError as error:
        raise TrainingError(f"cannot read {path}: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise TrainingError(f"expected CSV in UTF-8 in {path}: {error}") from error
    columns = set(rows[0] if rows else ())
    known = [score for score in _SCORES if score.column in columns]
    if "name" not in columns or not known:
        raise TrainingError(
            f"expected {path} to have the column name and one of "
            f"{', '.join(score.column for score in _SCORES)}, found {', '.join(sorted(columns)) or 'nothing'}"
        )
    names = tuple(row["name"] for row in rows)
    problems = [
        Problem("scored twice", name) for name in sorted({n for n in names if names.count(n) > 1})
    ]
    ratings = tuple(_rating(score, rows, columns, problems) for score in known)
    refuse(problems)
    return names, ratings


def _rating(
    score: _Score, rows: Sequence[Mapping[str, str]], columns: set[str], problems: list[Problem]
) -> Rating:
    total = _percent(rows, score.column, score.highest, problems)
    if not score.zones or not set(score.zones) <= columns:
        return Rating(score.label, total)
    zones = [_percent(rows, column, _ZONE_HIGHEST, problems) for column in score.zones]
    return Rating(score.label, total, np.stack(zones, axis=1))


def _percent(
    rows: Sequence[Mapping[str, str]], column: str, highest: float, problems: list[Problem]
) -> NDArray[np.float64]:
    values = np.full(len(rows), np.nan)
    for number, row in enumerate(rows):
        text = (row[column] or "").strip()
        if not text:
            continue
        try:
            value = float(text)
        except ValueError:
            value = np.nan
        if 0 <= value <= highest:
            values[number] = 100 * value / highest
        else:
            reason = f"{column} is {text!r}, expected a number from 0 to {highest:g}"
            problems.append(Problem(reason, row["name"]))
    return values
