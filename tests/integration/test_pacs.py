"""Results in a real PACS: stored both ways, found under the radiograph's study, read back right."""

from __future__ import annotations

import io
import json
import subprocess
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import generate_uid

from commands import run_command
from dicom_files import as_file, chest_dataset, drawn_chest, encoded
from findings import made_up, probability
from infmap_kit.errors import InputRejected
from infmap_kit.imaging.readers import decode_radiograph
from infmap_kit.results.dicom.results import ResultKind, dicom_results, rejection_report
from infmap_kit.results.journal import JOURNAL
from infmap_kit.triton.server.process import TritonServer
from orthanc import Orthanc
from results import json_lines

_MODALITIES = {"sc": "OT", "seg": "SEG", "sr": "SR", "gsps": "PR"}


def _source(**tags: Any) -> Dataset:
    tags = {"StudyInstanceUID": generate_uid(), "SOPInstanceUID": generate_uid(), **tags}
    return chest_dataset(drawn_chest(300, 420), **tags)


def _results(source: Dataset) -> list[Dataset]:
    radiograph = decode_radiograph(as_file(source), "x")
    assert radiograph.header is not None
    refusal = InputRejected("child", "expected an adult", found={"age_years": 7})
    return [
        *dicom_results(radiograph.header, radiograph, made_up(radiograph), kinds=list(ResultKind)),
        rejection_report(radiograph.header, refusal),
    ]


@pytest.mark.parametrize("way", ["C-STORE", "STOW-RS"])
def test_results_are_stored_under_the_same_study(orthanc: Orthanc, way: str) -> None:
    source = _source(ImagerPixelSpacing=[0.3, 0.2])
    results = _results(source)
    if way == "C-STORE":
        assert orthanc.c_store(source, *results) == [0] * (len(results) + 1)
    else:
        answer = orthanc.stow(source, *results)
        assert len(answer["00081199"]["Value"]) == len(results) + 1
        assert "00081198" not in answer or not answer["00081198"].get("Value")

    actual = {
        one.SOPInstanceUID: one
        for one in orthanc.instances(StudyInstanceUID=source.StudyInstanceUID)
    }
    assert set(actual) == {source.SOPInstanceUID, *(one.SOPInstanceUID for one in results)}
    assert {one.PatientID for one in actual.values()} == {source.PatientID}
    assert sorted(one.Modality for one in actual.values()) == sorted(
        ["CR", "SR", *_MODALITIES.values()]
    )
    capture, segmentation, report, state, refusal = (actual[one.SOPInstanceUID] for one in results)

    mask = segmentation.pixel_array
    assert mask.shape == (300, 420), "the source's own rows and columns"
    native = cv2.resize(probability(), (420, 300), interpolation=cv2.INTER_LINEAR) >= 0.5
    np.testing.assert_array_equal(mask, native)
    assert capture.pixel_array.shape == (capture.Rows, capture.Columns, 3)

    numbers = {
        item.ConceptNameCodeSequence[0].CodeValue: float(item.MeasuredValueSequence[0].NumericValue)
        for item in _walk(report)
        if item.ValueType == "NUM"
    }

    def infected(threshold: float) -> object:
        return pytest.approx(float((probability() >= threshold).mean() * 100), abs=0.005)

    assert numbers == {
        "PROBABILITY-MAX": 0.93,
        "THRESHOLD": 0.5,
        "INFECTED-IMAGE": infected(0.5),
        "IMAGE-AT-0.3": infected(0.3),
        "IMAGE-AT-0.7": infected(0.7),
    }
    evidence = {
        one.ReferencedSOPInstanceUID
        for study in report.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for one in series.ReferencedSOPSequence
    }
    assert evidence == {source.SOPInstanceUID, segmentation.SOPInstanceUID}
    assert state.ReferencedSeriesSequence[0].SeriesInstanceUID == source.SeriesInstanceUID
    assert "expected an adult" in [item.get("TextValue") for item in _walk(refusal)]


def test_a_repeated_run_stores_nothing_twice(orthanc: Orthanc) -> None:
    source = _source()
    for _ in range(3):
        assert set(orthanc.c_store(*_results(source))) == {0}
        orthanc.stow(*_results(source))
    assert len(orthanc.instances(StudyInstanceUID=source.StudyInstanceUID)) == 5


def test_orthanc_draws_what_was_written(orthanc: Orthanc) -> None:
    """The PACS' own rendering is another reader's eye on the pixels."""
    source = _source(PhotometricInterpretation="MONOCHROME2")
    capture, *_ = _results(source)
    orthanc.c_store(capture)
    (instance,) = orthanc.find(SOPInstanceUID=capture.SOPInstanceUID)
    drawn = cv2.imdecode(np.frombuffer(orthanc.preview(instance), np.uint8), cv2.IMREAD_COLOR)
    assert drawn is not None
    np.testing.assert_array_equal(drawn[..., ::-1], capture.pixel_array)


def _walk(dataset: Dataset) -> list[Dataset]:
    actual: list[Dataset] = []
    for item in dataset.get("ContentSequence", []):
        actual += [item, *_walk(item)]
    return actual


