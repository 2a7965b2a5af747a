"""An answer in plain sentences: what was found, how much of it, and what that does not mean.

A negative is never called one: no region reached the threshold, which is all that is known.
"""

from __future__ import annotations

from collections.abc import Sequence

from infmap_kit.answer.answer import Answer, classifier_of, lungs_of
from infmap_kit.imaging.radiograph import InputWarning
from infmap_kit.model.finding import COVID_19, FindingSpec
from infmap_kit.results.words.words import Words


def conclusion(
    answer: Answer, finding: FindingSpec, words: Words, *, sides_stated: bool
) -> list[str]:
    """The finding, its severity, and what a classifier says where one is served, a sentence each.

    ``sides_stated`` is the radiograph's: where right and left are named and only assumed, a sentence says so.
    """
    sentence = words(
        "positive" if answer.detected else "negative",
        finding=finding_name(finding, words),
        probability=words.probability(answer.probability_max, finding.threshold),
        threshold=words.threshold(finding.threshold),
    )
    severity = _severity(answer, words, sides_stated=sides_stated) if answer.detected else []
    return [sentence, *severity, *_second_opinion(answer, words)]


def finding_name(finding: FindingSpec, words: Words) -> str:
    """The finding's name; one of a ``finding.toml`` is in whatever language that is."""
    return words("covid_19") if finding.name == COVID_19.name else finding.name


def notice(finding: FindingSpec, words: Words) -> str:
    """The notice of what the result may be used for; a finding's own notice is kept as it is."""
    return words("notice") if finding.notice == COVID_19.notice else finding.notice


def short_notice(finding: FindingSpec, words: Words) -> str:
    """The notice in a few words, for where there is little room."""
    is_shipped = finding.short_notice == COVID_19.short_notice
    return words("short_notice") if is_shipped else finding.short_notice


def warned(warnings: Sequence[InputWarning], words: Words) -> list[str]:
    """A sentence for each warning about a radiograph, none twice."""
    return list(dict.fromkeys(words.warning(warning) for warning in warnings))


def _severity(answer: Answer, words: Words, *, sides_stated: bool) -> list[str]:
    lungs = lungs_of(answer)
    if lungs is None or answer.grade is None or answer.by_lung is None:
        return [words("extent", percent=words.percent(answer.severity_percent))]
    share = words.percent(answer.severity_percent, lungs.grades.cut_offs)
    sides = {
        side: words("no_lung")
        if lung.severity_percent is None
        else words.percent(lung.severity_percent)
        for side, lung in answer.by_lung.items()
    }
    graded = words("severity", percent=share, grade=words(answer.grade))
    by_lung = f"{graded} {words('by_lung', **sides)}"
    return [by_lung] if sides_stated else [by_lung, words("sides_assumed")]


def _second_opinion(answer: Answer, words: Words) -> list[str]:
    classifier = classifier_of(answer)
    if classifier is None:
        return []
    key = "agrees" if answer.classifier_agrees else "disagrees"
    return [words(key, probability=words.probability(classifier.probability, classifier.threshold))]
