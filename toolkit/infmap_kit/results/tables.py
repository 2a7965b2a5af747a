"""What became of several radiographs, as a table."""

from __future__ import annotations

from collections.abc import Sequence

from infmap_kit.answer.answer import Answer
from infmap_kit.model.finding import COVID_19
from infmap_kit.report.table import Table, Toned
from infmap_kit.results.folder import Outcome


def findings_table(outcomes: Sequence[Outcome]) -> Table:
    """One row a radiograph, rejected ones left out."""
    found = [(one.source.name, one.finding) for one in outcomes if one.finding is not None]
    graded = any(finding.by_lung is not None for _, finding in found)
    second = any(finding.classifier_probability is not None for _, finding in found)
    rows = [
        (
            name,
            finding.finding.decision(detected=finding.detected),
            f"{finding.probability_max:.3f}",
            *_severity_cells(finding, graded=graded),
            _second_opinion(finding) if second else f"{finding.timings_ms['served']:.1f}",
        )
        for name, finding in found
    ]
    severity = ("of lungs %", "grade") if graded else ("severity %", "of")
    # Time gives way to a second opinion: both do not fit 80 columns, and it stands in the JSON.
    last = "classifier" if second else "served ms"
    conditions = dict.fromkeys(one.finding.condition.meaning for _, one in found)
    condition = " or ".join(conditions) or COVID_19.condition.meaning
    columns = ("radiograph", condition, "probability", *severity, last)
    return Table("", columns, rows, words=("radiograph",))


def _second_opinion(finding: Answer) -> str:
    if finding.classifier_probability is None:
        return "-"
    said = f"{finding.classifier_probability:.3f}"
    return said if finding.classifier_agrees else Toned(f"≠ {said}", "bad")


def _severity_cells(finding: Answer, *, graded: bool) -> tuple[str, str]:
    """Severity and what it is of; where lungs are served, severity and its grade."""
    severity = f"{finding.severity_percent:.1f}"
    if not graded:
        return severity, finding.severity_of
    if finding.grade is None:
        return f"{severity} of the {finding.severity_of}", "-"
    return severity, str(finding.grade)
