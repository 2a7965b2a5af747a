"""A finding's numbers as measurements of a Structured Report, each with name, unit and site in codes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from infmap_kit.results.dicom.codes import concept

if TYPE_CHECKING:
    from highdicom.sr import Measurement, QualitativeEvaluation

    from infmap_kit.answer.answer import Answer

_TOLD_THRESHOLDS = ("0.3", "0.7")
"""Between these the severity in doubt lies; the ones between are in the JSON."""


def measurements(finding: Answer) -> list[Measurement]:
    """Probability and severity: in all, at other thresholds, by lung and by zone; a classifier's probability.

    A lung that is not there, or a zone without a pixel, has no measurement.
    """
    from highdicom.sr import Measurement

    severity = f"severity-of-{finding.severity_of}"
    found = [
        Measurement(
            name=concept("probability"),
            value=round(finding.probability_max, 6),
            unit=concept("no-units"),
        ),
        _percent(severity, finding.severity_percent),
    ]
    told = [one for one in _TOLD_THRESHOLDS if one in finding.severity_at]
    found += [_percent(f"{severity}-at-{one}", finding.severity_at[one]) for one in told]
    if finding.classifier_probability is not None:
        found.append(
            Measurement(
                name=concept("classifier-probability"),
                value=round(finding.classifier_probability, 6),
                unit=concept("no-units"),
            )
        )
    return [*found, *_by_lung(finding)]


def evaluations(finding: Answer) -> list[QualitativeEvaluation]:
    """Whether it is COVID-19, and the grade and a classifier's opinion where there is one."""
    from highdicom.sr import QualitativeEvaluation

    detected = concept("present" if finding.detected else "absent")
    found = [QualitativeEvaluation(name=concept("covid"), value=detected)]
    if finding.grade is not None:
        grade = concept(f"grade-{finding.grade}")
        found.append(QualitativeEvaluation(name=concept("grade"), value=grade))
    if finding.classifier_detected is not None:
        opinion = concept("present" if finding.classifier_detected else "absent")
        found.append(QualitativeEvaluation(name=concept("classifier-covid"), value=opinion))
    return found


def texts(finding: Answer) -> Iterator[tuple[str, str]]:
    """What a grade means, and whose the second opinion is, where there is one: concept and text."""
    cut_offs = finding.model.get("grades", "")
    if finding.grade is not None and cut_offs:
        none, mild, moderate = cut_offs.split(",")
        meaning = (
            f"percent of the lungs: none up to {none}, mild below {mild}, moderate up to {moderate}, severe "
            "above; a convention"
        )
        yield "grade", meaning
    if finding.classifier_agrees is not None:
        told = [finding.model.get(f"classifier_{key}", "") for key in ("name", "version")]
        verdict = "agrees with the mask" if finding.classifier_agrees else "DISAGREES with the mask"
        yield "second-opinion", f"{verdict}; {' '.join(told).strip() or 'a classifier'}"


def _by_lung(finding: Answer) -> Iterator[Measurement]:
    from highdicom.sr import FindingSite

    for side, lung in (finding.by_lung or {}).items():
        sites = {"lung": lung.severity_percent}
        sites |= {f"{zone}-zone": value for zone, value in lung.zones.items()}
        for site, value in sites.items():
            if value is not None:
                where = FindingSite(concept(site), laterality=concept(side))
                yield _percent("severity-of-lungs", value, where)


def _percent(name: str, value: float, *sites: object) -> Measurement:
    from highdicom.sr import Measurement

    return Measurement(
        name=concept(name),
        value=round(value, 4),
        unit=concept("percent"),
        finding_sites=list(sites) or None,
    )