def _infer(server: TritonServer, *arguments: object) -> subprocess.CompletedProcess[str]:
    return run_command("infmap-kit", "infer", *arguments, "--url", server.grpc_url)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as hospitals have it: DICOM in several syntaxes, without suffix, pictures, notes."""
    folder = tmp_path_factory.mktemp("mixed")
    (folder / "Secret_Person").mkdir()
    whole = chest_dataset(SOPInstanceUID="1.2.3.1")
    (folder / "Secret_Person" / "IM0001").write_bytes(as_file(whole))
    packed = encoded(chest_dataset(SOPInstanceUID="1.2.3.2"), "1.2.840.10008.1.2.5", folder)
    (folder / "Secret_Person.dcm").write_bytes(packed)
    child = chest_dataset(SOPInstanceUID="1.2.3.3", PatientAge="006Y")
    (folder / "Secret_Child.dcm").write_bytes(as_file(child))
    (folder / "Secret_cut.dcm").write_bytes(as_file(whole)[:3000])
    cv2.imwrite(str(folder / "film.png"), (drawn_chest() // 16).astype(np.uint8))
    (folder / "notes.txt").write_text("about Secret_Person")
    return folder


def test_a_folder_of_mixed_files(
    server: TritonServer, orthanc: Orthanc, mixed: Path, tmp_path: Path
) -> None:
    done = _infer(server, mixed, "--output", tmp_path, "--format", "png,json,dicom,gsps", "--json")
    assert done.returncode == 6, done.stderr
    outcomes = json_lines(done.stdout)
    rejected = {one["rejected"]["code"]: one for one in outcomes if "rejected" in one}
    assert set(rejected) == {"child", "truncated"}
    assert rejected["child"]["rejected"]["found"] == {"age_years": 6, "least_years": 18}
    (report,) = rejected["child"]["dicom"]
    assert "6" in " ".join(str(i.get("TextValue")) for i in _walk(dcmread(report)))

    findings = [one for one in outcomes if "rejected" not in one]
    assert len(findings) == 3
    # The same chest, twice as DICOM: the same answer from the same bits.
    dicom = [one for one in findings if one["dicom"]]
    assert len(dicom) == 2
    assert len({one["probability_max"] for one in dicom}) == 1
    (film,) = [one for one in findings if not one["dicom"]]
    assert Path(film["source"]).name == "film.png"
    assert [warning["code"] for warning in film["warnings"]] == ["no-dicom-source"]

    objects = [dcmread(path) for one in dicom for path in one["dicom"]]
    assert [one.Modality for one in objects] == ["OT", "SEG", "SR", "PR"] * 2
    assert set(orthanc.c_store(*objects)) == {0}
    for one in dicom:
        document = json.loads((tmp_path / f"{one['source']}.json").read_text())
        assert document["uids"]["instance"].startswith("sha256:")


def test_nothing_but_dicom_objects_names_the_patient(
    server: TritonServer, mixed: Path, tmp_path: Path
) -> None:
    done = _infer(
        server, mixed, "--output", tmp_path / "plain", "--format", "png,json,dicom", "--json"
    )
    hidden = ("secret", "4711", "acc0815", "1.2.3.1", "1950", "hidden")
    # What the terminal says of rejected files are the paths that its user gave.
    stated = done.stdout.lower()
    for path in (tmp_path / "plain").rglob("*"):
        stated += path.name.lower()
        if path.suffix == ".json":
            stated += path.read_text().lower()
    for entry in json_lines((tmp_path / "plain" / JOURNAL).read_text()):
        # Digests hold four digits by chance.
        stated += str(
            [entry["stem"], entry["document"], entry["rejected"], entry["written"]]
        ).lower()
    for word in hidden:
        assert word not in stated
    pictures = list((tmp_path / "plain").glob("*.png"))
    assert all(b"ecret" not in path.read_bytes() for path in pictures)

    done = _infer(server, mixed, "--output", tmp_path / "named", "--identify", "--json")
    named = {one["source"] for one in json_lines(done.stdout)}
    assert str(mixed / "Secret_Person.dcm") in named
    document = json.loads((tmp_path / "named" / "IM0001.json").read_text())
    assert document["uids"]["instance"] == "1.2.3.1"


def test_only_what_is_asked_for_is_written(
    server: TritonServer, mixed: Path, tmp_path: Path
) -> None:
    done = _infer(server, mixed / "Secret_Person.dcm", "-o", tmp_path, "--format", "seg,json")
    assert done.returncode == 0, done.stderr
    written = (path.name for path in tmp_path.iterdir() if path.name != JOURNAL)
    suffixes = sorted(name.partition(".")[2] for name in written)
    assert suffixes == ["json", "seg.dcm"]


def test_a_secondary_capture_where_asked(server: TritonServer, tmp_path: Path) -> None:
    path = tmp_path / "capture.dcm"
    path.write_bytes(as_file(chest_dataset(SOPClassUID="1.2.840.10008.5.1.4.1.1.7")))
    refused = _infer(server, path, "-o", tmp_path / "out")
    assert refused.returncode == 6
    assert "--secondary-capture reads those too" in refused.stderr
    done = _infer(server, path, "-o", tmp_path / "out", "--secondary-capture", "--format", "sr")
    assert done.returncode == 0, done.stderr
    (report,) = (tmp_path / "out").glob("*.sr.dcm")
    assert dcmread(io.BytesIO(report.read_bytes())).Modality == "SR"


def test_an_unknown_format_is_said(server: TritonServer, tmp_path: Path) -> None:
    done = _infer(server, "x.png", "-o", tmp_path, "--format", "png,bmp")
    assert done.returncode == 1
    assert done.stderr.startswith("error: expected --format to be some of png,json,dicom,sc,")
