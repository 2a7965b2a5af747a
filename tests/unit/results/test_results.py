"""What is written: the same objects each time, lying where the source lies, right by dciodvfy."""

from __future__ import annotations

import dataclasses
import datetime as dt
import io
import json
import logging
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from highdicom.seg import segread
from highdicom.sr import srread
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydicom import Dataset, dcmread

from dicom_files import as_file, chest_dataset, drawn_chest
from findings import MODEL, lungs, made_up, probability, with_lungs
from infmap_kit.answer.answer import Answer
from infmap_kit.errors import InputRejected
from infmap_kit.imaging.dicom.reader import read_tags
from infmap_kit.imaging.radiograph import Radiograph
from infmap_kit.imaging.readers import decode_radiograph, read_radiograph
from infmap_kit.results.dicom.results import ResultKind, dicom_results, rejection_report
from infmap_kit.results.dicom.uids import derived_uid
from infmap_kit.results.folder import ResultOptions, ResultsFolder, SourceFile
from infmap_kit.results.sheet.sheet import Capture
from infmap_kit.results.tables import findings_table

_Turn = Callable[[NDArray[Any]], NDArray[Any]]

NOON = dt.datetime(2026, 3, 1, 12, 0, tzinfo=dt.UTC)


def _radiograph(**tags: Any) -> Radiograph:
    return decode_radiograph(as_file(chest_dataset(**tags)), "x")


