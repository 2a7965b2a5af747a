"""Coded concepts: SNOMED CT and DICOM's own where they have one, else the project's.

Every function imports highdicom, so that this module costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from highdicom.sr import CodedConcept

OWN_SCHEME = "99INFMAP"
"""Designator of the project's own concepts; a private one begins with 99 (PS3.16, 8.2)."""

_CONCEPTS = {
    "covid": ("840539006", "SCT", "COVID-19"),
    "present": ("52101004", "SCT", "Present"),
    "absent": ("2667000", "SCT", "Absent"),
    "chest-xray": ("399208008", "SCT", "Plain X-ray of chest"),
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
