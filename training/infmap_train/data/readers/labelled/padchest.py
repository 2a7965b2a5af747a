"""PadChest: ``PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv`` (or ``.csv.gz``) and 16-bit PNG files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from infmap_train.data.dataset import NORMAL, OTHER, Sample
from infmap_train.data.readers.reader import (
    Entry,
    Reader,
    quoted_words,
    read_table,
    samples_of,
    the_one,
)

_COLUMNS = (
    *("ImageID", "StudyDate_DICOM", "PatientID", "PatientBirth", "PatientSex_DICOM"),
    *("Projection", "Labels"),
)

# The others are L (lateral), COSTAL (of ribs) and EXCLUDE.
_FRONTAL = ("PA", "AP", "AP_horizontal")


def _read(folder: Path, marks: Sequence[Path]) -> list[Sample]:
    return samples_of("padchest", folder, map(_entry, read_table(the_one(marks), *_COLUMNS)))


def _entry(row: dict[str, str]) -> Entry:
    labels = quoted_words(row["Labels"])
    return Entry(
        picture=row["ImageID"],
        # Whatever stands beside "normal" is a finding, if only an old one.
        kind=NORMAL if set(labels) == {"normal"} else OTHER,
        patient=row["PatientID"],
        frontal=row["Projection"] in _FRONTAL,
        details={
            "patient_id": row["PatientID"],
            "finding": "|".join(labels),
            "view": row["Projection"],
            "sex": row["PatientSex_DICOM"],
            "age": _age(row),
        },
    )


def _age(row: dict[str, str]) -> str:
    """Years between the year of birth, such as 1930.0, and of the study, such as 20140915."""
    born, seen = row["PatientBirth"].partition(".")[0], row["StudyDate_DICOM"][:4]
    return str(int(seen) - int(born)) if born.isdigit() and seen.isdigit() else ""


READER = Reader(
    name="padchest",
    title="PadChest",
    mark="PADCHEST_chest_x_ray_images_labels_*.csv*",
    read=_read,
)
