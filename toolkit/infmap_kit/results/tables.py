"""Several radiographs' outcomes as a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from infmap_kit.answer.answer import Answer
from infmap_kit.model.finding import COVID_19
from infmap_kit.report.table import Table, Toned
from infmap_kit.results.folder import Outcome
from infmap_kit.text import one_line


def findings_table(outcomes: Sequence[Outcome]) -> Table:
    """One row a radiograph, rejected ones left out; files of one name stand with their folders."""
    files_of = Counter(outcome.source.name for outcome in outcomes)
    answers = [
        (
            one_line(
                str(outcome.source if files_of[outcome.source.name] > 1 else outcome.source.name)
            ),
            outcome.finding,
        )
        for outcome in outcomes
        if outcome.finding is not None
    ]
    graded = any(answer.by_lung is not None for _, answer in answers)
    classified = any(answer.classifier_probability is not None for _, answer in answers)
    rows = [
        (
            name,
            answer.finding.decision(detected=answer.detected),
            f"{answer.probability_max:.3f}",
            *_severity_cells(answer, graded=graded),
            _classifier_cell(answer) if classified else f"{answer.timings_ms['served']:.1f}",
        )
        for name, answer in answers
    ]
    severity = ("of lungs %", "grade") if graded else ("severity %", "of")
    # Time gives way to a classifier's answer: both do not fit 80 columns, and it stands in the JSON.
    last = "classifier" if classified else "served ms"
    conditions = dict.fromkeys(answer.finding.condition.meaning for _, answer in answers)
    condition = " or ".join(conditions) or COVID_19.condition.meaning
    columns = ("radiograph", condition, "probability", *severity, last)
    return Table("", columns, rows, words=("radiograph",))


def _classifier_cell(answer: Answer) -> str:
    if answer.classifier_probability is None:
        return "-"
    probability = f"{answer.classifier_probability:.3f}"
    return probability if answer.classifier_agrees else Toned(f"≠ {probability}", "bad")


def _severity_cells(answer: Answer, *, graded: bool) -> tuple[str, str]:
    """Severity and what it is of; where lungs are served, severity and its grade."""
    severity = f"{answer.severity_percent:.1f}"
    if not graded:
        return severity, answer.severity_of
    if answer.grade is None:
        return f"{severity} of the {answer.severity_of}", "-"
    return severity, str(answer.grade)
