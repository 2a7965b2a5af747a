"""What is let in and what is refused by its tags; nothing said may quote a tag's own words."""

from __future__ import annotations

import io
import json
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    SecondaryCaptureImageStorage,
)

from dicom_files import as_file, chest_dataset, drawn_chest
from infmap_kit.errors import InputRejected
from infmap_kit.imaging.dicom.acceptance import age_years
from infmap_kit.imaging.radiograph import Radiograph
from infmap_kit.imaging.readers import decode_radiograph


def _code(value: str, scheme: str = "SCT", meaning: str = "Secret^Person") -> Sequence:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return Sequence([item])


def _read(secondary_capture: bool = False, **tags: Any) -> Radiograph:
    content = as_file(chest_dataset(**tags))
    return decode_radiograph(content, "x", secondary_capture=secondary_capture)


@pytest.mark.parametrize(
    ("tags", "code", "actual"),
    [
        ({"Modality": "CT"}, "modality", {"modality": "CT"}),
        ({"Modality": "Secret^Person"}, "modality", {"modality": "none of them"}),
        ({"BodyPartExamined": "KNEE"}, "not-a-chest", {"body_part": "KNEE"}),
        ({"BodyPartExamined": "Extremity "}, "not-a-chest", {"body_part": "EXTREMITY"}),
        ({"ViewPosition": "LL"}, "lateral-view", {"view": "LL"}),
        ({"ViewPosition": "LATERAL"}, "lateral-view", {"view": "LATERAL"}),
        ({"ViewPosition": "RLO"}, "oblique-view", {"view": "RLO"}),
        ({"ViewPosition": "LLD"}, "oblique-view", {"view": "LLD"}),
        (
            {"ViewPosition": None, "ViewCodeSequence": _code("399173006")},
            "lateral-view",
            {"view": "View Code Sequence"},
        ),
        (
            {"ViewPosition": None, "ViewCodeSequence": _code("R-102C1", "SRT")},
            "oblique-view",
            {"view": "View Code Sequence"},
        ),
        (
            {"ViewPosition": None, "PatientOrientation": ["A", "F"]},
            "lateral-view",
            {"view": "Patient Orientation"},
        ),
        # A lateral view that lies on its side, whatever the view position says.
        *(
            ({"PatientOrientation": directions}, "lateral-view", {"view": "Patient Orientation"})
            for directions in (["F", "A"], ["H", "A"], ["F", "P"], ["AF", "H"], ["H", "PL"])
        ),
        ({"PatientAge": "007Y"}, "child", {"age_years": 7, "least_years": 18}),
        ({"PatientAge": "030M"}, "child", {"age_years": 2, "least_years": 18}),
        ({"PatientAge": "012D"}, "child", {"age_years": 0, "least_years": 18}),
        ({"PatientAge": "17 y"}, "child", {"age_years": 17, "least_years": 18}),
        ({"PatientAge": "017YR"}, "child", {"age_years": 17, "least_years": 18}),
        ({"PatientBirthDate": "20080302"}, "child", {"age_years": 17, "least_years": 18}),
        ({"PatientBirthDate": "2008.03.02"}, "child", {"age_years": 17, "least_years": 18}),
        ({"PatientBirthDate": "2008-03-02"}, "child", {"age_years": 17, "least_years": 18}),
        ({"PatientSpeciesDescription": "Secret Cat"}, "animal", {"told_by": ["species"]}),
        (
            {"PatientSpeciesCodeSequence": _code("448771007")},
            "animal",
            {"told_by": ["species"]},
        ),
        ({"PatientBreedDescription": "Beagle"}, "animal", {"told_by": ["breed"]}),
        (
            {"PatientSexNeutered": "ALTERED", "ResponsiblePersonRole": "OWNER"},
            "animal",
            {"told_by": ["neutered", "owner"]},
        ),
        ({"NumberOfFrames": 2}, "multi-frame", {"frames": 2}),
        ({"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3}, "colour", {"samples": 3}),
        ({"BitsAllocated": 32}, "pixel-type", {"bits_allocated": 32}),
        (
            {"SOPClassUID": SecondaryCaptureImageStorage},
            "secondary-capture",
            {"modality": "CR", "secondary_capture_class": True},
        ),
        (
            {"Modality": "OT"},
            "secondary-capture",
            {"modality": "OT", "secondary_capture_class": False},
        ),
    ],
)
def test_rejects(tags: dict[str, Any], code: str, actual: dict[str, Any]) -> None:
    with pytest.raises(InputRejected) as rejected:
        _read(**tags)
    assert rejected.value.code == code
    assert rejected.value.found == actual
    stated = str(rejected.value) + json.dumps(actual)
    assert "Secret" not in stated
    assert "\n" not in stated


@pytest.mark.parametrize(
    ("tags", "codes"),
    [
        ({}, []),
        ({"ViewPosition": "AP", "BodyPartExamined": "THORAX"}, []),
        ({"ViewPosition": None, "ViewCodeSequence": _code("272479007")}, []),
        ({"BodyPartExamined": None, "AnatomicRegionSequence": _code("816094009")}, []),
        ({"BodyPartExamined": None}, ["not-stated"]),
        ({"BodyPartExamined": "RIBCAGE"}, ["near-the-chest"]),
        ({"BodyPartExamined": "Secret Person"}, ["body-part-unknown"]),
        ({"BodyPartExamined": None, "AnatomicRegionSequence": _code("7")}, ["body-part-unknown"]),
        ({"ViewPosition": "SECRET"}, ["view-unknown"]),
        # That rows run from side to side is as much as a frontal view says.
        ({"ViewPosition": None}, []),
        ({"ViewPosition": "", "PatientOrientation": None}, ["not-stated"]),
        ({"ViewPosition": None, "PatientOrientation": "PA"}, ["not-stated", "mended-tags"]),
        ({"PatientBirthDate": None}, ["not-stated"]),
        ({"PatientBirthDate": None, "PatientAge": "062Y"}, []),
        ({"PatientBirthDate": None, "PatientIdentityRemoved": "YES"}, []),
        ({"PresentationIntentType": "FOR PROCESSING"}, ["for-processing"]),
        (
            {"SOPClassUID": DigitalXRayImageStorageForProcessing, "Modality": "DX"},
            ["for-processing"],
        ),
        ({"SOPClassUID": DigitalXRayImageStorageForPresentation, "Modality": "DX"}, []),
        ({"Modality": "DR"}, []),
        ({"Modality": "RG"}, []),
        ({"PatientAge": "018Y"}, []),
        ({"PatientAge": "62"}, []),
        ({"PatientBirthDate": "20080301"}, []),
        ({"PatientBirthDate": "Secret"}, ["age-unknown"]),
        ({"PatientAge": "Secret"}, []),
        ({"PatientAge": "Secret", "PatientBirthDate": ""}, ["age-unknown"]),
        ({"PatientBirthDate": "20100101", "StudyDate": ""}, ["age-unknown"]),
        ({"PatientSpeciesDescription": "Homo sapiens"}, []),
        ({"PatientSpeciesCodeSequence": _code("337915000")}, []),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_what_is_read_and_warned_of(tags: dict[str, Any], codes: list[str]) -> None:
    radiograph = _read(**tags)
    assert [warning.code for warning in radiograph.warnings] == codes
    assert "secret" not in " ".join(warning.text for warning in radiograph.warnings).lower()


def test_what_no_tag_states_is_one_warning_and_a_picture_without_tags_has_none() -> None:
    tags = ("ViewPosition", "PatientOrientation", "BodyPartExamined", "PatientBirthDate")
    missing: dict[str, Any] = dict.fromkeys(tags)
    (warning,) = _read(**missing).warnings
    assert "does not state: view, body part, age;" in warning.text
    _, png = cv2.imencode(".png", (drawn_chest() >> 4).astype(np.uint8))
    assert decode_radiograph(png.tobytes(), "x").warnings == ()


@pytest.mark.parametrize(
    "tags", [{"SOPClassUID": SecondaryCaptureImageStorage}, {"Modality": "OT"}]
)
def test_secondary_captures_where_asked(tags: dict[str, Any]) -> None:
    assert _read(secondary_capture=True, **tags).pixels.shape == (320, 260)


@given(
    age=st.integers(0, 120),
    month=st.integers(1, 12),
    day=st.integers(1, 28),
    seen=st.tuples(st.integers(1, 12), st.integers(1, 28)),
)
@settings(max_examples=60)
def test_age_from_dates(age: int, month: int, day: int, seen: tuple[int, int]) -> None:
    dataset = Dataset()
    had_birthday = seen >= (month, day)
    dataset.PatientBirthDate = f"{2026 - age - (not had_birthday):04}{month:02}{day:02}"
    dataset.StudyDate = f"2026{seen[0]:02}{seen[1]:02}"
    assert age_years(dataset) == age


def test_no_message_of_pydicom_escapes(
    capfd: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    dataset = chest_dataset(PatientAge="SECRET", StudyTime="Secret")
    content = as_file(dataset)
    recwarn.clear()
    decode_radiograph(content, "x")
    assert not recwarn.list
    assert "ecret" not in "".join(capfd.readouterr())


def test_the_header_keeps_what_results_need_and_nothing_else() -> None:
    dataset = chest_dataset(PatientAddress="Secret Street 1", PatientComments="Secret")
    dataset.add_new(0x00091001, "LO", "Secret")
    header = decode_radiograph(as_file(dataset), "x").header
    assert header is not None
    assert header.PatientID == "SECRET-4711"
    for absent in ("PatientAddress", "PatientComments", 0x00091001, "PixelData"):
        assert absent not in header
    assert "ecret" not in repr(decode_radiograph(as_file(dataset), "x"))


def test_both_byte_orders_of_a_bare_data_set_are_told() -> None:
    dataset, buffer = chest_dataset(), io.BytesIO()
    del dataset.file_meta
    dataset.save_as(buffer, implicit_vr=False, little_endian=True)
    assert decode_radiograph(buffer.getvalue(), "x").pixels.shape == (320, 260)