def _written(
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


def _refusal(radiograph: Radiograph, **found: Any) -> Dataset:
    rejection = InputRejected(
        "lateral-view", "expected a frontal view", found=found, file="Secret.dcm"
    )
    assert radiograph.header is not None
    return rejection_report(radiograph.header, rejection, made_at=NOON)


def _dciodvfy(dataset: Dataset, folder: Path) -> list[str]:
    """Errors that the validator finds."""
    if shutil.which("dciodvfy") is None:
        pytest.skip("needs dciodvfy: apt-get install dicom3tools")
    (folder / "x.dcm").write_bytes(as_file(dataset))
    done = subprocess.run(
        ["dciodvfy", folder / "x.dcm"], capture_output=True, text=True, check=False
    )
    return [line for line in done.stderr.splitlines() if line.startswith("Error")]


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
    radiograph = _radiograph(**tags)
    objects = _written(radiograph, with_lungs(radiograph))
    for dataset in (*objects.values(), _refusal(radiograph, view="LL")):
        assert _dciodvfy(dataset, tmp_path) == [], dataset.SOPClassUID.name
        again = dcmread(io.BytesIO(as_file(dataset)))
        source = chest_dataset(**tags)
        assert str(again.PatientName) == str(source.get("PatientName", ""))
        assert again.PatientID == source.PatientID
        assert again.StudyInstanceUID == source.StudyInstanceUID


def test_a_repeated_run_makes_the_same_objects() -> None:
    first, second = _written(_radiograph()), _written(_radiograph())
    for kind in ResultKind:
        assert as_file(first[kind]) == as_file(second[kind])
    later = _written(_radiograph(), made_at=NOON + dt.timedelta(hours=3))
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
    radiograph = _radiograph()
    plain = dataclasses.replace(radiograph, header=None)
    outcomes = [
        folder.write_finding(folder.named(SourceFile.of(file, b"")), plain, made_up(plain))
        for file in files
    ]
    written = [json.loads(o.json_path.read_text())["source"] for o in outcomes if o.json_path]
    assert written == ["a/chest.png", "b/chest.png", "other.png"]
    assert [row[0] for row in findings_table(outcomes).rows] == written


def test_every_source_model_and_kind_has_its_own_uids() -> None:
    other_source = _radiograph(SOPInstanceUID="1.2.3.4")
    other_model = {**MODEL, "precision": "bf16"}
    written = [
        *_written(_radiograph()).values(),
        *_written(other_source).values(),
        *_written(_radiograph(), model=other_model).values(),
        *_written(_radiograph(), with_lungs(_radiograph())).values(),
        *_written(_radiograph(), model={**MODEL, "temperature": "1.5"}).values(),
        _refusal(_radiograph()),
    ]
    for uids in ({d.SOPInstanceUID for d in written}, {d.SeriesInstanceUID for d in written}):
        assert len(uids) == len(written)
        assert all(len(uid) <= 64 for uid in uids)


def test_derived_uids_are_stable_over_releases() -> None:
    # A PACS that holds results of an older release must not get them twice.
    assert derived_uid("1.2.3", "identity", "sc", "instance") == (
        "2.25.63850322841413922976821026967245729934"
    )


def _expected_mask(height: int, width: int) -> NDArray[np.bool_]:
    """The mask at native size, upright, by a resize of another library."""
    from PIL import Image

    image = Image.fromarray(probability(), mode="F").resize(
        (width, height), Image.Resampling.BILINEAR
    )
    return np.asarray(image) >= 0.5


@pytest.mark.parametrize(
    ("directions", "upright_from_stored", "stored_from_upright"),
    [
        (["L", "F"], lambda a: a, lambda a: a),
        (["R", "F"], lambda a: a[:, ::-1], lambda a: a[:, ::-1]),
        (["L", "H"], lambda a: a[::-1], lambda a: a[::-1]),
        (["F", "L"], lambda a: a.swapaxes(0, 1), lambda a: a.swapaxes(0, 1)),
        (["H", "L"], lambda a: a.swapaxes(0, 1)[::-1], lambda a: a[::-1].swapaxes(0, 1)),
        (["F", "R"], lambda a: a.swapaxes(0, 1)[:, ::-1], lambda a: a[:, ::-1].swapaxes(0, 1)),
    ],
)
def test_masks_lie_where_the_sources_pixels_lie(
    directions: list[str], upright_from_stored: _Turn, stored_from_upright: _Turn
) -> None:
    """A chest that is stored turned: what is read is upright, what is written is turned again."""
    upright = drawn_chest(300, 420)
    stored = np.ascontiguousarray(stored_from_upright(upright))
    source = chest_dataset(stored, PatientOrientation=directions)
    radiograph = decode_radiograph(as_file(source), "x")
    plain = decode_radiograph(as_file(chest_dataset(upright)), "x")
    np.testing.assert_array_equal(radiograph.pixels, plain.pixels)

    objects = _written(radiograph)
    segmentation = dcmread(io.BytesIO(as_file(objects[ResultKind.SEGMENTATION])))
    assert (segmentation.Rows, segmentation.Columns) == stored.shape
    mask = segmentation.pixel_array
    expected = _expected_mask(*upright.shape)
    agreement = upright_from_stored(mask) == expected
    assert agreement.mean() > 0.999
    assert 0.04 < mask.mean() < 0.09

    capture = dcmread(io.BytesIO(as_file(objects[ResultKind.SECONDARY_CAPTURE])))
    # A sheet is upright, whatever the radiograph is; the bare map lies as it lies.
    assert capture.PatientOrientation == ["L", "F"]
    (bare,) = dicom_results(
        source, radiograph, made_up(radiograph), kinds=[ResultKind("sc")], capture=Capture.BARE
    )
    bare = dcmread(io.BytesIO(as_file(bare)))
    assert bare.PatientOrientation == directions
    picture = upright_from_stored(bare.pixel_array)
    painted = made_up(radiograph).infection_map
    assert painted is not None
    same = (picture == painted).all(axis=-1)
    # All but the burned-in line.
    assert same.mean() > 0.75
    assert picture.shape == painted.shape


def test_the_segmentation_is_read_back_by_highdicom(tmp_path: Path) -> None:
    lungs = np.zeros((224, 224), np.uint8)
    lungs[40:180, 30:210] = 1
    radiograph = _radiograph()
    objects = _written(radiograph, with_lungs(radiograph, lungs=lungs))
    (tmp_path / "seg.dcm").write_bytes(as_file(objects[ResultKind.SEGMENTATION]))
    segmentation = segread(tmp_path / "seg.dcm")
    assert [segmentation.get_segment_description(n).segment_label for n in (1, 2)] == [
        "COVID-19 infection",
        "Lungs",
    ]
    description = segmentation.get_segment_description(1)
    assert description.segmented_property_type.meaning == "Abnormal opacity"
    assert description.algorithm_identification[0].AlgorithmVersion == "8d188037d66b"
    masks = segmentation.pixel_array
    assert masks.shape == (2, 320, 260)
    assert masks[1].mean() == pytest.approx(lungs.mean(), abs=0.01)
    (study,) = segmentation.ReferencedSeriesSequence
    assert study.ReferencedInstanceSequence[0].ReferencedSOPInstanceUID == (
        chest_dataset().SOPInstanceUID
    )


def test_a_segmentation_says_how_large_pixels_are_in_the_patient_alone() -> None:
    """OHIF's page goes black where the shared functional groups of a Segmentation are empty."""

    def spacing(**tags: Any) -> list[float] | None:
        written = _written(_radiograph(**tags))[ResultKind.SEGMENTATION]
        (shared,) = written.SharedFunctionalGroupsSequence
        measures = shared.get("PixelMeasuresSequence")
        return None if measures is None else list(measures[0].PixelSpacing)

    assert spacing(PixelSpacing=[0.4, 0.3]) == [0.4, 0.3]
    assert spacing(ImagerPixelSpacing=[0.2, 0.2]) is None


def test_a_lone_pixel_is_not_lost() -> None:
    field = np.zeros((224, 224), np.float32)
    field[100, 50] = 0.5001
    radiograph = _radiograph()
    mask = _written(radiograph, probability=field)[ResultKind.SEGMENTATION].pixel_array
    rows, columns = np.nonzero(mask)
    assert rows.size
    assert abs(rows.mean() / 320 - 100.5 / 224) < 0.01
    assert abs(columns.mean() / 260 - 50.5 / 224) < 0.01


def test_nothing_found_is_written_too(tmp_path: Path) -> None:
    radiograph = _radiograph()
    objects = _written(radiograph, probability=np.full((224, 224), 0.1, np.float32))
    assert objects[ResultKind.SEGMENTATION].pixel_array.sum() == 0
    for kind, dataset in objects.items():
        assert _dciodvfy(dataset, tmp_path) == [], kind
    report = objects[ResultKind.STRUCTURED_REPORT]
    assert _evaluations(report)["COVID-19"] == "Not detected"
    first, *_ = _conclusions(report)
    assert first == (
        "COVID-19 infection: no region reached the threshold of 0.50; highest probability 0.10. This does not "
        "exclude disease."
    )
    assert "Absent" not in str(report)


def _items(dataset: Dataset) -> list[Dataset]:
    actual: list[Dataset] = []
    for item in dataset.get("ContentSequence", []):
        actual += [item, *_items(item)]
    return actual


def _name(item: Dataset) -> str:
    return (
        str(item.ConceptNameCodeSequence[0].CodeMeaning)
        if "ConceptNameCodeSequence" in item
        else ""
    )


def _evaluations(report: Dataset) -> dict[str, str]:
    return {
        _name(item): str(item.ConceptCodeSequence[0].CodeMeaning)
        for item in _items(report)
        if item.ValueType == "CODE"
    }


def test_the_report_says_the_finding(tmp_path: Path) -> None:
    radiograph = _radiograph(BodyPartExamined="RIBCAGE")
    objects = _written(radiograph)
    report = dcmread(io.BytesIO(as_file(objects[ResultKind.STRUCTURED_REPORT])))
    assert _evaluations(report)["COVID-19"] == "Detected"
    measured: dict[str, Any] = {
        _name(item): (
            float(item.MeasuredValueSequence[0].NumericValue),
            item.MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0].CodeValue,
        )
        for item in _items(report)
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
    texts = {(_name(item), item.TextValue) for item in _items(report) if item.ValueType == "TEXT"}
    assert any(
        "infection-like opacity" in text and "not COVID-19 by itself" in text for _, text in texts
    )
    conclusions = _conclusions(report)
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
        for item in _items(report)
        if item.ValueType == "IMAGE"
    }
    segmentation = objects[ResultKind.SEGMENTATION].SOPInstanceUID
    assert referred == {chest_dataset().SOPInstanceUID, segmentation}
    (tmp_path / "sr.dcm").write_bytes(as_file(report))
    groups = srread(tmp_path / "sr.dcm").content.get_planar_roi_measurement_groups()
    assert len(groups) == 1


