"""The structured report says the finding, its severity, or why there is none."""

from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from highdicom.sr import srread
from pydicom import dcmread

from dicom_files import as_file, chest_dataset
from findings import MODEL, lungs, made_up, probability, with_lungs
from infmap_kit.answer.answer import lungs_of
from infmap_kit.errors import InputRejected
from infmap_kit.results.dicom.results import ResultKind, dicom_results, rejection_report
from written_results import (
    concept_name,
    content_items,
    dciodvfy_errors,
    dicom_radiograph,
    finding_sites,
    refusal_report,
    report_conclusions,
    report_evaluations,
    written_objects,
)


def test_nothing_found_is_written_too(tmp_path: Path) -> None:
    radiograph = dicom_radiograph()
    objects = written_objects(radiograph, probability=np.full((224, 224), 0.1, np.float32))
    assert objects[ResultKind.SEGMENTATION].pixel_array.sum() == 0
    for kind, dataset in objects.items():
        assert dciodvfy_errors(dataset, tmp_path) == [], kind
    report = objects[ResultKind.STRUCTURED_REPORT]
    assert report_evaluations(report)["COVID-19"] == "Not detected"
    first, *_ = report_conclusions(report)
    assert first == (
        "COVID-19 infection: no region reached the threshold of 0.50; highest probability 0.10. This does not "
        "exclude disease."
    )
    assert "Absent" not in str(report)


def test_the_report_says_the_finding(tmp_path: Path) -> None:
    radiograph = dicom_radiograph(BodyPartExamined="RIBCAGE")
    objects = written_objects(radiograph)
    report = dcmread(io.BytesIO(as_file(objects[ResultKind.STRUCTURED_REPORT])))
    assert report_evaluations(report)["COVID-19"] == "Detected"
    measured: dict[str, Any] = {
        concept_name(item): (
            float(item.MeasuredValueSequence[0].NumericValue),
            item.MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0].CodeValue,
        )
        for item in content_items(report)
        if item.ValueType == "NUM"
    }
    percent = float((probability() >= 0.5).mean() * 100)
    assert measured == {
        "Highest probability of infection of any pixel": (0.93, "{ratio}"),
        "Probability from which a pixel is infected": (0.5, "{ratio}"),
        "Infected share of the image": (pytest.approx(percent, abs=0.005), "%"),
        "Infected share of the image, at probability 0.3 or more": (
            pytest.approx(percent, abs=0.005),
            "%",
        ),
        "Infected share of the image, at probability 0.7 or more": (
            pytest.approx(float((probability() >= 0.7).mean() * 100), abs=0.005),
            "%",
        ),
    }
    texts = {
        (concept_name(item), item.TextValue)
        for item in content_items(report)
        if item.ValueType == "TEXT"
    }
    assert any(
        "infection-like opacity" in text and "not COVID-19 by itself" in text for _, text in texts
    )
    conclusions = report_conclusions(report)
    assert conclusions[0] == (
        "COVID-19 infection: suspected. The highest probability is 0.93, with a threshold of 0.50."
    )
    assert conclusions[-1] == "For research use, not a medical device."
    assert any(name == "Warning" and text.startswith("near-the-chest: ") for name, text in texts)
    stated = " ".join(text for _, text in texts)
    for fact in (MODEL["model_name"], MODEL["model_version"], MODEL["onnx_sha256"]):
        assert fact in stated
    assert report.CodingSchemeIdentificationSequence[0].CodingSchemeDesignator == "99INFMAP"

    referred = {
        item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
        for item in content_items(report)
        if item.ValueType == "IMAGE"
    }
    segmentation = objects[ResultKind.SEGMENTATION].SOPInstanceUID
    assert referred == {chest_dataset().SOPInstanceUID, segmentation}
    (tmp_path / "sr.dcm").write_bytes(as_file(report))
    groups = srread(tmp_path / "sr.dcm").content.get_planar_roi_measurement_groups()
    assert len(groups) == 1


