"""Coded concepts: SNOMED CT and DICOM's own where they have one, else the project's.

A finding brings its own codes (:mod:`infmap_kit.model.finding`); here are those that results of every finding
share, and the project's own, whose meanings name the finding.
Every function imports highdicom, so that this module costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from infmap_kit.answer.severity import SIDES, ZONES
from infmap_kit.model.finding import COVID_19, Code, FindingSpec

if TYPE_CHECKING:
    from highdicom.sr import CodedConcept

OWN_SCHEME = "99INFMAP"
"""Designator of the project's own concepts; a private one begins with 99 (PS3.16, 8.2)."""


def _own(value: str, meaning: str) -> tuple[str, str, str]:
    return f"{{prefix}}{value}", OWN_SCHEME, meaning


def _at(region: str, threshold: str) -> tuple[str, str, str]:
    meaning = f"{{Affected}} share of the {region}, at probability {threshold} or more"
    return _own(f"{region.upper()}-AT-{threshold}", meaning)


def _in(side: str, site: str) -> tuple[str, str, str]:
    """The concept for the share of a lung or of a zone of it, which its name and the finding site state."""
    where = f"{side} lung" if site == "lung" else f"{side} lung, {site.replace('-', ' ')}"
    return _own(f"{{AFFECTED}}-{side.upper()}-{site.upper()}", f"{{Affected}} share of the {where}")


_CONCEPTS = {
    "chest-xray": ("399208008", "SCT", "Plain X-ray of chest"),
    "right": ("24028007", "SCT", "Right"),
    "left": ("7771000", "SCT", "Left"),
    "upper-zone": ("281392002", "SCT", "Upper zone of lung"),
    "middle-zone": ("281393007", "SCT", "Middle zone of lung"),
    "lower-zone": ("281394001", "SCT", "Lower zone of lung"),
    "lung": ("39607008", "SCT", "Lung"),
    "morphologically-abnormal": ("49755003", "SCT", "Morphologically Abnormal Structure"),
    "anatomical": ("91723000", "SCT", "Anatomical Structure"),
    "artificial-intelligence": ("123110", "DCM", "Artificial Intelligence"),
    "percent": ("%", "UCUM", "Percent"),
    "comment": ("121106", "DCM", "Comment"),
    "ratio": ("{{ratio}}", "UCUM", "ratio"),
    "conclusions": ("121076", "DCM", "Conclusions"),
    "conclusion": ("121077", "DCM", "Conclusion"),
    "radiography": ("363680008", "SCT", "Radiographic imaging procedure"),
    "evaluation": ("EVALUATION", OWN_SCHEME, "Evaluation of the radiograph"),
    "not-attempted": ("111225", "DCM", "Not Attempted"),
    "probability": _own("PROBABILITY-MAX", "Highest probability of {noun} of any pixel"),
    "threshold": _own("THRESHOLD", "Probability from which a pixel is {affected}"),
    "severity-of-image": _own("{AFFECTED}-IMAGE", "{Affected} share of the image"),
    "severity-of-lungs": _own("{AFFECTED}-LUNGS", "{Affected} share of the lungs"),
    "severity-of-image-at-0.3": _at("image", "0.3"),
    "severity-of-image-at-0.7": _at("image", "0.7"),
    "severity-of-lungs-at-0.3": _at("lungs", "0.3"),
    "severity-of-lungs-at-0.7": _at("lungs", "0.7"),
    **{
        f"severity-of-{side}-{site}": _in(side, site)
        for side in SIDES
        for site in ("lung", *(f"{zone}-zone" for zone in ZONES))
    },
    "grade": _own("GRADE", "Grade of the {affected} share of the lungs"),
    "grade-none": ("260413007", "SCT", "None"),
    "grade-mild": ("255604002", "SCT", "Mild"),
    "grade-moderate": ("6736007", "SCT", "Moderate"),
    "grade-severe": ("24484000", "SCT", "Severe"),
    "classifier-probability": _own(
        "CLASSIFIER-PROBABILITY", "Probability of {condition} by a classifier"
    ),
    "classifier-detected": ("CLASSIFIER-{CONDITION}", OWN_SCHEME, "{condition} by a classifier"),
    "second-opinion": ("SECOND-OPINION", OWN_SCHEME, "Second opinion, by a classifier"),
    "familiarity": (
        *("FAMILIARITY", OWN_SCHEME),
        "Familiarity of the picture to the network; below 0: unlike",
    ),
    "warning": ("WARNING", OWN_SCHEME, "Warning"),
    "reason": ("REASON", OWN_SCHEME, "Reason for not evaluating"),
    "what-was-found": ("FOUND", OWN_SCHEME, "What was found"),
    "qualitative-evaluations": ("C0034375", "UMLS", "Qualitative Evaluations"),
}


def concept(name: str, finding: FindingSpec = COVID_19) -> CodedConcept:
    """The concept of a name above; one of the project's own is in the words of the finding."""
    texts = {
        "prefix": finding.code_prefix,
        "noun": finding.noun,
        "affected": finding.affected,
        "Affected": finding.affected[0].upper() + finding.affected[1:],
        "AFFECTED": _symbol(finding.affected),
        "condition": finding.condition.meaning,
        "CONDITION": _symbol(finding.condition.meaning),
    }
    value, scheme, meaning = _CONCEPTS[name]
    return coded(Code(value.format_map(texts), scheme, meaning.format_map(texts)))


def coded(code: Code) -> CodedConcept:
    """A code as highdicom has it."""
    from highdicom.sr import CodedConcept

    return CodedConcept(*code)


def _symbol(text: str) -> str:
    """A text as a part of a code's value."""
    return text.upper().replace(" ", "-")
