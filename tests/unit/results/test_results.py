"""DICOM results are right by dciodvfy, the same objects each time, and name nobody in a log."""

from __future__ import annotations

import dataclasses
import datetime as dt
import io
import json
import logging
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import dcmread

from dicom_files import as_file, chest_dataset
from findings import MODEL, made_up, with_lungs
from infmap_kit.errors import InputRejected
from infmap_kit.imaging.dicom.reader import read_tags
from infmap_kit.imaging.readers import decode_radiograph, read_radiograph
from infmap_kit.results.dicom.results import ResultKind, dicom_results, rejection_report
from infmap_kit.results.dicom.uids import derived_uid
from infmap_kit.results.folder import ResultOptions, ResultsFolder, SourceFile
from infmap_kit.results.tables import findings_table
from written_results import (
    NOON,
    dciodvfy_errors,
    dicom_radiograph,
    refusal_report,
    written_objects,
)

_SOURCES: dict[str, dict[str, Any]] = {
    "a whole CR": {},
    "no spacing, body part, orientation": {
        "ImagerPixelSpacing": None,
        "BodyPartExamined": None,
        "PatientOrientation": None,
    },
    "spacing of zero": {"PixelSpacing": [0, 0]},
    "non-square pixels": {"PixelAspectRatio": [3, 2], "ImagerPixelSpacing": [0.3, 0.2]},
    "lying on its side": {"PatientOrientation": ["F", "L"]},
    "no patient": {"PatientName": "", "PatientID": "", "PatientBirthDate": "", "PatientSex": ""},
    "no study": {"StudyID": None, "StudyDate": None, "StudyTime": None, "AccessionNumber": None},
    "odd values": {"PatientSex": "X", "StudyTime": "1015", "PatientBirthDate": "1950"},
    "Japanese": {
        "SpecificCharacterSet": ["", "ISO 2022 IR 87"],
        "PatientName": "Yamada^Tarou=山田^太郎=やまだ^たろう",
    },
    "UTF-8": {"SpecificCharacterSet": "ISO_IR 192", "PatientName": "Müller^Jürgen"},
    "Latin": {"SpecificCharacterSet": "ISO_IR 100", "PatientName": "Müller^Jürgen"},
}


@pytest.mark.parametrize("tags", _SOURCES.values(), ids=_SOURCES)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_dciodvfy_finds_no_error(tags: dict[str, Any], tmp_path: Path) -> None:
    radiograph = dicom_radiograph(**tags)
    objects = written_objects(radiograph, with_lungs(radiograph))
    for dataset in (*objects.values(), refusal_report(radiograph, view="LL")):
        assert dciodvfy_errors(dataset, tmp_path) == [], dataset.SOPClassUID.name
        again = dcmread(io.BytesIO(as_file(dataset)))
        source = chest_dataset(**tags)
        assert str(again.PatientName) == str(source.get("PatientName", ""))
        assert again.PatientID == source.PatientID
        assert again.StudyInstanceUID == source.StudyInstanceUID


def test_a_repeated_run_makes_the_same_objects() -> None:
    first, second = written_objects(dicom_radiograph()), written_objects(dicom_radiograph())
    for kind in ResultKind:
        assert as_file(first[kind]) == as_file(second[kind])
    later = written_objects(dicom_radiograph(), made_at=NOON + dt.timedelta(hours=3))
    for kind in ResultKind:
        assert later[kind].SOPInstanceUID == first[kind].SOPInstanceUID
        assert later[kind].SeriesInstanceUID == first[kind].SeriesInstanceUID
        differing = {
            element.keyword
            for element in later[kind].iterall()
            if element.VR in ("DA", "TM", "DT") and element.value
        }
        assert as_file(later[kind]) != as_file(first[kind]), "the time is told"
        assert differing


def test_files_of_one_name_are_told_apart(tmp_path: Path) -> None:
    files = [Path("a/chest.png"), Path("b/chest.png"), Path("b/other.png")]
    folder = ResultsFolder(tmp_path, ResultOptions(formats=("json",)), files=files)
    radiograph = dicom_radiograph()
    plain = dataclasses.replace(radiograph, header=None)
    outcomes = [
        folder.write_finding(folder.named(SourceFile.of(file, b"")), plain, made_up(plain))
        for file in files
    ]
    written = [json.loads(o.json_path.read_text())["source"] for o in outcomes if o.json_path]
    assert written == ["a/chest.png", "b/chest.png", "other.png"]
    assert [row[0] for row in findings_table(outcomes).rows] == written