def test_a_finding_outside_the_lungs_is_said(tmp_path: Path) -> None:
    """Detected with a severity of 0 of the lungs: whoever reads the severity alone would miss it."""
    radiograph = dicom_radiograph()
    outside = np.zeros((224, 224), np.float32)
    outside[:9, :9] = 0.8
    report = written_objects(radiograph, with_lungs(radiograph, probability=outside))[
        ResultKind.STRUCTURED_REPORT
    ]
    said = "Most of the region that reached the threshold lies outside the segmented lungs. Check the image."
    assert report_conclusions(report).count(f"Warning: {said}") == 1
    assert any(
        concept_name(item) == "Warning" and item.TextValue.startswith("outside-lungs: ")
        for item in content_items(report)
        if item.ValueType == "TEXT"
    )
    assert dciodvfy_errors(report, tmp_path) == []
    # One pixel of many in a lung makes it no other case.
    outside[100, 50] = 0.8
    touching = written_objects(radiograph, with_lungs(radiograph, probability=outside))
    assert f"Warning: {said}" in report_conclusions(touching[ResultKind.STRUCTURED_REPORT])
    inside = written_objects(radiograph, with_lungs(radiograph))[ResultKind.STRUCTURED_REPORT]
    assert f"Warning: {said}" not in report_conclusions(inside)


@pytest.mark.parametrize("probable", [0.9, 0.1])
def test_a_lung_that_was_not_found_is_warned_of(probable: float) -> None:
    """A lung that is white all over may be missed: what is left looks healthy, detected or not."""
    radiograph, one = dicom_radiograph(), lungs()
    one[:, 112:] = 0
    field = np.full((224, 224), probable, np.float32)
    said = "Warning: At least one lung was not found. Check the image and the severity."
    for mask in (one, np.zeros_like(one)):
        answer = with_lungs(radiograph, probability=field, lungs=mask)
        report = written_objects(radiograph, answer)[ResultKind.STRUCTURED_REPORT]
        assert said in report_conclusions(report)
    both = written_objects(radiograph, with_lungs(radiograph, probability=field))
    assert said not in report_conclusions(both[ResultKind.STRUCTURED_REPORT])


def test_a_coded_severity_stays_on_its_side_of_a_grades_end() -> None:
    radiograph = dicom_radiograph()
    for value, shown in ((24.9983, "24.998"), (50.0034, "50.003"), (25.0, "25.00")):
        said = with_lungs(radiograph)
        of_lungs = lungs_of(said)
        assert of_lungs is not None
        parts = {"lungs": dataclasses.replace(of_lungs, severity_percent=value)}
        answer = dataclasses.replace(said, severity_percent=value, parts=parts)
        report = written_objects(radiograph, answer)[ResultKind.STRUCTURED_REPORT]
        figures = {
            concept_name(item): str(item.MeasuredValueSequence[0].NumericValue)
            for item in content_items(report)
            if item.ValueType == "NUM"
        }
        assert figures["Infected share of the lungs"] == shown


@pytest.mark.parametrize(
    ("tags", "is_stated"),
    [({}, True), ({"PatientOrientation": None}, False), ({"PatientOrientation": "PA"}, False)],
)
def test_sides_are_named_with_a_caveat_where_the_file_does_not_state_them(
    tags: dict[str, Any], is_stated: bool
) -> None:
    radiograph = dicom_radiograph(**tags)
    assert radiograph.sides_stated == is_stated
    report = written_objects(radiograph, with_lungs(radiograph))[ResultKind.STRUCTURED_REPORT]
    caveat = "The file does not state the sides."
    assert any(text.startswith(caveat) for text in report_conclusions(report)) != is_stated
    # A negative has figures of each lung, too.
    nothing = with_lungs(radiograph, probability=np.zeros((224, 224), np.float32))
    negative = written_objects(radiograph, nothing)[ResultKind.STRUCTURED_REPORT]
    assert any(text.startswith(caveat) for text in report_conclusions(negative)) != is_stated


