"""An answer, or a refusal, as a Structured Report (TID 1500)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from infmap_kit.results.dicom import measurements
from infmap_kit.results.dicom.author import MANUFACTURER, Author
from infmap_kit.results.dicom.codes import OWN_SCHEME, coded, concept

if TYPE_CHECKING:
    from pydicom import Dataset

    from infmap_kit.answer.answer import Answer
    from infmap_kit.errors import InputRejected
    from infmap_kit.imaging.radiograph import Radiograph


def structured_report(
    radiograph: Radiograph, answer: Answer, author: Author, masks: Dataset | None
) -> Dataset:
    """Write a model's answer about a radiograph, with the warnings of both.

    Parameters
    ----------
    radiograph, answer, author
        The radiograph that was read, the model's answer, and its author.
    masks
        The Segmentation to refer to, where there is one.
    """
    group = _group(
        author,
        masks,
        measurements=measurements.measurements(answer, author.finding),
        evaluations=measurements.evaluations(answer, author.finding),
    )
    texts = [*measurements.texts(answer)]
    doubts = (*radiograph.warnings, *answer.warnings)
    texts += [("warning", f"{warning.code}: {warning.text}") for warning in doubts]
    return _report(author, group, texts, masks, described=f"{author.finding.title} report")


def refusal(rejection: InputRejected, author: Author) -> Dataset:
    """Write that and why a radiograph was refused."""
    from highdicom.sr import CodedConcept, QualitativeEvaluation

    reason = CodedConcept(rejection.code, OWN_SCHEME, rejection.code.replace("-", " "))
    evaluations = [
        QualitativeEvaluation(name=concept("judged"), value=concept("no")),
        QualitativeEvaluation(name=concept("reason"), value=reason),
    ]
    group = _group(author, None, measurements=[], evaluations=evaluations)
    texts = [("reason", rejection.reason)]
    if rejection.found:
        texts.append(("what-was-found", json.dumps(rejection.found)))
    return _report(author, group, texts, None, described="Radiograph not judged")


def _group(
    author: Author,
    masks: Dataset | None,
    *,
    measurements: Sequence[Any],
    evaluations: Sequence[Any],
) -> Any:
    from highdicom.sr import (
        AlgorithmIdentification,
        FindingSite,
        MeasurementsAndQualitativeEvaluations,
        PlanarROIMeasurementsAndQualitativeEvaluations,
        ReferencedSegmentationFrame,
        SourceImageForMeasurementGroup,
        SourceImageForSegmentation,
        TrackingIdentifier,
    )

    finding = author.finding
    common: dict[str, Any] = {
        "tracking_identifier": TrackingIdentifier(
            uid=author.uid("seg", "track infection"), identifier=author.tracking_id
        ),
        "finding_type": coded(finding.condition),
        "finding_sites": [FindingSite(coded(finding.site))],
        "algorithm_id": AlgorithmIdentification(
            name=author.model_name,
            version=author.model_version,
            parameters=[author.made_from] if author.made_from else None,
            manufacturer=MANUFACTURER,
        ),
        "measurements": measurements,
        "qualitative_evaluations": evaluations,
    }
    instance = (str(author.source.SOPClassUID), str(author.source.SOPInstanceUID))
    if masks is None:
        return MeasurementsAndQualitativeEvaluations(
            **common, source_images=[SourceImageForMeasurementGroup(*instance)]
        )
    segment = ReferencedSegmentationFrame(
        sop_class_uid=masks.SOPClassUID,
        sop_instance_uid=masks.SOPInstanceUID,
        frame_number=1,
        segment_number=1,
        source_image=SourceImageForSegmentation(*instance),
    )
    # The segment or the frame, never both (PS3.3, C.18.4); highdicom wants both.
    del segment[0].ReferencedSOPSequence[0].ReferencedFrameNumber
    return PlanarROIMeasurementsAndQualitativeEvaluations(**common, referenced_segment=segment)


def _report(
    author: Author,
    group: Any,
    texts: Sequence[tuple[str, str]],
    masks: Dataset | None,
    *,
    described: str,
) -> Dataset:
    from highdicom.coding_schemes import CodingSchemeIdentificationItem
    from highdicom.sr import (
        ComprehensiveSR,
        ContainerContentItem,
        ContentSequence,
        DeviceObserverIdentifyingAttributes,
        MeasurementReport,
        ObservationContext,
        ObserverContext,
        TextContentItem,
    )
    from pydicom.sr.codedict import codes

    device = DeviceObserverIdentifyingAttributes(
        uid=author.uid("sr", "device"),
        name=MANUFACTURER,
        manufacturer_name=MANUFACTURER,
        model_name=author.model_name,
        serial_number=author.identity,
    )
    content = MeasurementReport(
        observation_context=ObservationContext(
            observer_device_context=ObserverContext(
                observer_type=codes.DCM.Device, observer_identifying_attributes=device
            )
        ),
        procedure_reported=concept("chest-xray"),
        imaging_measurements=[group],
    )
    evaluations = ContainerContentItem(
        name=concept("qualitative-evaluations"), relationship_type="CONTAINS"
    )
    evaluations.ContentSequence = ContentSequence(
        [
            TextContentItem(
                name=concept(name, author.finding), value=text, relationship_type="CONTAINS"
            )
            for name, text in (("comment", f"{author.finding.short_notice}."), *texts)
        ]
    )
    content[0].ContentSequence.append(evaluations)
    written = ComprehensiveSR(
        evidence=[author.source] if masks is None else [author.source, masks],
        content=content[0],
        is_complete=True,
        is_final=True,
        is_verified=False,
        coding_schemes=[
            CodingSchemeIdentificationItem(OWN_SCHEME, name=f"Concepts of {MANUFACTURER}")
        ],
        **author.identification("sr", series_number=9003, described=described),
    )
    return author.signed(written)