def test_every_source_model_and_kind_has_its_own_uids() -> None:
    other_source = dicom_radiograph(SOPInstanceUID="1.2.3.4")
    other_model = {**MODEL, "precision": "bf16"}
    written = [
        *written_objects(dicom_radiograph()).values(),
        *written_objects(other_source).values(),
        *written_objects(dicom_radiograph(), model=other_model).values(),
        *written_objects(dicom_radiograph(), with_lungs(dicom_radiograph())).values(),
        *written_objects(dicom_radiograph(), model={**MODEL, "temperature": "1.5"}).values(),
        refusal_report(dicom_radiograph()),
    ]
    for uids in ({d.SOPInstanceUID for d in written}, {d.SeriesInstanceUID for d in written}):
        assert len(uids) == len(written)
        assert all(len(uid) <= 64 for uid in uids)


def test_derived_uids_are_stable_over_releases() -> None:
    # A PACS that holds results of an older release must not get them twice.
    assert derived_uid("1.2.3", "identity", "sc", "instance") == (
        "2.25.63850322841413922976821026967245729934"
    )


def test_a_source_without_uid_is_refused() -> None:
    radiograph = dicom_radiograph()
    assert radiograph.header is not None
    del radiograph.header.SOPInstanceUID
    with pytest.raises(InputRejected) as rejected:
        dicom_results(radiograph.header, radiograph, made_up(radiograph))
    assert rejected.value.code == "no-uid"


@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
def test_no_name_is_logged(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    # highdicom warns of names without a caret, and quotes them.
    radiograph = dicom_radiograph(PatientName="Secret Person")
    caplog.clear()
    written_objects(radiograph)
    assert "Secret" not in caplog.text
    assert "Secret" not in "".join(capfd.readouterr())


def test_results_of_real_radiographs(chest_dicoms: list[Path], tmp_path: Path) -> None:
    for path in chest_dicoms:
        radiograph = read_radiograph(path)
        for dataset in written_objects(radiograph).values():
            assert dciodvfy_errors(dataset, tmp_path) == [], (
                f"{path.name}: {dataset.SOPClassUID.name}"
            )


def test_results_of_public_files(shared_data: Path, tmp_path: Path) -> None:
    written = 0
    for path in sorted((shared_data / "dicom").iterdir()):
        content = path.read_bytes()
        try:
            radiograph = decode_radiograph(content, "x", secondary_capture=True)
            objects = list(written_objects(radiograph).values())
        except InputRejected as rejection:
            objects = [rejection_report(read_tags(content), rejection)]
        for dataset in objects:
            assert dciodvfy_errors(dataset, tmp_path) == [], (
                f"{path.name}: {dataset.SOPClassUID.name}"
            )
            written += 1
    assert written == 5 * 4 + 5


_ODD_TEXT = st.one_of(
    st.none(),
    st.sampled_from(
        ["", " ", "X", "Secret", "Secret^" + "x" * 90, "20261301", "99:99", "1\\2\\3", "é"]
    ),
)
_ODD_TAGS = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(
        (
            *(
                "PatientName",
                "PatientID",
                "PatientBirthDate",
                "PatientSex",
                "StudyDate",
                "StudyTime",
            ),
            *("AccessionNumber", "StudyID", "StudyDescription", "ReferringPhysicianName"),
            *("SeriesInstanceUID", "StudyInstanceUID", "SOPInstanceUID", "SOPClassUID", "Modality"),
            *("PixelSpacing", "ImagerPixelSpacing", "PatientOrientation", "SpecificCharacterSet"),
            *("IssuerOfPatientID", "PresentationLUTShape", "RescaleType", "VOILUTFunction"),
        ),
        _ODD_TEXT,
    ),
)


@settings(max_examples=120, deadline=10_000)
@given(tags=_ODD_TAGS)
@pytest.mark.filterwarnings("ignore")
def test_odd_sources_give_results_or_a_reason(tags: dict[str, str | None]) -> None:
    radiograph = dicom_radiograph()
    header = radiograph.header
    assert header is not None
    for name, value in tags.items():
        if value is None:
            header.pop(name, None)
            continue
        try:
            setattr(header, name, value)
        except ValueError:
            continue
    stated = ""
    try:
        for dataset in written_objects(radiograph).values():
            assert dataset.SOPInstanceUID.startswith("2.25.")
    except InputRejected as rejection:
        stated = f"{rejection.code} {rejection}"
    assert "Secret" not in stated