@pytest.mark.parametrize(
    ("stated", "meaning", "verdict"),
    [(0.31, "Not detected", "DISAGREES with the mask"), (0.5, "Detected", "agrees with the mask")],
)
def test_the_report_tells_a_classifiers_opinion(stated: float, meaning: str, verdict: str) -> None:
    model = {**MODEL, "classifier_name": "infmap classifier ResNet-50", "classifier_version": "8c"}
    objects = written_objects(dicom_radiograph(), classifier_probability=stated, model=model)
    report = objects[ResultKind.STRUCTURED_REPORT]
    reported = report_evaluations(report)
    assert (reported["COVID-19"], reported["COVID-19 by a classifier"]) == ("Detected", meaning)
    (measured,) = (
        item
        for item in content_items(report)
        if concept_name(item) == "Probability of COVID-19 by a classifier"
    )
    assert float(measured.MeasuredValueSequence[0].NumericValue) == stated
    (text,) = (
        item
        for item in content_items(report)
        if concept_name(item) == "Second opinion, by a classifier"
    )
    assert text.TextValue == f"{verdict}; infmap classifier ResNet-50 8c"


def test_another_classifier_is_another_result() -> None:
    uids = {
        written_objects(dicom_radiograph(), classifier_probability=0.3, model=model)[
            ResultKind.STRUCTURED_REPORT
        ].SOPInstanceUID
        for model in (MODEL, {**MODEL, "classifier_onnx_sha256": 64 * "b"})
    }
    assert len(uids) == 2


def test_the_report_says_severity_by_lung_and_zone(tmp_path: Path) -> None:
    radiograph = dicom_radiograph()
    finding = with_lungs(radiograph)
    report = written_objects(radiograph, finding)[ResultKind.STRUCTURED_REPORT]
    (tmp_path / "sr.dcm").write_bytes(as_file(report))
    measured = {
        (concept_name(item), finding_sites(item)): float(item.MeasuredValueSequence[0].NumericValue)
        for item in content_items(dcmread(tmp_path / "sr.dcm"))
        if item.ValueType == "NUM"
    }
    share = "Infected share of the lungs"
    # By hand: 50 rows of 45 columns less a hole of 12 by 15 in the right lung, 15 rows of 50 in the left.
    right, left = 50 * 45 - 12 * 15, 15 * 50
    areas = {"right": 150 * 70, "left": 120 * 70}
    expected = {
        (share, ""): (right + left) / sum(areas.values()),
        (f"{share}, at probability 0.3 or more", ""): (right + left) / sum(areas.values()),
        (f"{share}, at probability 0.7 or more", ""): right / sum(areas.values()),
        ("Infected share of the right lung", "Lung, Right"): right / areas["right"],
        ("Infected share of the left lung", "Lung, Left"): left / areas["left"],
        # The right lung's zones are 50 rows each: 30 to 79, 80 to 129, 130 to 179; the infection ends at 109.
        ("Infected share of the right lung, upper zone", "Upper zone of lung, Right"): 20
        * 45
        / (50 * 70),
        ("Infected share of the right lung, middle zone", "Middle zone of lung, Right"): (
            30 * 45 - 12 * 15
        )
        / (50 * 70),
        ("Infected share of the right lung, lower zone", "Lower zone of lung, Right"): 0,
        # The left lung's are 40 rows: 60 to 99, 100 to 139, 140 to 179.
        ("Infected share of the left lung, upper zone", "Upper zone of lung, Left"): 0,
        ("Infected share of the left lung, middle zone", "Middle zone of lung, Left"): 0,
        ("Infected share of the left lung, lower zone", "Lower zone of lung, Left"): left
        / (40 * 70),
    }
    assert {key: value for key, value in measured.items() if "share of" in key[0]} == {
        key: pytest.approx(100 * value, abs=0.005) for key, value in expected.items()
    }
    assert report_evaluations(report)["Grade of the infected share of the lungs"] == "Mild"
    texts = {
        concept_name(item): item.TextValue
        for item in content_items(report)
        if item.ValueType == "TEXT"
    }
    assert (
        "none up to 0, mild below 25, moderate up to 50"
        in (texts["Grade of the infected share of the lungs"])
    )
    (group,) = srread(tmp_path / "sr.dcm").content.get_planar_roi_measurement_groups()
    assert len(group.get_measurements()) == len(measured)


