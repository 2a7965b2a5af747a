"""The acceptance of DICOM files by their tags: refusals and warnings, each with a name.

Messages never quote a tag's text unless it is one of the standard's terms: it may be a patient's name in
the wrong place.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from infmap_kit.errors import InputRejected
from infmap_kit.imaging.dicom.dataset import orientation_of, text_of
from infmap_kit.imaging.radiograph import InputWarning, Reason, WarningCode, refuse_size

if TYPE_CHECKING:
    from pydicom import Dataset

MODALITIES = {
    "CR": "computed radiography",
    "DX": "digital radiography",
    "DR": "digital radiography, as old systems write it",
    "RG": "radiographic film",
}
"""Modalities that may hold a plain chest X-ray (DICOM PS3.3, C.7.3.1.1.1), and what they are."""

CAPTURE_MODALITIES = ("OT", "SC")
"""Modalities of secondary captures, read only where asked."""

CHILD_BELOW_YEARS = 18
"""The networks learn from adults; a child's chest has other proportions."""

CHEST_PARTS = ("CHEST", "THORAX", "LUNG")
NEAR_PARTS = ("RIB", "RIBS", "RIBCAGE", "STERNUM", "HEART", "CHESTABDOMEN", "NECKCHEST")
"""Parts whose pictures usually show a chest as well: read, with a warning."""

OTHER_PARTS = frozenset(
    (
        *("ABDOMEN", "ABDOMENPELVIS", "ANKLE", "ARM", "BREAST", "CALCANEUS", "CLAVICLE", "COCCYX"),
        *("CSPINE", "ELBOW", "EXTREMITY", "FACE", "FEMUR", "FINGER", "FOOT", "FOREARM", "HAND"),
        *("HEAD", "HIP", "HUMERUS", "JAW", "KNEE", "LEG", "LSPINE", "MANDIBLE", "MAXILLA", "NECK"),
        *("NOSE", "ORBIT", "PATELLA", "PELVIS", "SCAPULA", "SHOULDER", "SINUS", "SKULL", "SPINE"),
        *("SSPINE", "THIGH", "THUMB", "TIBIA", "TIBIAFIBULA", "TLSPINE", "TOE", "TSPINE"),
        *("WHOLEBODY", "WHOLESPINE", "WRIST", "ZYGOMA"),
    )
)
"""Terms of PS3.16, table L-1, that are no chest."""

_CHEST_REGIONS = frozenset(
    ("816094009", "51185008", "43799004", "39607008", "T-D3000", "T-D3050", "T-28000")
)
_FRONTAL = ("AP", "PA")
_LATERAL = ("LL", "RL", "LAT", "LATERAL", "LLAT", "RLAT")
_OBLIQUE = ("LLO", "RLO", "LAO", "RAO", "LPO", "RPO", "OBLIQUE", "LLD", "RLD", "DECUB")
# CID 4010, DX View, in SNOMED CT and as SNOMED RT wrote it.
_LATERAL_CODES = frozenset(("399067008", "R-102CD", "399173006", "R-10236", "399198007", "R-10232"))
_OBLIQUE_CODES = frozenset(
    (
        *("399182000", "R-102C1", "399184004", "R-10238", "399236003", "R-10234"),
        *("399135007", "R-10220", "399006002", "R-10212", "399356000", "R-40985"),
        *("399038007", "R-10210", "260427002", "R-40783", "399312000", "R-10208"),
        *("399059000", "R-10216", "399160007", "R-10204"),
    )
)
_FOR_PROCESSING = tuple(f"1.2.840.10008.5.1.4.1.1.1.{number}.1" for number in (1, 2, 3))
_CAPTURES = "1.2.840.10008.5.1.4.1.1.7"


def judge_tags(dataset: Dataset, *, secondary_capture: bool) -> tuple[InputWarning, ...]:
    """Refuse by the tags what is no single gray frontal chest of a grown person.

    Parameters
    ----------
    dataset
        The parsed file; its pixels need not be decoded.
    secondary_capture
        Whether secondary captures of radiographs are accepted.

    Returns
    -------
    tuple
        Warnings about what was accepted.

    Raises
    ------
    InputRejected
        ``modality``, ``secondary-capture``, ``animal``, ``child``, ``not-a-chest``,
        ``lateral-view``, ``oblique-view``, ``no-pixels``, ``multi-frame``, ``colour``,
        ``too-small``, ``too-large``, ``pixel-type`` or ``unreadable``.
    """
    _modality(dataset, secondary_capture)
    age = _patient(dataset)
    warnings = (
        *age,
        *_part(dataset),
        *_view(dataset),
        *_unstated(dataset),
        *_intent(dataset),
    )
    _picture(dataset)
    return warnings


