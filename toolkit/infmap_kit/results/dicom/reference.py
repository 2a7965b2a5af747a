"""The part of a radiograph's data set that results copy: patient, study, identity and how its pixels lie."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Collection
from fractions import Fraction
from typing import TYPE_CHECKING

from infmap_kit.errors import InputRejected
from infmap_kit.imaging.dicom.attributes.character_set import TEXTS, UTF_8, written_character_set
from infmap_kit.imaging.dicom.dataset import text_of
from infmap_kit.imaging.radiograph import Reason
from infmap_kit.results.dicom.uids import derived_uid

if TYPE_CHECKING:
    from pydicom import Dataset

_UID = re.compile(r"[0-9.]{1,64}")

_COPIED = (
    *("PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex"),
    *("StudyDate", "StudyTime", "AccessionNumber", "StudyID", "StudyDescription"),
    *("ReferringPhysicianName", "Modality", "PatientOrientation", "BurnedInAnnotation"),
    *("PixelSpacing", "ImagerPixelSpacing", "PixelAspectRatio"),
    "EstimatedRadiographicMagnificationFactor",
    *("Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation", "PixelRepresentation"),
    *("BitsAllocated", "BitsStored", "HighBit", "PresentationLUTShape"),
    *("RescaleIntercept", "RescaleSlope", "RescaleType", "ModalityLUTSequence"),
    *("WindowCenter", "WindowWidth", "VOILUTFunction", "VOILUTSequence"),
)
_MAY_BE_EMPTY = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime"),
    *("AccessionNumber", "StudyID", "ReferringPhysicianName"),
)
_GREATEST_MAGNIFICATION = 2.0
"""Beyond it a chest is nearer to the source than to the detector."""
_TIME = re.compile(r"([01]\d|2[0-3])([0-5]\d([0-5]\d(\.\d{1,6})?)?)?")


def reference(source: Dataset, texts: Collection[str] = ()) -> Dataset:
    """Make the data set that the results' constructors copy from, out of a radiograph's.

    Only what results need is in it, and what would make a constructor fail (a date that is none, a
    sex that DICOM does not know) is empty. What is missing but must be there is derived.

    Parameters
    ----------
    source
        The radiograph's data set.
    texts
        What results are going to say besides, which the character set must hold.

    Raises
    ------
    InputRejected
        ``no-uid`` when nothing could refer to the source.
    """
    from pydicom import Dataset
    from pydicom.multival import MultiValue
    from pydicom.uid import ComputedRadiographyImageStorage

    instance = _uid(source, "SOPInstanceUID")
    if not instance:
        raise InputRejected(
            Reason.NO_UID,
            "expected a SOP Instance UID that results can refer to, found none that is valid: store "
            "the radiograph in a PACS first, or ask for PNG and JSON",
        )
    referred = Dataset()
    referred.SOPInstanceUID = instance
    referred.SOPClassUID = _uid(source, "SOPClassUID") or ComputedRadiographyImageStorage
    for keyword, what in (("StudyInstanceUID", "study"), ("SeriesInstanceUID", "series")):
        setattr(referred, keyword, _uid(source, keyword) or derived_uid(instance, "source", what))
    for keyword in _MAY_BE_EMPTY:
        setattr(referred, keyword, None)
    for keyword in _COPIED:
        if text_of(source, keyword) or (keyword.endswith("Sequence") and source.get(keyword)):
            setattr(referred, keyword, source[keyword].value)
    _set_character_set(referred, source, texts)
    for keyword in ("WindowCenter", "WindowWidth"):
        # What was shown is the first of several.
        if isinstance(referred.get(keyword), MultiValue):
            setattr(referred, keyword, referred[keyword].value[0])
    for keyword in ("PatientBirthDate", "StudyDate"):
        if not _is_date(text_of(referred, keyword)):
            setattr(referred, keyword, None)
    if not _TIME.fullmatch(text_of(referred, "StudyTime")):
        referred.StudyTime = None
    for keyword in ("PixelSpacing", "ImagerPixelSpacing"):
        if not _is_spacing(referred.get(keyword)):
            referred.pop(keyword, None)
    if referred.PatientSex not in ("M", "F", "O"):
        referred.PatientSex = None
    return referred


def pixel_aspect(referred: Dataset) -> list[int]:
    """Height and width of a pixel as integers; ``[1, 1]`` when it is square, or no size is stated."""
    for keyword in ("PixelSpacing", "ImagerPixelSpacing", "PixelAspectRatio"):
        lengths = referred.get(keyword)
        if _is_spacing(lengths):
            ratio = Fraction(float(lengths[0]) / float(lengths[1])).limit_denominator(1000)
            return [max(ratio.numerator, 1), ratio.denominator]
    return [1, 1]


def patient_spacing(referred: Dataset) -> list[float] | None:
    """Height and width of a pixel in the patient in mm, or ``None`` where the radiograph does not say.

    Its Pixel Spacing, or that at the detector over the Estimated Radiographic Magnification Factor
    (PS3.3, C.8.11.5). A factor of 1 is that of an object that lies on the detector, which no chest is.
    """
    if "PixelSpacing" in referred:
        return [float(length) for length in referred.PixelSpacing]
    try:
        magnification = float(text_of(referred, "EstimatedRadiographicMagnificationFactor"))
    except ValueError:
        return None
    if "ImagerPixelSpacing" not in referred or not 1 < magnification < _GREATEST_MAGNIFICATION:
        return None
    return [round(float(length) / magnification, 6) for length in referred.ImagerPixelSpacing]


def _uid(dataset: Dataset, keyword: str) -> str:
    """A UID's text, empty when it is missing or could not be one."""
    text = text_of(dataset, keyword)
    return text if _UID.fullmatch(text) else ""


def can_hold(source: Dataset, texts: Collection[str]) -> bool:
    """Whether results can say these texts beside the radiograph's own.

    Not where a text is more than ASCII and the file names no character set, while its own texts are not ASCII
    either: their bytes are kept, whatever they mean.
    """
    if all(map(str.isascii, texts)) or all(map(str.isascii, own_texts(source))):
        return True
    return bool(written_character_set(source, own_texts(source)))


def own_texts(source: Dataset) -> tuple[str, ...]:
    """The texts of a radiograph that results copy."""
    return tuple(text_of(source, keyword) for keyword in TEXTS)


def _set_character_set(referred: Dataset, source: Dataset, texts: Collection[str]) -> None:
    """Keep a plain character set, which the PACS knows; code extensions and wrong spellings become UTF-8."""
    written = written_character_set(source, (*own_texts(referred), *texts))
    if not written and not all(map(str.isascii, texts)):
        written = UTF_8
    if not written:
        return
    referred.SpecificCharacterSet = written
    for element in referred:
        if element.VR == "PN":
            # A name remembers the bytes that it was read from; its text is what to keep.
            element.value = str(element.value)


def _is_spacing(value: object) -> bool:
    """Whether these are two lengths; some files say 0."""
    try:
        row, column = (float(length) for length in value)  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        return False
    return 0 < row < math.inf and 0 < column < math.inf


def _is_date(text: str) -> bool:
    try:
        dt.datetime.strptime(text, "%Y%m%d").replace(tzinfo=dt.UTC)
    except ValueError:
        return False
    return len(text) == 8
