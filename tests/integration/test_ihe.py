"""What docs/ihe.md says of an image manager: it takes results, and another program finds and fetches them.

The image manager is Orthanc; the display that asks it is DCMTK's findscu and movescu, or plain HTTP.
"""

from __future__ import annotations

import dataclasses
import io
import json
import shutil
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import generate_uid

from dicom_files import as_file, chest_dataset
from infmap_kit.imaging.readers import decode_radiograph
from infmap_kit.results.dicom.results import ResultKind
from infmap_kit.serving.server import free_port
from orthanc import AE_TITLE, Orthanc, running_orthanc
from written_results import content_items, written_objects

pytest.importorskip("pynetdicom")
if shutil.which("findscu") is None:
    pytest.skip("needs dcmtk: apt-get install dcmtk", allow_module_level=True)

DISPLAY = "DISPLAY"
MODALITIES = {
    ResultKind.SECONDARY_CAPTURE: "OT",
    ResultKind.SEGMENTATION: "SEG",
    ResultKind.STRUCTURED_REPORT: "SR",
    ResultKind.PRESENTATION_STATE: "PR",
}


@dataclasses.dataclass(frozen=True)
class Stored:
    """A radiograph with its results in an image manager, and a display that may ask it."""

    archive: Orthanc
    display_port: int
    source: Dataset
    results: dict[ResultKind, Dataset]


@pytest.fixture(scope="module", params=["C-STORE", "STOW-RS"])
def stored(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stored]:
    source = chest_dataset(
        StudyInstanceUID=generate_uid(), SeriesInstanceUID=generate_uid(), SOPInstanceUID=generate_uid(),
        PatientID="AIR-1", AccessionNumber="A815",
    )  # fmt: skip
    results = written_objects(decode_radiograph(as_file(source), "x"))
    port = free_port()
    known = {"display": [DISPLAY, "127.0.0.1", port]}
    folder = tmp_path_factory.mktemp("archive")
    with running_orthanc(folder, DicomModalities=known) as archive:
        if request.param == "C-STORE":
            assert set(archive.c_store(source, *results.values())) == {0}
        else:
            answer = archive.stow(source, *results.values())
            assert len(answer["00081199"]["Value"]) == 1 + len(results)
        yield Stored(archive, port, source, results)


def _asked(program: str, stored: Stored, folder: Path, *words: str, **keys: str) -> list[Dataset]:
    """What findscu or movescu brought, as data sets."""
    address = ["-S", "-aet", DISPLAY, "-aec", AE_TITLE, "127.0.0.1", str(stored.archive.dicom_port)]
    query = [word for name, value in keys.items() for word in ("-k", f"{name}={value}")]
    subprocess.run(
        [program, *words, "-od", folder, *address, *query], check=True, timeout=60, capture_output=True
    )  # fmt: skip
    return [dcmread(path, force=True) for path in sorted(folder.iterdir())]


def test_results_are_found_by_c_find(stored: Stored, tmp_path: Path) -> None:
    study, *others = _asked(
        "findscu", stored, _new(tmp_path), "-X", QueryRetrieveLevel="STUDY", PatientID="AIR-1",
        AccessionNumber="A815", StudyInstanceUID="", ModalitiesInStudy="",
    )  # fmt: skip
    assert not others, "they are in the radiograph's own study"
    assert study.StudyInstanceUID == stored.source.StudyInstanceUID
    assert set(study.ModalitiesInStudy) == {"CR", *MODALITIES.values()}
    for kind, modality in MODALITIES.items():
        expected = stored.results[kind]
        (series,) = _asked(
            "findscu", stored, _new(tmp_path), "-X", QueryRetrieveLevel="SERIES", Modality=modality,
            StudyInstanceUID=study.StudyInstanceUID, SeriesInstanceUID="", SeriesDescription="",
        )  # fmt: skip
        assert series.SeriesInstanceUID == expected.SeriesInstanceUID
        assert series.SeriesDescription == expected.SeriesDescription
        (instance,) = _asked(
            "findscu", stored, _new(tmp_path), "-X", QueryRetrieveLevel="IMAGE", SOPClassUID="",
            StudyInstanceUID=study.StudyInstanceUID, SeriesInstanceUID=series.SeriesInstanceUID,
            SOPInstanceUID="",
        )  # fmt: skip
        assert instance.SOPInstanceUID == expected.SOPInstanceUID
        assert instance.SOPClassUID == expected.SOPClassUID


