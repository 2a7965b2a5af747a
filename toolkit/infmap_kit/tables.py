"""Tables for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Column, Table

from infmap_kit.infer import Outcome

if TYPE_CHECKING:
    from infmap_kit.bench.compare import Comparison
    from infmap_kit.bench.tune import Trial
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


def candidates_table(candidates: Sequence[dict[str, Any]]) -> Table:
    """One row a precision that was tried: what it takes, and whether it decides as its reference."""
    table = Table("precision", "engine p50 ms", "Dice", "flips", "gate")
    for one in candidates:
        if "not_built" in one:
            table.add_row(one["precision"], "-", "-", "-", one["not_built"])
            continue
        took = f"{one['p50_ms']:.2f}" if "p50_ms" in one else "-"
        verdict = "passed" if one["passed"] else "; ".join(one["reasons"])
        table.add_row(one["precision"], took, f"{one['dice']:.5f}", str(one["flips"]), verdict)
    return table


def trials_table(trials: Sequence[Trial]) -> Table:
    """One row a setting of threads and instances."""
    table = Table("instances", "threads", "p50 ms, one client", "images a second")
    for trial in trials:
        setting = trial.setting
        table.add_row(
            str(setting.instances),
            str(setting.threads),
            f"{trial.p50_ms:.2f}",
            f"{trial.images_per_s:.1f}",
        )
    return table


def changes_table(comparison: Comparison) -> Table:
    """One row a scope of two records."""
    table = Table(
        "scope", "before ms", "after ms", "change", "95 % interval", "verdict",
        caption="\n".join(("What else was different:", *comparison.differences))
        if comparison.differences
        else "Nothing else was different.",
        caption_justify="left",
    )  # fmt: skip
    for change in comparison.changes:
        table.add_row(
            change.scope,
            f"{change.before_ms:.2f}",
            f"{change.after_ms:.2f}",
            f"{change.percent:+.1f} %",
            f"{change.low_percent:+.1f} to {change.high_percent:+.1f} %",
            change.verdict,
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
