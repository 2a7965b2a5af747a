"""An answer in plain sentences: what was found, how much of it, and what that does not mean.

A negative is never called one: no region reached the threshold, which is all that is known.
"""

from __future__ import annotations

from collections.abc import Sequence

from infmap_kit.answer.answer import Answer
from infmap_kit.imaging.radiograph import InputWarning
from infmap_kit.model.finding import COVID_19, FindingSpec
from infmap_kit.results.words.words import Words


def conclusion(answer: Answer, finding: FindingSpec, words: Words) -> list[str]:
    """The finding, its severity, and what a classifier says where one is served, a sentence each."""
    sentence = words(
        "positive" if answer.detected else "negative",
        finding=finding_name(finding, words),
        probability=_below(answer, finding, words),
        threshold=words.threshold(finding.threshold),
    )
    severity = _severity(answer, words) if answer.detected else []
    return [sentence, *severity, *_second_opinion(answer, words)]


def finding_name(finding: FindingSpec, words: Words) -> str:
    """The finding's name; one of a ``finding.toml`` is in whatever language that is."""
    return words("covid_19") if finding.name == COVID_19.name else finding.name


def notice(finding: FindingSpec, words: Words) -> str:
    """The notice of what the result may be used for; a finding's own notice is kept as it is."""
    return words("notice") if finding.notice == COVID_19.notice else finding.notice


def warned(warnings: Sequence[InputWarning], words: Words) -> list[str]:
    """A sentence for each warning about a radiograph, none twice."""
    return list(dict.fromkeys(words.warning(warning) for warning in warnings))


def _below(answer: Answer, finding: FindingSpec, words: Words) -> str:
    """The highest probability; rounding must not bring one below the threshold up to it."""
    highest = answer.probability_max
    if not answer.detected and round(highest, 2) >= round(finding.threshold, 2):
        return f"< {words.threshold(finding.threshold)}"
    return words.number(highest)


def _severity(answer: Answer, words: Words) -> list[str]:
    share = words.percent(answer.severity_percent)
    if answer.grade is None or answer.by_lung is None:
        return [words("extent", percent=share)]
    sides = {
        side: words("no_lung")
        if lung.severity_percent is None
        else words.percent(lung.severity_percent)
        for side, lung in answer.by_lung.items()
    }
    graded = words("severity", percent=share, grade=words(answer.grade))
    return [f"{graded} {words('by_lung', **sides)}"]


def _second_opinion(answer: Answer, words: Words) -> list[str]:
    if answer.classifier_agrees is None or answer.classifier_probability is None:
        return []
    key = "agrees" if answer.classifier_agrees else "disagrees"
    return [words(key, probability=words.number(answer.classifier_probability))]