def test_a_lung_that_is_not_there_is_not_measured(tmp_path: Path) -> None:
    radiograph = dicom_radiograph()
    right_only = lungs()
    right_only[:, 112:] = 0
    for mask, sides in ((right_only, {"Right"}), (np.zeros_like(right_only), set())):
        finding = with_lungs(radiograph, lungs=mask)
        objects = written_objects(radiograph, finding)
        report = objects[ResultKind.STRUCTURED_REPORT]
        sites = [finding_sites(item) for item in content_items(report) if item.ValueType == "NUM"]
        assert {site.split(", ")[1] for site in sites if site} == sides
        assert ("Grade of the infected share of the lungs" in report_evaluations(report)) == bool(
            sides
        )
        for dataset in objects.values():
            assert dciodvfy_errors(dataset, tmp_path) == []


def test_without_a_segmentation_the_report_refers_to_the_source() -> None:
    radiograph = dicom_radiograph()
    assert radiograph.header is not None
    (report,) = dicom_results(
        radiograph.header, radiograph, made_up(radiograph), kinds=[ResultKind("sr")]
    )
    referred = [item for item in content_items(report) if item.ValueType == "IMAGE"]
    assert [item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for item in referred] == [
        chest_dataset().SOPInstanceUID
    ]


def test_no_figure_is_rounded_up_to_the_threshold_or_to_one() -> None:
    radiograph = dicom_radiograph()
    for highest, decision in ((0.4996, "Not detected"), (0.9996, "Detected")):
        field = np.full((224, 224), 0.04, np.float32)
        field[50, 50] = highest
        report = written_objects(radiograph, probability=field)[ResultKind.STRUCTURED_REPORT]
        (stated,) = (
            item.MeasuredValueSequence[0].NumericValue
            for item in content_items(report)
            if concept_name(item) == "Highest probability of infection of any pixel"
        )
        assert str(stated) == str(highest)
        assert report_evaluations(report)["COVID-19"] == decision


def test_the_refusal_says_why_and_no_file_name() -> None:
    report = refusal_report(dicom_radiograph(), view="LL")
    stated = report_evaluations(report)
    assert stated["Evaluation of the radiograph"] == "Not Attempted"
    assert stated["Reason for not evaluating"] == "The view is lateral and not frontal"
    assert report_conclusions(report)[0].startswith(
        "This radiograph was not evaluated. The view is lateral and not frontal. "
    )
    said = str(report.ContentSequence)
    for word in ("COVID", "chest", "Lung", "Finding Site", "nfection"):
        assert word not in said, "it may be of a hip, or of a dog"
    texts = {
        concept_name(item): item.TextValue
        for item in content_items(report)
        if item.ValueType == "TEXT"
    }
    assert texts["Reason for not evaluating"] == "expected a frontal view"
    assert json.loads(texts["What was found"]) == {"view": "LL"}
    assert "Secret" not in " ".join(texts.values())


def test_refusals_for_different_reasons_are_different_objects() -> None:
    header = dicom_radiograph().header
    assert header is not None
    uids = {
        rejection_report(header, InputRejected(code, "why")).SOPInstanceUID
        for code in ("child", "animal")
    }
    assert len(uids) == 2
