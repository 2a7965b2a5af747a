"""Several radiographs' outcomes as a table, and many of them in a sentence."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from infmap_kit.answer.severity import Grades
from infmap_kit.model.finding import COVID_19, FindingSpec
from infmap_kit.report.numbers import shown_percent, shown_probability
from infmap_kit.report.table import Table, Toned
from infmap_kit.results.outcome import Outcome
from infmap_kit.text import one_line

MOST_ROWS = 100
"""Most radiographs of which each has a row."""


class Tally:
    """Counts outcomes one by one, and keeps as many as a table shows."""

    def __init__(self) -> None:
        self._first: list[Outcome] = []
        self._decisions: Counter[str] = Counter()
        self._rejections: Counter[str] = Counter()
        self.files = 0
        self.kept = 0

    def add(self, outcome: Outcome) -> None:
        """Count an outcome."""
        self.files += 1
        self.kept += outcome.kept
        if len(self._first) <= MOST_ROWS:
            self._first.append(outcome)
        if outcome.rejection is not None:
            self._rejections[str(outcome.rejection.code)] += 1
        else:
            self._decisions[_decision(outcome.document)] += 1

    @property
    def rejected(self) -> int:
        """Files that were rejected."""
        return self._rejections.total()

    def shown(self) -> Table | str:
        """A table of few outcomes, or a sentence about many."""
        if self.files <= MOST_ROWS:
            return findings_table(self._first)
        decisions = [f"{count:,} {words}" for words, count in self._decisions.most_common()]
        codes = ", ".join(f"{code} {count:,}" for code, count in self._rejections.most_common())
        rejected = [f"{self.rejected:,} rejected ({codes})"] if codes else []
        return f"{self.files:,} files: {', '.join([*decisions, *rejected])}."


def findings_table(outcomes: Sequence[Outcome]) -> Table:
    """A table with a row for each radiograph not rejected; files of one name stand with their folders."""
    files_of = Counter(outcome.source.name for outcome in outcomes)
    answers = [
        (
            one_line(
                str(outcome.source if files_of[outcome.source.name] > 1 else outcome.source.name)
            ),
            outcome.document,
        )
        for outcome in outcomes
        if outcome.rejection is None
    ]
    graded = any(answer["lungs"] is not None for _, answer in answers)
    last, last_cell = _last_column(answers)
    rows = [
        (
            name,
            _decision(answer),
            shown_probability(answer["probability_max"], _finding(answer).threshold, decimals=3),
            *_severity_cells(answer, graded=graded),
            last_cell(answer),
        )
        for name, answer in answers
    ]
    severity = ("of lungs %", "grade") if graded else ("severity %", "of")
    conditions = dict.fromkeys(_finding(answer).condition.meaning for _, answer in answers)
    condition = " or ".join(conditions) or COVID_19.condition.meaning
    columns = ("radiograph", condition, "probability", *severity, last)
    return Table("", columns, rows, words=("radiograph",))


def _finding(answer: Mapping[str, Any]) -> FindingSpec:
    return FindingSpec.from_parameters(answer["model"])


def _decision(answer: Mapping[str, Any]) -> str:
    return _finding(answer).decision(detected=answer["detected"])


def _last_column(
    answers: Sequence[tuple[str, Mapping[str, Any]]],
) -> tuple[str, Callable[[Mapping[str, Any]], str]]:
    """Title and cell of the one column that 80 characters leave room for; the others stand in the JSON."""
    if any("mirror_agreement" in answer for _, answer in answers):
        return "agreement", lambda answer: f"{answer.get('mirror_agreement', math.nan):.2f}"
    if any("classifier" in answer for _, answer in answers):
        return "classifier", _classifier_cell
    if any("familiarity" in answer for _, answer in answers):
        return "familiarity", _familiarity_cell
    return "served ms", lambda answer: f"{answer['timings_ms']['served']:.1f}"


def _familiarity_cell(answer: Mapping[str, Any]) -> str:
    if "familiarity" not in answer:
        return "-"
    value = f"{answer['familiarity']:.2f}"
    return value if answer["familiarity"] >= 0 else Toned(f"unlike, {value}", "bad")


def _classifier_cell(answer: Mapping[str, Any]) -> str:
    if "classifier" not in answer:
        return "-"
    stated = answer["classifier"]["probability"]
    probability = shown_probability(stated, _finding(answer).threshold, decimals=3)
    return probability if answer["opinions_agree"] else Toned(f"≠ {probability}", "bad")


def _cut_offs(answer: Mapping[str, Any]) -> tuple[float, ...]:
    """Where the grades end, in percent; none where nothing is graded."""
    grades = answer["model"].get("grades")
    return () if answer["grade"] is None or not grades else Grades.parse(grades).cut_offs


def _severity_cells(answer: Mapping[str, Any], *, graded: bool) -> tuple[str, str]:
    """Severity and what it is of; where lungs are served, severity and its grade."""
    severity = shown_percent(answer["severity_percent"], _cut_offs(answer), decimals=1)
    if not graded:
        return severity, answer["severity_of"]
    if answer["grade"] is None:
        return f"{severity} of the {answer['severity_of']}", "-"
    return severity, str(answer["grade"])
