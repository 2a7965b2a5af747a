"""The presentation state draws the contour on the source as its viewer shows it."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from dicom_files import as_file, chest_dataset, drawn_chest
from findings import made_up
from infmap_kit.imaging.readers import decode_radiograph
from infmap_kit.results.dicom.results import ResultKind, dicom_results
from infmap_kit.results.sheet.sheet import Capture
from written_results import (
    dicom_radiograph,
    written_objects,
)


def test_the_contour_lies_on_the_masks_edge() -> None:
    objects = written_objects(dicom_radiograph())
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
    state = written_objects(radiograph)[ResultKind.PRESENTATION_STATE]
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
    radiograph = dicom_radiograph(**tags)
    objects = written_objects(radiograph)
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
