"""Indiana University's chest X-rays (Open-i), as on Kaggle (raddar/chest-xrays-indiana-university).

``indiana_reports.csv`` has one report a patient, ``indiana_projections.csv`` says which pictures are frontal.
The reports in XML of Open-i itself do not say that, and are not read.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from infmap_train.data.dataset import NORMAL, OTHER, Sample
from infmap_train.data.readers.reader import Entry, Reader, read_table, samples_of, the_one

_REPORTS = "indiana_reports.csv"


def _read(folder: Path, marks: Sequence[Path]) -> list[Sample]:
    projections = the_one(marks)
    reports = {
        row["uid"]: row
        for row in read_table(projections.with_name(_REPORTS), "uid", "MeSH", "Problems")
    }
    rows = read_table(projections, "uid", "filename", "projection")
    return samples_of("indiana", folder, (_entry(row, reports.get(row["uid"], {})) for row in rows))


def _entry(row: dict[str, str], report: dict[str, str]) -> Entry:
    return Entry(
        picture=row["filename"],
        kind=NORMAL if report.get("MeSH", "").lower() == "normal" else OTHER,
        patient=row["uid"],
        frontal=row["projection"] == "Frontal",
        details={
            "patient_id": row["uid"],
            "finding": report.get("Problems", ""),
            "view": row["projection"],
        },
    )


def _has_reports(_folder: Path, mark: Path) -> bool:
    return mark.with_name(_REPORTS).is_file()


READER = Reader(
    name="indiana",
    title="Indiana University's chest X-rays (Open-i)",
    mark="indiana_projections.csv",
    read=_read,
    knows=_has_reports,
)