def age_years(dataset: Dataset) -> int | None:
    """Age at the study in whole years, from Patient Age or the two dates; ``None`` when unknown."""
    stated = re.fullmatch(r"0*(\d{1,3}) ?([DWMY]?)R?", text_of(dataset, "PatientAge").upper())
    if stated:
        number, unit = int(stated[1]), stated[2]
        # Without a unit, as some converters write it, years are meant.
        return number // {"D": 365, "W": 52, "M": 12}.get(unit, 1)
    born, seen = (
        # With points as before DICOM (PS3.5, 6.2), or as other programs write them.
        re.fullmatch(r"(\d{4})(\d{4})", re.sub(r"[./-]", "", text_of(dataset, keyword)))
        for keyword in ("PatientBirthDate", "StudyDate")
    )
    if born is None or seen is None:
        return None
    age = int(seen[1]) - int(born[1]) - (seen[2] < born[2])
    return age if 0 <= age <= 130 else None


def term(text: object, known: Any) -> str:
    """A tag's text where it is a known term, else ``another one``."""
    plain = str(text or "").strip().upper()
    return plain if plain in known else "another one"


def _codes(dataset: Dataset, keyword: str) -> set[str]:
    return {text_of(item, "CodeValue") for item in dataset.get(keyword) or []} - {""}


def _modality(dataset: Dataset, secondary_capture: bool) -> None:
    modality = text_of(dataset, "Modality")
    if modality not in MODALITIES and modality not in CAPTURE_MODALITIES:
        # A term of the standard is short capitals; anything else might be a person's name.
        known = modality.isalpha() and modality.isupper() and len(modality) <= 3
        stated = modality if known else "none of them"
        raise InputRejected(
            Reason.MODALITY,
            f"expected the modality of a plain X-ray ({', '.join(MODALITIES)}), found {stated}",
            found={"modality": stated},
        )
    sop_class = text_of(dataset, "SOPClassUID")
    captured = sop_class == _CAPTURES or sop_class.startswith(f"{_CAPTURES}.")
    if (captured or modality in CAPTURE_MODALITIES) and not secondary_capture:
        raise InputRejected(
            Reason.SECONDARY_CAPTURE,
            "expected a radiograph as its detector stored it (CR, DX), found a secondary capture: "
            "--secondary-capture reads those too",
            found={"modality": modality, "secondary_capture_class": captured},
        )


def _patient(dataset: Dataset) -> list[InputWarning]:
    species = _codes(dataset, "PatientSpeciesCodeSequence") - {"337915000", "L-85003"}
    described = text_of(dataset, "PatientSpeciesDescription").upper()
    signs = {
        "species": species or described not in ("", "HOMO SAPIENS", "HUMAN"),
        "breed": dataset.get("PatientBreedDescription") or dataset.get("PatientBreedCodeSequence"),
        "neutered": dataset.get("PatientSexNeutered"),
        "owner": text_of(dataset, "ResponsiblePersonRole") == "OWNER",
    }
    shown = [name for name, sign in signs.items() if sign]
    if shown:
        raise InputRejected(
            Reason.ANIMAL,
            f"expected a human chest, found an animal's (told by: {', '.join(shown)})",
            found={"told_by": shown},
        )
    age = age_years(dataset)
    if age is not None and age < CHILD_BELOW_YEARS:
        raise InputRejected(
            Reason.CHILD,
            f"expected a patient of {CHILD_BELOW_YEARS} years or more, found one of {age}: the "
            "networks know no children",
            found={"age_years": age, "least_years": CHILD_BELOW_YEARS},
        )
    if age is not None or not any(
        text_of(dataset, keyword) for keyword in ("PatientAge", "PatientBirthDate")
    ):
        return []
    text = (
        "the patient's age cannot be read in Patient Age and the dates: look whether it is an adult"
    )
    return [InputWarning(WarningCode.AGE_UNKNOWN, text)]


def _part(dataset: Dataset) -> list[InputWarning]:
    part = "".join(filter(str.isalpha, text_of(dataset, "BodyPartExamined").upper()))
    regions = _codes(dataset, "AnatomicRegionSequence")
    if part in OTHER_PARTS:
        raise InputRejected(
            Reason.NOT_A_CHEST,
            f"expected a chest, found the body part {part}",
            found={"body_part": part},
        )
    if any(word in part for word in CHEST_PARTS) and part not in NEAR_PARTS:
        return []
    if part in NEAR_PARTS:
        text = f"the body part is {part}, not CHEST: look whether the whole chest is shown"
        return [InputWarning(WarningCode.NEAR_THE_CHEST, text)]
    if not part and (not regions or regions & _CHEST_REGIONS):
        return []
    text = "the body part is none that is known here: look whether it is a chest"
    return [InputWarning(WarningCode.BODY_PART_UNKNOWN, text)]


