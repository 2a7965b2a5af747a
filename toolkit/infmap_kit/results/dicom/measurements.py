"""An answer's numbers as measurements of a Structured Report, each with name, unit and site in codes.

The report writes two decimals of each, and more where two would bring it up to 0, 1, 100 or the threshold.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from infmap_kit.results.dicom.codes import coded, concept

if TYPE_CHECKING:
    from highdicom.sr import CodedConcept, FindingSite, Measurement, QualitativeEvaluation

    from infmap_kit.answer.answer import Answer
    from infmap_kit.model.finding import FindingSpec

_REPORTED_THRESHOLDS = ("0.3", "0.7")
"""Between these the severity in doubt lies; the ones between are in the JSON."""


def measurements(answer: Answer, finding: FindingSpec) -> list[Measurement]:
    """Probability; severity in all, at other thresholds, by lung and by zone; a classifier's; familiarity.

    A lung that is not there, or a zone without a pixel, has no measurement.
    """
    from highdicom.sr import Measurement

    def probability(name: str, value: float) -> Measurement:
        return Measurement(concept(name, finding), value, concept("ratio"))

    severity, by_classifier = f"severity-of-{answer.severity_of}", answer.classifier_probability
    percentages = {severity: answer.severity_percent} | {
        f"{severity}-at-{threshold}": answer.severity_at[threshold]
        for threshold in _REPORTED_THRESHOLDS
        if threshold in answer.severity_at
    }
    return [
        probability("probability", answer.probability_max),
        probability("threshold", finding.threshold),
        *(_percent(concept(name, finding), value) for name, value in percentages.items()),
        *([] if by_classifier is None else [probability("classifier-probability", by_classifier)]),
        *([] if answer.familiarity is None else [probability("familiarity", answer.familiarity)]),
        *_by_lung(answer, finding),
    ]


def evaluations(answer: Answer, finding: FindingSpec) -> list[QualitativeEvaluation]:
    """The finding's presence in codes, and the grade and a classifier's decision where there is one."""
    from highdicom.sr import QualitativeEvaluation

    decisions = {True: coded(finding.present), False: coded(finding.absent)}
    values = [(coded(finding.condition), decisions[answer.detected])]
    if answer.grade is not None:
        values.append((concept("grade", finding), concept(f"grade-{answer.grade}")))
    if answer.classifier_detected is not None:
        decision = decisions[answer.classifier_detected]
        values.append((concept("classifier-detected", finding), decision))
    return [QualitativeEvaluation(name=name, value=value) for name, value in values]


def texts(answer: Answer, finding: FindingSpec) -> Iterator[tuple[str, str]]:
    """Concept and text of what a detection and a grade mean, and of whether a classifier agrees."""
    yield "comment", finding.caveat
    cut_offs = answer.model.get("grades", "")
    if answer.grade is not None and cut_offs:
        none, mild, moderate = cut_offs.split(",")
        meaning = (
            f"percent of the lungs: none up to {none}, mild below {mild}, moderate up to {moderate}, severe "
            "above; a convention"
        )
        yield "grade", meaning
    if answer.classifier_agrees is not None:
        named = [answer.model.get(f"classifier_{key}", "") for key in ("name", "version")]
        verdict = "agrees with the mask" if answer.classifier_agrees else "DISAGREES with the mask"
        yield "second-opinion", f"{verdict}; {' '.join(named).strip() or 'a classifier'}"


def _by_lung(answer: Answer, finding: FindingSpec) -> Iterator[Measurement]:
    from highdicom.sr import FindingSite

    for side, lung in (answer.by_lung or {}).items():
        sites = {"lung": lung.severity_percent}
        sites |= {f"{zone}-zone": value for zone, value in lung.zones.items()}
        for site, value in sites.items():
            if value is not None:
                where = FindingSite(concept(site), laterality=concept(side))
                yield _percent(concept(f"severity-of-{side}-{site}", finding), value, where)


def _percent(name: CodedConcept, value: float, *sites: FindingSite) -> Measurement:
    from highdicom.sr import Measurement

    return Measurement(name, value, concept("percent"), finding_sites=list(sites) or None)
