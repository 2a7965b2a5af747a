"""Several radiographs' outcomes as a table, and many of them in a sentence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from infmap_kit.model.finding import COVID_19, FindingSpec
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
    """One row a radiograph, rejected ones left out; files of one name stand with their folders."""
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
    classified = any("classifier" in answer for _, answer in answers)
    rows = [
        (
            name,
            _decision(answer),
            f"{answer['probability_max']:.3f}",
            *_severity_cells(answer, graded=graded),
            _classifier_cell(answer) if classified else f"{answer['timings_ms']['served']:.1f}",
        )
        for name, answer in answers
    ]
    severity = ("of lungs %", "grade") if graded else ("severity %", "of")
    # Time gives way to a classifier's answer: both do not fit 80 columns, and it stands in the JSON.
    last = "classifier" if classified else "served ms"
    conditions = dict.fromkeys(_finding(answer).condition.meaning for _, answer in answers)
    condition = " or ".join(conditions) or COVID_19.condition.meaning
    columns = ("radiograph", condition, "probability", *severity, last)
    return Table("", columns, rows, words=("radiograph",))


def _finding(answer: Mapping[str, Any]) -> FindingSpec:
    return FindingSpec.from_parameters(answer["model"])


def _decision(answer: Mapping[str, Any]) -> str:
    return _finding(answer).decision(detected=answer["detected"])


def _classifier_cell(answer: Mapping[str, Any]) -> str:
    if "classifier" not in answer:
        return "-"
    probability = f"{answer['classifier']['probability']:.3f}"
    return probability if answer["opinions_agree"] else Toned(f"≠ {probability}", "bad")


def _severity_cells(answer: Mapping[str, Any], *, graded: bool) -> tuple[str, str]:
    """Severity and what it is of; where lungs are served, severity and its grade."""
    severity = f"{answer['severity_percent']:.1f}"
    if not graded:
        return severity, answer["severity_of"]
    if answer["grade"] is None:
        return f"{severity} of the {answer['severity_of']}", "-"
    return severity, str(answer["grade"])
