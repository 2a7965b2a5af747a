"""A finding's record: what its file may say, and that COVID-19 is what it was when it was the only one."""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset

from dicom_files import as_file, chest_dataset
from findings import MODEL, probability, with_lungs
from infmap_kit.errors import InputRejected, SpecError
from infmap_kit.imaging.colour import infection_map
from infmap_kit.imaging.readers import decode_radiograph
from infmap_kit.model.files import sha256_of
from infmap_kit.model.finding import COLOUR_TABLES, COVID_19, FindingSpec
from infmap_kit.model.run_folder import RunFolder
from infmap_kit.model.spec import ModelSpec
from infmap_kit.results.dicom.results import ResultKind, dicom_results, rejection_report
from other_finding import TUBERCULOSIS, TUBERCULOSIS_TOML
from small_network import small_run

GOLDEN = Path(__file__).parents[2] / "data" / "golden" / "covid_19_results.json"
"""What the objects of COVID-19 were when it was the only finding; see tests/data/README.md."""

NOON = dt.datetime(2026, 3, 1, 12, 0, tzinfo=dt.UTC)
_OF_THE_PROGRAM = ("SoftwareVersions", "ImplementationVersionName")


def _elements(dataset: Dataset, place: str = "") -> dict[str, str]:
    """Every element by its place, as text; pixels as their hash."""
    found: dict[str, str] = {}
    for element in dataset:
        name = f"{place}{element.keyword or element.tag}"
        if element.VR == "SQ":
            for number, item in enumerate(element.value):
                found |= _elements(item, f"{name}[{number}].")
        elif element.keyword == "PixelData":
            # Burned-in letters are FreeType's, which draws them a little otherwise from version to version.
            if dataset.Modality == "SEG":
                found[name] = hashlib.sha256(element.value).hexdigest()
        elif element.keyword in ("Rows", "Columns") and dataset.Modality == "OT":
            continue
        elif element.keyword not in _OF_THE_PROGRAM:
            found[name] = str(element.value)
    return found


def results_of_covid_19() -> dict[str, dict[str, str]]:
    """Every object about a drawn radiograph with lungs, grade and a classifier's answer, and a rejection."""
    source = chest_dataset()
    radiograph = decode_radiograph(as_file(source), "x")
    model = {**MODEL, "grades": "0,25,50", "classifier_name": "small", "classifier_version": "8"}
    answer = with_lungs(radiograph, model=model, classifier_probability=0.3)
    objects = dicom_results(source, radiograph, answer, kinds=tuple(ResultKind), made_at=NOON)
    rejection = InputRejected("too-small", "it is too small", found={"height": 9})
    written = dict(zip(map(str, ResultKind), objects, strict=True))
    written["rejection"] = rejection_report(source, rejection, made_at=NOON)
    return {kind: _elements(dataset) for kind, dataset in written.items()}


def test_results_of_covid_19_are_what_they_were() -> None:
    expected = json.loads(GOLDEN.read_text())
    actual = results_of_covid_19()
    assert actual.keys() == expected.keys()
    for kind in expected:
        assert actual[kind] == expected[kind]


def test_nobody_is_told_of_the_shipped_finding() -> None:
    assert COVID_19.as_parameters() == {}
    assert FindingSpec.from_parameters(MODEL) == COVID_19


def test_a_file_becomes_parameters_and_back() -> None:
    assert FindingSpec.parse(TUBERCULOSIS_TOML.encode(), "f") == TUBERCULOSIS
    parameters = TUBERCULOSIS.as_parameters()
    assert parameters["finding_condition"] == '["56717001", "SCT", "Tuberculosis"]'
    assert parameters["finding_threshold"] == "0.6"
    assert FindingSpec.from_parameters({**MODEL, **parameters}) == TUBERCULOSIS
    assert FindingSpec.parse(TUBERCULOSIS.as_toml().encode(), "f") == TUBERCULOSIS


