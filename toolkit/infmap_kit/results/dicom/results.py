"""The DICOM objects that go back to the PACS, made of a model's answer."""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from infmap_kit.errors import InputRejected
from infmap_kit.imaging.radiograph import Reason
from infmap_kit.model.finding import COVID_19, FindingSpec
from infmap_kit.results.dicom.author import Author
from infmap_kit.results.dicom.reference import can_hold, reference
from infmap_kit.results.dicom.writing import writing
from infmap_kit.results.sheet.sheet import Capture
from infmap_kit.results.words.words import ENGLISH, Words

if TYPE_CHECKING:
    from pydicom import Dataset

    from infmap_kit.answer.answer import Answer
    from infmap_kit.imaging.radiograph import Radiograph


class ResultKind(enum.StrEnum):
    """Kinds of DICOM objects that can be written for one radiograph."""

    SECONDARY_CAPTURE = "sc"
    SEGMENTATION = "seg"
    STRUCTURED_REPORT = "sr"
    PRESENTATION_STATE = "gsps"


USUAL_KINDS = tuple(kind for kind in ResultKind if kind != ResultKind.PRESENTATION_STATE)


def dicom_results(
    source: Dataset | None,
    radiograph: Radiograph,
    answer: Answer,
    *,
    kinds: Collection[ResultKind] = USUAL_KINDS,
    language: str = ENGLISH,
    capture: Capture = Capture.BESIDE,
    made_at: dt.datetime | None = None,
) -> list[Dataset]:
    """Write a model's answer as DICOM objects of the source's study.

    Parameters
    ----------
    source
        The radiograph's data set, such as ``radiograph.header``; its pixels are not looked at and need not be
        there.
    radiograph
        The radiograph that was read from it.
    answer
        The model's answer, under its own name: see :mod:`infmap_kit.model.finding`.
    kinds
        Kinds of the objects; each is a series of its own. The report refers to the segmentation when
        both are asked for.
    language
        ISO 639-1 code of the words of Secondary Capture and report.
    capture
        What the Secondary Capture shows.
    made_at
        When the model answered; now, when it is not given. UIDs follow from source, model and
        kind alone; with the same time the objects are equal byte for byte.

    Returns
    -------
    list
        Data sets with file meta information, ready for ``save_as(..., enforce_file_format=True)``
        and for C-STORE, in the order of :class:`ResultKind`.

    Raises
    ------
    InputRejected
        ``no-dicom-source`` when there is no data set, since the file was none of DICOM; ``no-uid`` when it has
        no SOP Instance UID to refer to; ``unwritable`` when its tags allow no results.
    MissingDependency
        When highdicom is not installed.
    """
    if source is None:
        raise InputRejected(
            Reason.NO_DICOM_SOURCE,
            "expected a DICOM file to make DICOM results of, found another picture",
        )
    with writing():
        from infmap_kit.results.dicom.presentation_state import presentation_state
        from infmap_kit.results.dicom.secondary_capture import secondary_capture
        from infmap_kit.results.dicom.segmentation import INFECTION, native_masks, segmentation
        from infmap_kit.results.dicom.structured_report import structured_report

        chosen = {ResultKind(kind) for kind in kinds}
        author = _author(source, answer.model, made_at, language=language, capture=capture)
        masks = native_masks(answer, radiograph, author.finding)
        written: list[Dataset] = []
        if ResultKind.SECONDARY_CAPTURE in chosen:
            written.append(secondary_capture(radiograph, answer, author, Capture(capture)))
        segmented = None
        if ResultKind.SEGMENTATION in chosen:
            segmented = segmentation(masks, author)
            written.append(segmented)
        if ResultKind.STRUCTURED_REPORT in chosen:
            written.append(structured_report(radiograph, answer, author, segmented))
        if ResultKind.PRESENTATION_STATE in chosen:
            written.append(presentation_state(masks[INFECTION], author))
    return written


def rejection_report(
    source: Dataset,
    rejection: InputRejected,
    *,
    finding: FindingSpec = COVID_19,
    language: str = ENGLISH,
    made_at: dt.datetime | None = None,
) -> Dataset:
    """Write a Structured Report that says why a radiograph was refused.

    Parameters
    ----------
    source
        The refused file's data set, as far as it could be read.
    rejection
        Why it was refused.
    finding
        The finding that was not looked for.
    language
        ISO 639-1 code of the report's words.
    made_at
        When it was refused; now, when it is not given.

    Raises
    ------
    InputRejected, MissingDependency
        As by :func:`dicom_results`.
    """
    with writing():
        from infmap_kit.results.dicom.structured_report import refusal

        # No model has answered; the parameters of one say which finding it is about.
        model = finding.as_parameters()
        author = _author(source, model, made_at, language=language, refusal=str(rejection.code))
        return refusal(rejection, author)


def _author(
    source: Dataset,
    model: Mapping[str, str],
    made_at: dt.datetime | None,
    *,
    language: str,
    **more: str,
) -> Author:
    texts = Words(language).texts
    if not can_hold(source, texts):
        # Nobody knows the character set of the patient's name, so that it cannot become another one.
        language, texts = ENGLISH, ()
    referred = reference(source, texts)
    return Author.of(referred, model, made_at, language=language, **more)
