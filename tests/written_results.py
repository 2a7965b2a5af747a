"""DICOM results of made-up findings, and what stands in them."""

from __future__ import annotations

import datetime as dt
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset

from dicom_files import as_file, chest_dataset
from findings import made_up
from infmap_kit.answer.answer import Answer
from infmap_kit.errors import InputRejected
from infmap_kit.imaging.radiograph import Radiograph
from infmap_kit.imaging.readers import decode_radiograph
from infmap_kit.results.dicom.results import ResultKind, dicom_results, rejection_report

NOON = dt.datetime(2026, 3, 1, 12, 0, tzinfo=dt.UTC)


def dicom_radiograph(**tags: Any) -> Radiograph:
    return decode_radiograph(as_file(chest_dataset(**tags)), "x")


def written_objects(
    radiograph: Radiograph,
    finding: Answer | None = None,
    *,
    made_at: dt.datetime | None = NOON,
    **changes: Any,
) -> dict[ResultKind, Dataset]:
    assert radiograph.header is not None
    objects = dicom_results(
        radiograph.header,
        radiograph,
        finding or made_up(radiograph, **changes),
        kinds=list(ResultKind),
        made_at=made_at,
    )
    return dict(zip(ResultKind, objects, strict=True))


def refusal_report(radiograph: Radiograph, **found: Any) -> Dataset:
    rejection = InputRejected(
        "lateral-view", "expected a frontal view", found=found, file="Secret.dcm"
    )
    assert radiograph.header is not None
    return rejection_report(radiograph.header, rejection, made_at=NOON)


def dciodvfy_errors(dataset: Dataset, folder: Path) -> list[str]:
    """Errors that the validator finds."""
    if shutil.which("dciodvfy") is None:
        pytest.skip("needs dciodvfy: apt-get install dicom3tools")
    (folder / "x.dcm").write_bytes(as_file(dataset))
    done = subprocess.run(
        ["dciodvfy", folder / "x.dcm"], capture_output=True, text=True, check=False
    )
    return [line for line in done.stderr.splitlines() if line.startswith("Error")]


def content_items(dataset: Dataset) -> list[Dataset]:
    actual: list[Dataset] = []
    for item in dataset.get("ContentSequence", []):
        actual += [item, *content_items(item)]
    return actual


def concept_name(item: Dataset) -> str:
    return (
        str(item.ConceptNameCodeSequence[0].CodeMeaning)
        if "ConceptNameCodeSequence" in item
        else ""
    )


def report_evaluations(report: Dataset) -> dict[str, str]:
    return {
        concept_name(item): str(item.ConceptCodeSequence[0].CodeMeaning)
        for item in content_items(report)
        if item.ValueType == "CODE"
    }


def report_conclusions(report: Dataset) -> list[str]:
    """Sentences of the container that comes first."""
    first = next(item for item in report.ContentSequence if item.ValueType == "CONTAINER")
    assert concept_name(first) == "Conclusions"
    return [str(item.TextValue) for item in content_items(first) if item.ValueType == "TEXT"]


def finding_sites(item: Dataset) -> str:
    """Where a measurement was made, as in ``Upper zone of lung, Left``."""
    words = []
    for site in item.get("ContentSequence", []):
        if concept_name(site) == "Finding Site":
            words.append(str(site.ConceptCodeSequence[0].CodeMeaning))
            words += [
                str(inner.ConceptCodeSequence[0].CodeMeaning)
                for inner in site.get("ContentSequence", [])
            ]
    return ", ".join(words)
