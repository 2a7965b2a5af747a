"""Tables for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Column, Table

from infmap_kit.outcome import Outcome

if TYPE_CHECKING:
    from infmap_kit.export.compile_gate import Compilation


def findings_table(outcomes: Sequence[Outcome]) -> Table:
    """One row a radiograph, rejected ones left out."""
    table = Table(
        # A name that is cut tells nobody which file it was.
        Column("radiograph", overflow="fold"),
        *("COVID-19", "probability", "severity %", "of", "served ms"),
    )
    for outcome in outcomes:
        finding = outcome.finding
        if finding is None:
            continue
        table.add_row(
            outcome.source.name,
            "detected" if finding.detected else "not detected",
            f"{finding.probability_max:.3f}",
            f"{finding.severity_percent:.1f}",
            finding.severity_of,
            f"{finding.timings_ms['served']:.1f}",
        )
    return table


def compilations_table(results: Sequence[Compilation]) -> Table:
    """One row a graph and GPU: what came out, and what was refused."""
    table = Table("graph", "GPU", "compiles", "FP16 layers", "engine MB", "s")
    for result in results:
        share = "-" if result.fp16_share is None else f"{result.fp16_share:.0%}"
        table.add_row(
            result.graph,
            f"{result.gpu} ({result.generation})",
            "yes" if result.passed else "no",
            share,
            f"{result.plan_bytes / 1e6:.1f}" if result.plan_bytes else "-",
            f"{result.seconds:.1f}",
        )
    return table
