"""An answer, or a refusal, as a Structured Report (TID 1500)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from infmap_kit.answer.answer import lungs_of
from infmap_kit.report.numbers import plain_number
from infmap_kit.results.dicom import measurements
from infmap_kit.results.dicom.author import MANUFACTURER, Author
from infmap_kit.results.dicom.codes import OWN_SCHEME, coded, concept
from infmap_kit.results.words.conclusion import conclusion, notice, warned
from infmap_kit.results.words.words import Words

if TYPE_CHECKING:
    from pydicom import Dataset

    from infmap_kit.answer.answer import Answer
    from infmap_kit.errors import InputRejected
    from infmap_kit.imaging.radiograph import Radiograph

_LONG_STRING = 64
"""Most characters of a Code Meaning (PS3.5, table 6.2-1, LO)."""


def structured_report(
    radiograph: Radiograph, answer: Answer, author: Author, masks: Dataset | None
) -> Dataset:
    """Write a model's answer about a radiograph: the conclusion first, then every figure, then the warnings.

    Parameters
    ----------
    radiograph, answer, author
        The radiograph that was read, the model's answer, and its author.
    masks
        The Segmentation to refer to, where there is one.
    """
    words, finding, lungs = Words(author.language), author.finding, lungs_of(answer)
    group = _group(
        author,
        masks,
        measurements=measurements.measurements(answer, finding),
        evaluations=measurements.evaluations(answer, finding),
    )
    texts = [*measurements.texts(answer, author.finding)]
    doubts = (*radiograph.warnings, *answer.warnings)
    texts += [("warning", f"{warning.code}: {warning.text}") for warning in doubts]
    content = _content(author, group, procedure="chest-xray")
    sentences = [
        *conclusion(answer, finding, words, sides_stated=radiograph.sides_stated),
        # A negative's sentences name no lung, and its figures do.
        *(
            []
            if answer.detected or radiograph.sides_stated or lungs is None
            else [words("sides_assumed")]
        ),
        *warned(doubts, words),
        notice(finding, words),
    ]
    return _report(
        author,
        content,
        sentences,
        texts,
        masks,
        described=f"{finding.title} report",
        cut_offs=() if lungs is None else lungs.grades.cut_offs,
    )


def refusal(rejection: InputRejected, author: Author) -> Dataset:
    """Write that and why a radiograph was not evaluated.

    It speaks of no chest, no lung and no finding: what was refused may be a hip, or a dog's.
    """
    from highdicom.sr import (
        CodedConcept,
        MeasurementsAndQualitativeEvaluations,
        QualitativeEvaluation,
        SourceImageForMeasurementGroup,
        TrackingIdentifier,
    )

    words, source = Words(author.language), author.source
    # A code's meaning is words for people, in the standard's English (PS3.3, table 8.8-1).
    reason = CodedConcept(rejection.code, OWN_SCHEME, _meaning(rejection))
    group = MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(
            uid=author.uid("sr", "track refusal"), identifier="refused radiograph"
        ),
        qualitative_evaluations=[
            QualitativeEvaluation(concept("evaluation"), concept("not-attempted")),
            QualitativeEvaluation(concept("reason"), reason),
        ],
        source_images=[
            SourceImageForMeasurementGroup(str(source.SOPClassUID), str(source.SOPInstanceUID))
        ],
    )
    texts = [("reason", rejection.reason)]
    if rejection.found:
        texts.append(("what-was-found", json.dumps(rejection.found)))
    return _report(
        author,
        _content(author, group, procedure="radiography"),
        [
            words("not_evaluated", reason=words.rejection(rejection)),
            notice(author.finding, words),
        ],
        texts,
        None,
        described="Radiograph not evaluated",
    )


def _meaning(rejection: InputRejected) -> str:
    """The English words of a reject's code, as long as a Code Meaning may be."""
    words = Words().rejection(rejection).removesuffix(".")
    return words if len(words) <= _LONG_STRING else rejection.code.replace("-", " ")


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


def _content(author: Author, group: Any, *, procedure: str) -> Dataset:
    """The root of a Measurement Report (TID 1500), without its conclusion."""
    from highdicom.sr import (
        DeviceObserverIdentifyingAttributes,
        MeasurementReport,
        ObservationContext,
        ObserverContext,
    )
    from pydicom.sr.codedict import codes

    device = DeviceObserverIdentifyingAttributes(
        uid=author.uid("sr", "device"),
        name=MANUFACTURER,
        manufacturer_name=MANUFACTURER,
        model_name=author.model_name,
        serial_number=author.identity,
    )
    report = MeasurementReport(
        observation_context=ObservationContext(
            observer_device_context=ObserverContext(
                observer_type=codes.DCM.Device, observer_identifying_attributes=device
            )
        ),
        procedure_reported=concept(procedure),
        imaging_measurements=[group],
    )
    root: Dataset = report[0]
    return root


def _conclusion(words: Words, sentences: Sequence[str]) -> Any:
    """The sentences that a reader wants first, in their language, which the container states (TID 1204)."""
    from highdicom.sr import (
        CodedConcept,
        ContainerContentItem,
        ContentSequence,
        LanguageOfContentItemAndDescendants,
        TextContentItem,
    )

    container = ContainerContentItem(concept("conclusions"), relationship_type="CONTAINS")
    texts = [TextContentItem(concept("conclusion"), text, "CONTAINS") for text in sentences]
    language = LanguageOfContentItemAndDescendants(
        CodedConcept(words.language, "RFC5646", words("language"))
    )
    container.ContentSequence = ContentSequence([*language, *texts])
    return container


def _report(
    author: Author,
    content: Dataset,
    sentences: Sequence[str],
    texts: Sequence[tuple[str, str]],
    masks: Dataset | None,
    *,
    described: str,
    cut_offs: Sequence[float] = (),
) -> Dataset:
    from highdicom.coding_schemes import CodingSchemeIdentificationItem
    from highdicom.sr import (
        ComprehensiveSR,
        ContainerContentItem,
        ContentSequence,
        TextContentItem,
    )

    if texts:
        evaluations = ContainerContentItem(
            concept("qualitative-evaluations"), relationship_type="CONTAINS"
        )
        evaluations.ContentSequence = ContentSequence(
            [
                TextContentItem(concept(name, author.finding), text, "CONTAINS")
                for name, text in texts
            ]
        )
        content.ContentSequence.append(evaluations)
    # Before all that follows but the language: the template's order has no meaning (PS3.16, TID 1500).
    content.ContentSequence.insert(1, _conclusion(Words(author.language), sentences))
    # Between these lies what a number means: a share of 0.4996 must not read as one that reaches 0.50.
    bounds = {0.0, 1.0, 100.0, author.finding.threshold, *cut_offs}
    for element in content.iterall():
        if element.keyword == "ContinuityOfContent":
            # Items of their own, which a viewer shows with their names (PS3.3, C.17.3.2.4).
            element.value = "SEPARATE"
        elif element.keyword == "NumericValue":
            element.value = plain_number(float(element.value), bounds)
    written = ComprehensiveSR(
        evidence=[author.source] if masks is None else [author.source, masks],
        content=content,
        is_complete=True,
        is_final=True,
        is_verified=False,
        coding_schemes=[
            CodingSchemeIdentificationItem(OWN_SCHEME, name=f"Concepts of {MANUFACTURER}")
        ],
        **author.identification("sr", series_number=9003, described=described),
    )
    return author.signed(written)