@pytest.mark.parametrize(
    ("stated", "meaning", "verdict"),
    [(0.31, "Not detected", "DISAGREES with the mask"), (0.5, "Detected", "agrees with the mask")],
)
def test_the_report_tells_a_classifiers_opinion(stated: float, meaning: str, verdict: str) -> None:
    model = {**MODEL, "classifier_name": "infmap classifier ResNet-50", "classifier_version": "8c"}
    objects = _written(_radiograph(), classifier_probability=stated, model=model)
    report = objects[ResultKind.STRUCTURED_REPORT]
    reported = _evaluations(report)
    assert (reported["COVID-19"], reported["COVID-19 by a classifier"]) == ("Detected", meaning)
    (measured,) = (
        item for item in _items(report) if _name(item) == "Probability of COVID-19 by a classifier"
    )
    assert float(measured.MeasuredValueSequence[0].NumericValue) == stated
    (text,) = (item for item in _items(report) if _name(item) == "Second opinion, by a classifier")
    assert text.TextValue == f"{verdict}; infmap classifier ResNet-50 8c"


def test_another_classifier_is_another_result() -> None:
    uids = {
        _written(_radiograph(), classifier_probability=0.3, model=model)[
            ResultKind.STRUCTURED_REPORT
        ].SOPInstanceUID
        for model in (MODEL, {**MODEL, "classifier_onnx_sha256": 64 * "b"})
    }
    assert len(uids) == 2


