"""The COVID-19 image data collection of Cohen and others (GitHub: ieee8023/covid-chestxray-dataset).

``metadata.csv`` says patient, age, view, finding and the licence of each picture; CT pictures are left out.
There are no infection masks.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from infmap_train.data.dataset import COVID, NORMAL, OTHER, Sample
from infmap_train.data.readers.reader import (
    Entry,
    Reader,
    has_columns,
    read_table,
    samples_of,
    the_one,
    years,
)

_COLUMNS = ("patientid", "sex", "age", "finding", "view", "filename", "license")


def _read(folder: Path, marks: Sequence[Path]) -> list[Sample]:
    table = the_one(marks)
    # Its pictures lie in a folder beside; others, such as annotations, are none of the radiographs.
    images = table.parent / "images"
    rows = read_table(table, *_COLUMNS)
    return samples_of("cohen", images if images.is_dir() else folder, map(_entry, rows))


def _entry(row: dict[str, str]) -> Entry:
    finding = row["finding"]
    kind = NORMAL if finding.lower() in ("no finding", "normal") else OTHER
    if "COVID-19" in finding:
        kind = COVID
    return Entry(
        picture=row["filename"],
        kind=kind,
        patient=row["patientid"],
        # PA, AP, AP Supine, AP Erect; else L, Axial, Coronal and CT.
        frontal=row["view"].split(" ")[0] in ("PA", "AP"),
        details={
            "patient_id": row["patientid"],
            "finding": finding,
            "view": row["view"],
            "sex": row["sex"],
            "age": years(row["age"]),
            "licence": row["license"],
        },
    )


def _is_table(_folder: Path, mark: Path) -> bool:
    return has_columns(mark, *_COLUMNS)


READER = Reader(
    name="ieee8023",
    title="the COVID-19 image data collection (ieee8023)",
    mark="metadata.csv",
    read=_read,
    knows=_is_table,
)
