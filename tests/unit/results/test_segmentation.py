"""The segmentation and the secondary capture lie where the source's pixels lie."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from highdicom.seg import segread
from numpy.typing import NDArray
from pydicom import dcmread

from dicom_files import as_file, chest_dataset, drawn_chest
from findings import MODEL, made_up, probability, with_lungs
from infmap_kit.imaging.readers import decode_radiograph
from infmap_kit.results.dicom.results import ResultKind, dicom_results
from infmap_kit.results.sheet.sheet import Capture
from written_results import (
    dicom_radiograph,
    written_objects,
)

_Turn = Callable[[NDArray[Any]], NDArray[Any]]


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

    objects = written_objects(radiograph)
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
    radiograph = dicom_radiograph()
    objects = written_objects(radiograph, with_lungs(radiograph, lungs=lungs))
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
    """OHIF's page goes black where the shared functional groups have no Pixel Measures."""

    def spacing(**tags: Any) -> list[float] | None:
        written = written_objects(dicom_radiograph(**tags))[ResultKind.SEGMENTATION]
        (shared,) = written.SharedFunctionalGroupsSequence
        measures = shared.get("PixelMeasuresSequence")
        return None if measures is None else list(measures[0].PixelSpacing)

    assert spacing(PixelSpacing=[0.4, 0.3]) == [0.4, 0.3]
    at_detector = {"ImagerPixelSpacing": [0.22, 0.11]}
    assert spacing(**at_detector) is None
    magnified = "EstimatedRadiographicMagnificationFactor"
    assert spacing(**at_detector, **{magnified: 1.1}) == pytest.approx([0.2, 0.1])
    assert spacing(**at_detector, PixelSpacing=[0.4, 0.3], **{magnified: 1.1}) == [0.4, 0.3]
    for says_nothing in (1, 0, 25):
        assert spacing(**at_detector, **{magnified: says_nothing}) is None


def test_a_lone_pixel_is_not_lost() -> None:
    field = np.zeros((224, 224), np.float32)
    field[100, 50] = 0.5001
    radiograph = dicom_radiograph()
    mask = written_objects(radiograph, probability=field)[ResultKind.SEGMENTATION].pixel_array
    rows, columns = np.nonzero(mask)
    assert rows.size
    assert abs(rows.mean() / 320 - 100.5 / 224) < 0.01
    assert abs(columns.mean() / 260 - 50.5 / 224) < 0.01


def test_the_lungs_segment_names_the_model_that_found_it() -> None:
    radiograph = dicom_radiograph()
    objects = written_objects(radiograph, with_lungs(radiograph))
    infection, actual = objects[ResultKind.SEGMENTATION].SegmentSequence
    names = [
        one.SegmentationAlgorithmIdentificationSequence[0].AlgorithmName
        for one in (infection, actual)
    ]
    assert names == [MODEL["model_name"], "infmap lungs U-Net ResNet-50"]
    assert actual.SegmentedPropertyTypeCodeSequence[0].CodeMeaning == "Lung"
