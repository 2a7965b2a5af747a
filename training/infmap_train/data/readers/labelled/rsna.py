"""RSNA Pneumonia Detection Challenge: ``stage_2_detailed_class_info.csv``, DICOM files named by ``patientId``.

That identifier is one picture's. Who it shows stands in the society's mapping to NIH ChestX-ray14
(``pneumonia-challenge-dataset-mappings_2018.json``), which is used where it lies beside the table. View and age
stand in the DICOM headers.
"""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Sequence
from pathlib import Path

from infmap_kit.errors import TrainingError
from infmap_train.data.dataset import NORMAL, OTHER, Sample
from infmap_train.data.patients import patient_in_name
from infmap_train.data.readers.reader import (
    Entry,
    Reader,
    plain_name,
    read_table,
    samples_of,
    the_one,
)

_log = logging.getLogger(__name__)

_MAPPING = "pneumonia-challenge-dataset-mappings*.json"


def _read(folder: Path, marks: Sequence[Path]) -> list[Sample]:
    table = the_one(marks)
    rows = read_table(table, "patientId", "class")
    mappings = [*table.parent.glob(_MAPPING)] or [*folder.glob(_MAPPING)]
    if not mappings:
        _log.info(
            "%s: who is who is not known, though patients recur: lay RSNA's %s beside %s",
            *(folder, _MAPPING, table.name),
        )
    patients = _patients(mappings[0]) if mappings else {}
    samples = samples_of(
        "rsna",
        folder,
        (
            Entry(
                picture=row["patientId"],
                kind=NORMAL if row["class"] == "Normal" else OTHER,
                details={"finding": row["class"]},
            )
            for row in rows
        ),
    )
    # The patients are NIH ChestX-ray14's, and are called as there, so that the two can be composed.
    return [
        _of_patient(sample, patients.get(plain_name(sample.image.name), "")) for sample in samples
    ]


def _of_patient(sample: Sample, patient: str) -> Sample:
    return dataclasses.replace(sample, group=patient) if patient else sample


def _patients(mapping: Path) -> dict[str, str]:
    """NIH's patient by RSNA's picture."""
    try:
        listed = json.loads(mapping.read_bytes())
        return {row["subset_img_id"]: patient_in_name(plain_name(row["img_id"])) for row in listed}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrainingError(
            f"expected a list with subset_img_id and img_id in {mapping}: {error!r}"
        ) from error


READER = Reader(
    name="rsna",
    title="RSNA Pneumonia Detection Challenge",
    mark="stage_2_detailed_class_info.csv",
    read=_read,
)
