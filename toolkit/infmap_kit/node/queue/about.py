"""The facts that lists show beside a radiograph: accession number, and the figures of its finding."""

from __future__ import annotations

import dataclasses
import sqlite3


@dataclasses.dataclass(frozen=True, kw_only=True)
class Figures:
    """The figures of a model's answer.

    Parameters
    ----------
    severity_percent, severity_of
        As in :class:`~infmap_kit.answer.answer.Answer`.
    grade
        Grade of the severity; empty where no lungs are served or found.
    probability_max
        Highest probability of the map, 0 to 1.
    """

    severity_percent: float
    severity_of: str
    grade: str
    probability_max: float


def set_accession(sql: sqlite3.Connection, image_id: int, accession: str) -> None:
    """Note a radiograph's accession number, and forget the figures of an earlier file."""
    sql.execute(
        "INSERT OR REPLACE INTO about (image_id, accession) VALUES (?, ?)", (image_id, accession)
    )


def set_figures(sql: sqlite3.Connection, image_id: int, figures: Figures | None) -> None:
    """Note the figures of a radiograph's finding; ``None`` where there is none."""
    empty = dict.fromkeys(field.name for field in dataclasses.fields(Figures))
    values = empty if figures is None else dataclasses.asdict(figures)
    # A program of an earlier version has entered none for its radiographs.
    sql.execute("INSERT OR IGNORE INTO about (image_id) VALUES (?)", (image_id,))
    sql.execute(
        "UPDATE about SET severity_percent = :severity_percent, severity_of = :severity_of,"
        " grade = :grade, probability_max = :probability_max WHERE image_id = :image_id",
        {**values, "image_id": image_id},
    )