def test_results_are_found_by_qido(stored: Stored) -> None:
    (study,) = _web(stored, "/studies", PatientID="AIR-1", AccessionNumber="A815")
    assert _value(study, "StudyInstanceUID") == stored.source.StudyInstanceUID
    below = f"/studies/{stored.source.StudyInstanceUID}"
    for kind, modality in MODALITIES.items():
        expected = stored.results[kind]
        (series,) = _web(stored, f"{below}/series", Modality=modality)
        assert _value(series, "SeriesInstanceUID") == expected.SeriesInstanceUID
        (instance,) = _web(stored, f"{below}/series/{expected.SeriesInstanceUID}/instances")
        assert _value(instance, "SOPInstanceUID") == expected.SOPInstanceUID
        assert _value(instance, "SOPClassUID") == expected.SOPClassUID


def test_what_a_display_fetches_is_what_was_sent(stored: Stored, tmp_path: Path) -> None:
    fetched = _asked(
        "movescu", stored, _new(tmp_path), "-aem", DISPLAY, "+P", str(stored.display_port), "+xa",
        QueryRetrieveLevel="STUDY", StudyInstanceUID=stored.source.StudyInstanceUID,
    )  # fmt: skip
    actual = {one.SOPInstanceUID: one for one in fetched}
    assert len(actual) == len(fetched) == 1 + len(stored.results)
    for expected in stored.results.values():
        assert actual[expected.SOPInstanceUID] == dcmread(io.BytesIO(as_file(expected)))


def test_the_report_names_procedure_algorithm_and_segment(stored: Stored) -> None:
    """What docs/ihe.md lists of the report's content, read back from the image manager."""
    report, mask = (
        stored.archive.instances(SOPInstanceUID=stored.results[kind].SOPInstanceUID)[0]
        for kind in (ResultKind.STRUCTURED_REPORT, ResultKind.SEGMENTATION)
    )
    assert report.ContentTemplateSequence[0].TemplateIdentifier == "1500"
    assert (report.CompletionFlag, report.VerificationFlag) == ("COMPLETE", "UNVERIFIED")
    told = {item.ConceptNameCodeSequence[0].CodeValue: item for item in content_items(report)}
    assert told["121058"].ConceptCodeSequence[0].CodeMeaning == "Plain X-ray of chest"
    assert told["111001"].TextValue == report.ManufacturerModelName, "Algorithm Name"
    assert f"model {told['111003'].TextValue}" in report.SoftwareVersions, "Algorithm Version"
    (segment,) = mask.SegmentSequence
    assert told["112039"].TextValue == segment.TrackingID
    assert segment.TrackingUID == told["112040"].UID
    referred = [
        item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
        for item in content_items(report)
        if item.ValueType == "IMAGE"
    ]
    assert set(referred) == {mask.SOPInstanceUID, stored.source.SOPInstanceUID}


def _new(folder: Path) -> Path:
    made = folder / f"answers-{len(list(folder.iterdir()))}"
    made.mkdir()
    return made


def _web(stored: Stored, path: str, **query: str) -> list[dict[str, Any]]:
    url = f"{stored.archive.dicomweb_url}{path}?{urllib.parse.urlencode(query)}"
    asked = urllib.request.Request(url, headers={"Accept": "application/dicom+json"})
    with urllib.request.urlopen(asked, timeout=30) as answer:
        found: list[dict[str, Any]] = json.load(answer)
    return found


def _value(attributes: dict[str, Any], keyword: str) -> Any:
    return getattr(Dataset.from_json(attributes), keyword)
