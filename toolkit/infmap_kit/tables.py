"""Tables for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from infmap_kit.infer import Outcome


def findings_table(outcomes: Sequence[Outcome]) -> Table:
    """One row a radiograph, rejected ones left out."""
    table = Table("radiograph", "COVID-19", "max. probability", "severity", "served ms")
    for outcome in outcomes:
        finding = outcome.finding
        if finding is None:
            continue
        table.add_row(
            outcome.source.name,
            "detected" if finding.detected else "not detected",
            f"{finding.probability_max:.3f}",
            f"{finding.severity_percent:.1f} % of {finding.severity_of}",
            f"{finding.timings_ms['served']:.1f}",
        )
    return table