def _view(dataset: Dataset) -> list[InputWarning]:
    view = re.sub(r"[^A-Z]", "", text_of(dataset, "ViewPosition").upper())
    codes = _codes(dataset, "ViewCodeSequence")
    directions = dataset.get("PatientOrientation")
    # One value alone is no orientation: "PA" there is a view.
    axes = set() if isinstance(directions, str) else {str(one)[:1] for one in directions or ()}
    if view in _OBLIQUE or codes & _OBLIQUE_CODES:
        raise InputRejected(
            Reason.OBLIQUE_VIEW,
            "expected a frontal view (PA or AP), found an oblique or decubitus one",
            found={"view": view if view in _OBLIQUE else "View Code Sequence"},
        )
    if view in _LATERAL or codes & _LATERAL_CODES or axes & {"A", "P"}:
        told_by = "View Code Sequence" if codes & _LATERAL_CODES else "Patient Orientation"
        raise InputRejected(
            Reason.LATERAL_VIEW,
            "expected a frontal view (PA or AP), found a lateral one",
            found={"view": view if view in _LATERAL else told_by},
        )
    if not view or view in _FRONTAL:
        return []
    text = "the view is none that is known here: look whether it is a frontal one"
    return [InputWarning(WarningCode.VIEW_UNKNOWN, text)]


def _unstated(dataset: Dataset) -> list[InputWarning]:
    """One warning of everything that no tag states, so that nothing was refused for it."""
    # De-identification takes the age away (PS3.15, table E.1-1), and says so.
    takes_age = text_of(dataset, "PatientIdentityRemoved") == "YES"
    stated = {
        "view": text_of(dataset, "ViewPosition")
        or _codes(dataset, "ViewCodeSequence")
        or orientation_of(dataset) is not None,
        "body part": text_of(dataset, "BodyPartExamined")
        or _codes(dataset, "AnatomicRegionSequence"),
        "age": text_of(dataset, "PatientAge") or text_of(dataset, "PatientBirthDate") or takes_age,
    }
    missing = [name for name, is_there in stated.items() if not is_there]
    if not missing:
        return []
    text = (
        f"the file does not state: {', '.join(missing)}; nothing was refused for it, so look whether it is a "
        "frontal chest of an adult"
    )
    return [InputWarning(WarningCode.NOT_STATED, text)]


def _intent(dataset: Dataset) -> list[InputWarning]:
    raw = dataset.get("PresentationIntentType") == "FOR PROCESSING"
    if not raw and text_of(dataset, "SOPClassUID") not in _FOR_PROCESSING:
        return []
    text = "the picture is meant for processing, not for presentation: its tones may be raw"
    return [InputWarning(WarningCode.FOR_PROCESSING, text)]


def _picture(dataset: Dataset) -> None:
    if "PixelData" not in dataset:
        if "FloatPixelData" in dataset or "DoubleFloatPixelData" in dataset:
            raise InputRejected(
                Reason.PIXEL_TYPE, "expected integers of 8 or 16 bits, found floating point pixels"
            )
        raise InputRejected(
            Reason.NO_PIXELS, "expected a DICOM image, found one without pixels, or cut before them"
        )
    frames = int(dataset.get("NumberOfFrames") or 1)
    if frames != 1:
        raise InputRejected(
            Reason.MULTI_FRAME,
            f"expected one picture, found {frames} frames: pass a single one",
            found={"frames": frames},
        )
    samples, photometric = int(dataset.SamplesPerPixel), str(dataset.PhotometricInterpretation)
    if samples != 1 or photometric not in ("MONOCHROME1", "MONOCHROME2"):
        raise InputRejected(
            Reason.COLOUR,
            "expected MONOCHROME1 or MONOCHROME2 with one sample a pixel, found a colour picture: "
            "pass the radiograph itself, not a screenshot",
            found={"samples": samples},
        )
    refuse_size(width=int(dataset.Columns), height=int(dataset.Rows))
    bits = int(dataset.BitsAllocated)
    if bits not in (8, 16):
        raise InputRejected(
            Reason.PIXEL_TYPE,
            f"expected 8 or 16 bits allocated a pixel, found {bits}",
            found={"bits_allocated": bits},
        )
    stored = int(dataset.get("BitsStored") or bits)
    if not 1 <= stored <= bits:
        raise InputRejected(
            Reason.UNREADABLE,
            f"found {stored} bits stored of {bits} allocated: the tags contradict themselves",
            found={"bits_stored": stored, "bits_allocated": bits},
        )
