"""The place of the finding as a DICOM Segmentation over the radiograph's own pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from infmap_kit.imaging.colour import mask_at
from infmap_kit.model.spec import DETECTION_THRESHOLD
from infmap_kit.results.dicom.author import MANUFACTURER, Author
from infmap_kit.results.dicom.codes import coded, concept
from infmap_kit.results.dicom.reference import patient_spacing

if TYPE_CHECKING:
    from highdicom.seg import SegmentDescription
    from pydicom import Dataset

    from infmap_kit.answer.answer import Answer
    from infmap_kit.imaging.radiograph import Radiograph
    from infmap_kit.model.finding import FindingSpec

_LUNGS_COLOUR = (81.0, -39.0, -20.0)
"""CIELAB of the segment of the lungs, as on the sheet: a cyan."""

INFECTION, LUNGS = "infection", "lungs"
"""Names of the masks; the first is the finding's, whatever that is called."""


def native_masks(
    answer: Answer, radiograph: Radiograph, finding: FindingSpec
) -> dict[str, NDArray[np.uint8]]:
    """Masks of an answer by its finding's threshold, over the pixels as the radiograph's source stores them.

    Returns
    -------
    dict
        ``infection``, and ``lungs`` where they are known, to (rows, columns) uint8, 0 or 1. The
        probability is brought to native size as for the infection map (bilinear, half-pixel
        centres) before the threshold, so that the mask's edge is the map's.
    """
    masks = {INFECTION: _native(answer.probability, radiograph, finding.threshold)}
    if answer.lungs is not None:
        # Decided already; the threshold draws the edge between a pixel of the lungs and one of none.
        lungs = answer.lungs.astype(np.float32)
        masks[LUNGS] = _native(lungs, radiograph, DETECTION_THRESHOLD)
    return masks


def _native(
    field: NDArray[np.float32], radiograph: Radiograph, threshold: float
) -> NDArray[np.uint8]:
    return radiograph.as_stored(mask_at(field, radiograph.pixels.shape, threshold))


def segmentation(masks: dict[str, NDArray[np.uint8]], author: Author) -> Dataset:
    """Write the masks of :func:`native_masks` as a binary Segmentation; one frame a segment."""
    from highdicom.seg import Segmentation, SegmentationTypeValues
    from pydicom import Dataset, Sequence

    finding = author.finding
    described = f"{finding.title} mask, {author.model_name}"[:64]
    written = Segmentation(
        source_images=[author.source],
        pixel_array=np.stack(list(masks.values()), axis=-1)[np.newaxis],
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=[
            _segment(number, name, author) for number, name in enumerate(masks, start=1)
        ],
        # An empty mask is an answer too.
        omit_empty_frames=False,
        content_label=finding.label,
        content_description=f"{finding.name} by {MANUFACTURER}",
        **author.identification("seg", series_number=9002, described=described),
    )
    spacing = patient_spacing(author.source)
    if spacing is not None:
        # In the patient: by the spacing at the detector a chest would be measured too large. Where the shared
        # functional groups have no Pixel Measures, OHIF's page goes black.
        measures = Dataset()
        measures.PixelSpacing = spacing
        written.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence = Sequence([measures])
    return author.signed(written)


def _segment(number: int, name: str, author: Author) -> SegmentDescription:
    from highdicom import AlgorithmIdentificationSequence
    from highdicom.color import CIELabColor
    from highdicom.seg import SegmentAlgorithmTypeValues, SegmentDescription

    finding = author.finding if name == INFECTION else None
    return SegmentDescription(
        segment_number=number,
        segment_label=finding.name if finding else "Lungs",
        segmented_property_category=concept(
            "morphologically-abnormal" if finding else "anatomical"
        ),
        segmented_property_type=coded(finding.opacity) if finding else concept("lung"),
        algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=AlgorithmIdentificationSequence(
            name=author.model_name if finding else author.lungs_name,
            family=concept("artificial-intelligence"),
            version=author.model_version if finding else author.lungs_version,
            source=MANUFACTURER,
        ),
        tracking_uid=author.uid("seg", f"track {name}"),
        tracking_id=author.tracking_id if finding else f"{name} {author.identity[:12]}",
        anatomic_regions=[coded(finding.site)] if finding else None,
        display_color=CIELabColor(*(finding.display_colour if finding else _LUNGS_COLOUR)),
    )