def _conclusions(report: Dataset) -> list[str]:
    """Sentences of the container that comes first."""
    first = next(item for item in report.ContentSequence if item.ValueType == "CONTAINER")
    assert _name(first) == "Conclusions"
    return [str(item.TextValue) for item in _items(first) if item.ValueType == "TEXT"]


def _sites(item: Dataset) -> str:
    """Where a measurement was made, as in ``Upper zone of lung, Left``."""
    words = []
    for site in item.get("ContentSequence", []):
        if _name(site) == "Finding Site":
            words.append(str(site.ConceptCodeSequence[0].CodeMeaning))
            words += [
                str(inner.ConceptCodeSequence[0].CodeMeaning)
                for inner in site.get("ContentSequence", [])
            ]
    return ", ".join(words)


def test_the_report_says_severity_by_lung_and_zone(tmp_path: Path) -> None:
    radiograph = _radiograph()
    finding = with_lungs(radiograph)
    report = _written(radiograph, finding)[ResultKind.STRUCTURED_REPORT]
    (tmp_path / "sr.dcm").write_bytes(as_file(report))
    measured = {
        (_name(item), _sites(item)): float(item.MeasuredValueSequence[0].NumericValue)
        for item in _items(dcmread(tmp_path / "sr.dcm"))
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
    assert _evaluations(report)["Grade of the infected share of the lungs"] == "Mild"
    texts = {_name(item): item.TextValue for item in _items(report) if item.ValueType == "TEXT"}
    assert (
        "none up to 0, mild below 25, moderate up to 50"
        in (texts["Grade of the infected share of the lungs"])
    )
    (group,) = srread(tmp_path / "sr.dcm").content.get_planar_roi_measurement_groups()
    assert len(group.get_measurements()) == len(measured)


def test_a_lung_that_is_not_there_is_not_measured(tmp_path: Path) -> None:
    radiograph = _radiograph()
    right_only = lungs()
    right_only[:, 112:] = 0
    for mask, sides in ((right_only, {"Right"}), (np.zeros_like(right_only), set())):
        finding = with_lungs(radiograph, lungs=mask)
        objects = _written(radiograph, finding)
        report = objects[ResultKind.STRUCTURED_REPORT]
        sites = [_sites(item) for item in _items(report) if item.ValueType == "NUM"]
        assert {site.split(", ")[1] for site in sites if site} == sides
        assert ("Grade of the infected share of the lungs" in _evaluations(report)) == bool(sides)
        for dataset in objects.values():
            assert _dciodvfy(dataset, tmp_path) == []


def test_the_lungs_segment_names_the_model_that_found_it() -> None:
    radiograph = _radiograph()
    objects = _written(radiograph, with_lungs(radiograph))
    infection, actual = objects[ResultKind.SEGMENTATION].SegmentSequence
    names = [
        one.SegmentationAlgorithmIdentificationSequence[0].AlgorithmName
        for one in (infection, actual)
    ]
    assert names == [MODEL["model_name"], "infmap lungs U-Net ResNet-50"]
    assert actual.SegmentedPropertyTypeCodeSequence[0].CodeMeaning == "Lung"


def test_without_a_segmentation_the_report_refers_to_the_source() -> None:
    radiograph = _radiograph()
    assert radiograph.header is not None
    (report,) = dicom_results(
        radiograph.header, radiograph, made_up(radiograph), kinds=[ResultKind("sr")]
    )
    referred = [item for item in _items(report) if item.ValueType == "IMAGE"]
    assert [item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for item in referred] == [
        chest_dataset().SOPInstanceUID
    ]


def test_the_refusal_says_why_and_no_file_name() -> None:
    report = _refusal(_radiograph(), view="LL")
    stated = _evaluations(report)
    assert stated["Evaluation of the radiograph"] == "Not Attempted"
    assert stated["Reason for not evaluating"] == "lateral view"
    assert _conclusions(report)[0].startswith("This radiograph was not evaluated (lateral-view). ")
    said = str(report.ContentSequence)
    for word in ("COVID", "chest", "Lung", "Finding Site", "nfection"):
        assert word not in said, "it may be of a hip, or of a dog"
    texts = {_name(item): item.TextValue for item in _items(report) if item.ValueType == "TEXT"}
    assert texts["Reason for not evaluating"] == "expected a frontal view"
    assert json.loads(texts["What was found"]) == {"view": "LL"}
    assert "Secret" not in " ".join(texts.values())


def test_refusals_for_different_reasons_are_different_objects() -> None:
    header = _radiograph().header
    assert header is not None
    uids = {
        rejection_report(header, InputRejected(code, "why")).SOPInstanceUID
        for code in ("child", "animal")
    }
    assert len(uids) == 2


def test_the_contour_lies_on_the_masks_edge() -> None:
    objects = _written(_radiograph())
    state = objects[ResultKind.PRESENTATION_STATE]
    graphics = [
        np.asarray(one.GraphicData).reshape(-1, 2)
        for annotation in state.GraphicAnnotationSequence
        for one in annotation.get("GraphicObjectSequence", [])
    ]
    assert len(graphics) == 3, "two regions, and the hole in one of them"
    mask = np.squeeze(objects[ResultKind.SEGMENTATION].pixel_array).astype(np.uint8)
    drawn = np.zeros_like(mask)
    for corners in graphics:
        assert (corners[0] == corners[-1]).all()
        cv2.fillPoly(drawn, [np.rint(corners - 0.5).astype(np.int32)], 1)
    union = (drawn | mask).sum()
    hole = 12 * 15 / (50 * 45 + 15 * 50)
    assert (drawn & mask).sum() / union > 1 - hole - 0.06
    (image,) = state.ReferencedSeriesSequence[0].ReferencedImageSequence
    assert image.ReferencedSOPInstanceUID == chest_dataset().SOPInstanceUID


def test_the_contour_is_shown_through_the_sources_window() -> None:
    tags = {"WindowCenter": 1800, "WindowWidth": 2500, "PhotometricInterpretation": "MONOCHROME1"}
    radiograph = decode_radiograph(as_file(chest_dataset(4095 - drawn_chest(), **tags)), "x")
    state = _written(radiograph)[ResultKind.PRESENTATION_STATE]
    (shown,) = state.SoftcopyVOILUTSequence
    assert (float(shown.WindowCenter), float(shown.WindowWidth)) == (1800, 2500)
    assert state.PresentationLUTShape == "INVERSE"


@pytest.mark.parametrize(
    ("tags", "aspect"),
    [
        ({"ImagerPixelSpacing": [0.3, 0.2]}, [3, 2]),
        ({"ImagerPixelSpacing": None, "PixelAspectRatio": [4, 5]}, [4, 5]),
        ({"ImagerPixelSpacing": [0.143, 0.143]}, [1, 1]),
        ({"ImagerPixelSpacing": None}, [1, 1]),
    ],
)
def test_pixels_that_are_not_square_stay_so(tags: dict[str, Any], aspect: list[int]) -> None:
    radiograph = _radiograph(**tags)
    objects = _written(radiograph)
    assert radiograph.header is not None
    (bare,) = dicom_results(
        radiograph.header,
        radiograph,
        made_up(radiograph),
        kinds=[ResultKind("sc")],
        capture=Capture.BARE,
    )
    assert list(bare.get("PixelAspectRatio", [1, 1])) == aspect
    assert "PixelAspectRatio" not in objects[ResultKind.SECONDARY_CAPTURE]
    (area,) = objects[ResultKind.PRESENTATION_STATE].DisplayedAreaSelectionSequence
    assert list(area.PresentationPixelAspectRatio) == aspect


def test_a_source_without_uid_is_refused() -> None:
    radiograph = _radiograph()
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
    radiograph = _radiograph(PatientName="Secret Person")
    caplog.clear()
    _written(radiograph)
    assert "Secret" not in caplog.text
    assert "Secret" not in "".join(capfd.readouterr())


def test_results_of_real_radiographs(chest_dicoms: list[Path], tmp_path: Path) -> None:
    for path in chest_dicoms:
        radiograph = read_radiograph(path)
        for dataset in _written(radiograph).values():
            assert _dciodvfy(dataset, tmp_path) == [], f"{path.name}: {dataset.SOPClassUID.name}"


def test_results_of_public_files(shared_data: Path, tmp_path: Path) -> None:
    written = 0
    for path in sorted((shared_data / "dicom").iterdir()):
        content = path.read_bytes()
        try:
            radiograph = decode_radiograph(content, "x", secondary_capture=True)
            objects = list(_written(radiograph).values())
        except InputRejected as rejection:
            objects = [rejection_report(read_tags(content), rejection)]
        for dataset in objects:
            assert _dciodvfy(dataset, tmp_path) == [], f"{path.name}: {dataset.SOPClassUID.name}"
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
    radiograph = _radiograph()
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
        for dataset in _written(radiograph).values():
            assert dataset.SOPInstanceUID.startswith("2.25.")
    except InputRejected as rejection:
        stated = f"{rejection.code} {rejection}"
    assert "Secret" not in stated