@settings(deadline=None)
@given(
    threshold=st.floats(0.001, 0.999),
    noun=st.from_regex(r"\A[A-Za-z0-9]{1,16}\Z"),
    notice=st.from_regex(r"\A[!-\[\]-~]{1,60}\Z"),
    table=st.sampled_from(COLOUR_TABLES),
)
def test_whatever_it_says_survives_both_ways(
    threshold: float, noun: str, notice: str, table: str
) -> None:
    finding = dataclasses.replace(
        TUBERCULOSIS, threshold=threshold, noun=noun, notice=notice, colour_table=table
    )
    assert FindingSpec.from_parameters(finding.as_parameters()) == finding
    assert FindingSpec.parse(finding.as_toml().encode(), "f") == finding


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("threshold", 1, "threshold: expected a number from 0.001 to 0.999, found 1"),
        ("threshold", True, "threshold: expected a number"),
        ("threshold", "0.5", "threshold: expected a number"),
        ("noun", "Tuberkulöse", "noun: expected 1 to 16 characters of letters and digits"),
        ("name", "", "name: expected 1 to 40 characters of printable ASCII"),
        ("name", "x" * 41, "name: expected 1 to 40 characters"),
        ("condition", "56717001", "condition: expected a code, its scheme and its meaning"),
        ("condition", ["56717001", "SCT"], "condition: expected a code"),
        ("site", ["39607008", "a scheme of no end", "Lung"], r"site\[1\]: expected 1 to 16"),
        ("colour_table", "red", "colour_table: expected one of autumn, bone, jet"),
        ("display_colour", [1, 2, 900], r"display_colour\[2\]: expected a number from -128"),
        ("display_colour", [1, 2], r"display_colour: expected L\*, a\* and b\*"),
        ("short_notice", "x" * 60, "short_notice: expected at most 64 characters"),
        ("treshold", 0.5, "treshold is no key: expected some of name, noun, condition"),
    ],
)
def test_a_fault_is_one_line_that_names_the_key(key: str, value: Any, message: str) -> None:
    with pytest.raises(SpecError, match=f"^the file: {message}") as raised:
        FindingSpec.of({**TUBERCULOSIS.as_document(), key: value}, "the file")
    assert "\n" not in str(raised.value)


def test_a_value_without_end_is_not_told_whole() -> None:
    with pytest.raises(SpecError, match="^name: expected 1 to 40 characters") as raised:
        dataclasses.replace(TUBERCULOSIS, name="x" * 1_000_000)
    assert len(str(raised.value)) < 200


def test_what_must_be_there(tmp_path: Path) -> None:
    (tmp_path / "finding.toml").write_text('name = "Tuberculosis"\n')
    with pytest.raises(SpecError, match=r"finding.toml: noun is missing"):
        FindingSpec.read(tmp_path / "finding.toml")
    (tmp_path / "finding.toml").write_text("name = Tuberculosis\n")
    with pytest.raises(SpecError, match=r"finding.toml is not TOML"):
        FindingSpec.read(tmp_path / "finding.toml")
    for hostile in ("x = " + "[" * 100_000, "threshold = " + "9" * 5000):
        (tmp_path / "finding.toml").write_text(hostile)
        with pytest.raises(SpecError, match=r"finding.toml is not TOML"):
            FindingSpec.read(tmp_path / "finding.toml")
    with pytest.raises(SpecError, match="cannot read .*No such file"):
        FindingSpec.read(tmp_path / "nowhere.toml")


def test_parameters_that_are_damaged_or_newer_are_refused() -> None:
    with pytest.raises(SpecError, match="finding_threshold of the model is damaged"):
        FindingSpec.from_parameters({"finding_threshold": "0.6."})
    with pytest.raises(SpecError, match="finding_threshold of the model is damaged"):
        FindingSpec.from_parameters({"finding_threshold": "[" * 20_000})
    with pytest.raises(SpecError, match="colours is no key"):
        FindingSpec.from_parameters({"finding_colours": "many"})


def test_a_run_folder_without_a_file_is_of_covid_19(tmp_path: Path) -> None:
    run = small_run(tmp_path / "run")
    assert RunFolder(run).finding() == COVID_19


