"""NIH ChestX-ray14: ``Data_Entry_2017.csv`` or ``Data_Entry_2017_v2020.csv``, and ``00000013_002.png``.

Labels were mined from reports, so that some are wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from infmap_train.data.dataset import NORMAL, OTHER, Sample
from infmap_train.data.readers.reader import Entry, Reader, read_table, samples_of, the_one, years

_IMAGE, _FINDINGS, _PATIENT = "Image Index", "Finding Labels", "Patient ID"


def _read(folder: Path, marks: Sequence[Path]) -> list[Sample]:
    columns = (_IMAGE, _FINDINGS, _PATIENT, "Patient Age", "View Position")
    return samples_of("nih", folder, map(_entry, read_table(the_one(marks), *columns)))


def _entry(row: dict[str, str]) -> Entry:
    finding = row[_FINDINGS]
    return Entry(
        picture=row[_IMAGE],
        kind=NORMAL if finding == "No Finding" else OTHER,
        patient=row[_PATIENT].lstrip("0"),
        frontal=row["View Position"] in ("PA", "AP", ""),
        details={
            "patient_id": row[_PATIENT],
            "finding": finding,
            "view": row["View Position"],
            "age": years(row["Patient Age"]),
        },
    )


READER = Reader(name="nih", title="NIH ChestX-ray14", mark="Data_Entry_2017*.csv", read=_read)
