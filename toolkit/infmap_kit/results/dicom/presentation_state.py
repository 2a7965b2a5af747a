"""The finding's contour over the radiograph itself, as a Grayscale Softcopy Presentation State."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from infmap_kit.imaging.dicom.display import is_inverse
from infmap_kit.results.dicom.author import Author
from infmap_kit.results.dicom.reference import pixel_aspect

if TYPE_CHECKING:
    from pydicom import Dataset


def presentation_state(mask: NDArray[np.uint8], author: Author) -> Dataset:
    """Write the outline of a mask, (rows, columns) uint8, 0 or 1, as graphics over its source's pixels."""
    from highdicom import PresentationLUTTransformation
    from highdicom.color import CIELabColor
    from highdicom.pr import (
        GraphicAnnotation,
        GraphicLayer,
        GraphicObject,
        GrayscaleSoftcopyPresentationState,
        TextObject,
    )

    finding, source = author.finding, author.source
    layer = GraphicLayer(
        layer_name=finding.label,
        order=1,
        description=f"{finding.name}. {finding.short_notice}",
        display_color=CIELabColor(*finding.display_colour),
    )
    annotation = GraphicAnnotation(
        referenced_images=[source],
        graphic_layer=layer,
        graphic_objects=[
            GraphicObject(graphic_type="POLYLINE", graphic_data=outline, units="PIXEL")
            for outline in outlines(mask)
        ],
        text_objects=[
            TextObject(
                text_value=f"{author.model_name} {author.model_version}\n{finding.short_notice}",
                units="DISPLAY",
                bounding_box=(0.02, 0.92, 0.98, 0.98),
            )
        ],
    )
    written = GrayscaleSoftcopyPresentationState(
        referenced_images=[source],
        content_label=finding.label,
        content_description=f"Contour of {finding.name}",
        graphic_layers=[layer],
        graphic_annotations=[annotation],
        # With a presentation state the viewer no longer looks at MONOCHROME1 (PS3.3, C.11.6).
        presentation_lut_transformation=PresentationLUTTransformation(
            presentation_lut_shape="INVERSE" if is_inverse(source) else "IDENTITY"
        ),
        **author.identification("gsps", series_number=9004, described=f"{finding.title} contour"),
    )
    for area in written.DisplayedAreaSelectionSequence:
        # highdicom knows of Pixel Spacing alone, which a detector's picture seldom has.
        if "PresentationPixelSpacing" not in area:
            area.PresentationPixelAspectRatio = pixel_aspect(source)
    return author.signed(written)


def outlines(mask: NDArray[np.uint8]) -> list[NDArray[np.float64]]:
    """Closed outlines of the regions of a mask, (rows, columns) uint8, 0 or 1.

    Returns
    -------
    list
        (N, 2) column and row of each corner, the first again at the end; the middle of the upper
        left pixel is (0.5, 0.5), as in DICOM PS3.3, C.10.5.1.2.
    """
    contours, _ = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_TC89_L1)
    return [
        np.concatenate([corners[:, 0], corners[:1, 0]]).astype(np.float64) + 0.5
        for corners in contours
    ]
