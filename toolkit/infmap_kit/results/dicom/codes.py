"""Coded concepts: SNOMED CT and DICOM's own where they have one, else the project's.

Every function imports highdicom, so that this module costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from highdicom.sr import CodedConcept

OWN_SCHEME = "99INFMAP"
"""Designator of the project's own concepts; a private one begins with 99 (PS3.16, 8.2)."""


def _at(region: str, threshold: str) -> tuple[str, str, str]:
    meaning = f"Infected share of the {region}, at probability {threshold} or more"
    return f"{region.upper()}-AT-{threshold}", OWN_SCHEME, meaning


_CONCEPTS = {
    "covid": ("840539006", "SCT", "COVID-19"),
    "present": ("52101004", "SCT", "Present"),
    "absent": ("2667000", "SCT", "Absent"),
    "chest-xray": ("399208008", "SCT", "Plain X-ray of chest"),
    "right": ("24028007", "SCT", "Right"),
    "left": ("7771000", "SCT", "Left"),
    "upper-zone": ("281392002", "SCT", "Upper zone of lung"),
    "middle-zone": ("281393007", "SCT", "Middle zone of lung"),
    "lower-zone": ("281394001", "SCT", "Lower zone of lung"),
    "lung": ("39607008", "SCT", "Lung"),
    "morphologically-abnormal": ("49755003", "SCT", "Morphologically Abnormal Structure"),
    "anatomical": ("91723000", "SCT", "Anatomical Structure"),
    "abnormal-opacity": ("112033", "DCM", "Abnormal opacity"),
    "artificial-intelligence": ("123110", "DCM", "Artificial Intelligence"),
    "percent": ("%", "UCUM", "Percent"),
    "no-units": ("1", "UCUM", "no units"),
    "comment": ("121106", "DCM", "Comment"),
    "probability": ("PROBABILITY-MAX", OWN_SCHEME, "Highest probability of infection of any pixel"),
    "severity-of-image": ("INFECTED-IMAGE", OWN_SCHEME, "Infected share of the image"),
    "severity-of-lungs": ("INFECTED-LUNGS", OWN_SCHEME, "Infected share of the lungs"),
    "severity-of-image-at-0.3": _at("image", "0.3"),
    "severity-of-image-at-0.7": _at("image", "0.7"),
    "severity-of-lungs-at-0.3": _at("lungs", "0.3"),
    "severity-of-lungs-at-0.7": _at("lungs", "0.7"),
    "grade": ("GRADE", OWN_SCHEME, "Grade of the infected share of the lungs"),
    "grade-none": ("260413007", "SCT", "None"),
    "grade-mild": ("255604002", "SCT", "Mild"),
    "grade-moderate": ("6736007", "SCT", "Moderate"),
    "grade-severe": ("24484000", "SCT", "Severe"),
    "classifier-probability": (
        "CLASSIFIER-PROBABILITY",
        OWN_SCHEME,
        "Probability of COVID-19 by a classifier",
    ),
    "classifier-covid": ("CLASSIFIER-COVID-19", OWN_SCHEME, "COVID-19 by a classifier"),
    "second-opinion": ("SECOND-OPINION", OWN_SCHEME, "Second opinion, by a classifier"),
    "judged": ("JUDGED", OWN_SCHEME, "Radiograph was judged"),
    "warning": ("WARNING", OWN_SCHEME, "Warning"),
    "reason": ("REASON", OWN_SCHEME, "Reason for not judging"),
    "what-was-found": ("FOUND", OWN_SCHEME, "What was found"),
    "no": ("373067005", "SCT", "No"),
    "qualitative-evaluations": ("C0034375", "UMLS", "Qualitative Evaluations"),
}


def concept(name: str) -> CodedConcept:
    """One of the concepts above."""
    from highdicom.sr import CodedConcept

    return CodedConcept(*_CONCEPTS[name])