def test_the_file_of_a_run_folder_is_the_one_that_its_record_names(tmp_path: Path) -> None:
    run = small_run(tmp_path / "run")
    (run / "finding.toml").write_text(TUBERCULOSIS_TOML)
    spec = ModelSpec.read(run / "spec.json")
    with pytest.raises(SpecError, match=r"trained without .*finding.toml: train with .*--finding"):
        RunFolder(run).finding()
    spec.files["finding.toml"] = sha256_of(run / "finding.toml")
    spec.write(run / "spec.json")
    assert RunFolder(run).finding() == TUBERCULOSIS
    (run / "finding.toml").write_text(TUBERCULOSIS_TOML.replace("0.6", "0.7"))
    with pytest.raises(SpecError, match=r"finding.toml to be the file that spec.json names"):
        RunFolder(run).finding()
    (run / "finding.toml").unlink()
    with pytest.raises(SpecError, match="found none: take the run folder whole"):
        RunFolder(run).finding()


@pytest.mark.parametrize("table", COLOUR_TABLES)
def test_every_table_leaves_white_what_has_no_probability(table: str) -> None:
    canvas = np.full((8, 8), 200, np.uint8)
    field = np.zeros((8, 8), np.float32)
    field[:4] = 1
    painted = infection_map(canvas, field, table)
    assert (painted[6:] == 200).all()
    level = np.array([[255]], np.uint8)
    hsv = cv2.cvtColor(
        cv2.applyColorMap(level, getattr(cv2, f"COLORMAP_{table.upper()}")), cv2.COLOR_BGR2HSV
    )
    hsv[..., 2] = 200
    expected = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0, 0].astype(int)
    assert np.abs(painted[0, 0].astype(int) - expected).max() <= 1


def test_objects_speak_of_another_finding_under_uids_of_their_own() -> None:
    source = chest_dataset()
    radiograph = decode_radiograph(as_file(source), "x")
    answers = [
        with_lungs(radiograph, model={**MODEL, "grades": "0,25,50", **parameters})
        for parameters in ({}, TUBERCULOSIS.as_parameters())
    ]
    ours, others = (
        dicom_results(source, radiograph, answer, kinds=tuple(ResultKind), made_at=NOON)
        for answer in answers
    )
    for one, other in zip(ours, others, strict=True):
        assert one.SOPInstanceUID != other.SOPInstanceUID
        reported = json.dumps(_elements(other)).lower()
        assert "covid" not in reported
        assert "infect" not in reported
        assert "840539006" not in reported
        assert "tuberculosis" in reported
    # 0.61 lies above the other's threshold, too; 0.93 does by far.
    masks = [objects[1].pixel_array[0] for objects in (ours, others)]
    assert 0 < masks[1].sum() < masks[0].sum()


def test_a_rejection_is_of_another_finding() -> None:
    rejection = InputRejected("too-small", "it is too small")
    report = rejection_report(chest_dataset(), rejection, finding=TUBERCULOSIS, made_at=NOON)
    ours = rejection_report(chest_dataset(), rejection, made_at=NOON)
    assert report.SOPInstanceUID != ours.SOPInstanceUID
    reported = json.dumps([_elements(report), _elements(ours)]).lower()
    # It was not looked for; the notice of the model's use stays.
    for word in ("56717001", "covid", "840539006", "chest", "39607008"):
        assert word not in reported


def test_a_pixel_between_the_thresholds_is_of_no_mask_but_of_covid_19s() -> None:
    source = chest_dataset()
    radiograph = decode_radiograph(as_file(source), "x")
    field = np.where(probability() > 0.5, np.float32(0.55), np.float32(0.04))
    for parameters, is_empty in (({}, False), (TUBERCULOSIS.as_parameters(), True)):
        answer = with_lungs(radiograph, probability=field, model={**MODEL, **parameters})
        (mask,) = dicom_results(source, radiograph, answer, kinds=[ResultKind.SEGMENTATION])
        assert bool(mask.pixel_array[0].any()) is not is_empty
