"""Tables for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Column, Table

if TYPE_CHECKING:
    from infmap_kit.answer.finding import Finding
    from infmap_kit.bench.records.compare import Comparison
    from infmap_kit.bench.tune import Trial
    from infmap_kit.gate.bisect import Localised
    from infmap_kit.gate.comparison import GateReport
    from infmap_kit.release.compilation import Compilation
    from infmap_kit.results.folder import Outcome
    from infmap_kit.targets.check import Check
    from infmap_kit.triton.releases import Release


def findings_table(outcomes: Sequence[Outcome]) -> Table:
    """One row a radiograph, rejected ones left out."""
    graded = any(one.finding is not None and one.finding.by_lung is not None for one in outcomes)
    second = any(
        one.finding is not None and one.finding.classifier_probability is not None
        for one in outcomes
    )
    table = Table(
        # A name that is cut tells nobody which file it was; so it is folded.
        Column("radiograph", overflow="fold"),
        *(
            Column(name, no_wrap=True)
            for name in (
                *("COVID-19", "probability"),
                *(("of lungs %", "grade") if graded else ("severity %", "of")),
                # Time gives way to a second opinion: both do not fit 80 columns, and it stands in the JSON.
                "classifier" if second else "served ms",
            )
        ),
    )
    for outcome in outcomes:
        finding = outcome.finding
        if finding is None:
            continue
        table.add_row(
            outcome.source.name,
            "detected" if finding.detected else "not detected",
            f"{finding.probability_max:.3f}",
            *_severity_cells(finding, graded=graded),
            _second_opinion(finding) if second else f"{finding.timings_ms['served']:.1f}",
        )
    return table


def _second_opinion(finding: Finding) -> str:
    if finding.classifier_probability is None:
        return "-"
    said = f"{finding.classifier_probability:.3f}"
    return said if finding.opinions_agree else f"[bold red]≠ {said}[/]"


def _severity_cells(finding: Finding, *, graded: bool) -> tuple[str, str]:
    """Severity and what it is of; where lungs are served, severity and its grade."""
    severity = f"{finding.severity_percent:.1f}"
    if not graded:
        return severity, finding.severity_of
    if finding.grade is None:
        return f"{severity} of the {finding.severity_of}", "-"
    return severity, str(finding.grade)


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


def releases_table(releases: Sequence[Release]) -> Table:
    """One row a release, newest first."""
    table = Table("release", "version", "target", "precision", "published (UTC)", "Dice", "")
    for release in releases:
        manifest = release.manifest
        dice = manifest.gate.get("dice")
        table.add_row(
            str(manifest.release),
            str(manifest.model.get("version", "-")),
            manifest.target,
            manifest.precision,
            manifest.published[:16].replace("T", " "),
            "-" if dice is None else f"{dice:.5f}",
            "served" if release.current else "",
        )
    return table


def gate_table(report: GateReport) -> Table:
    """What the gate found beside what it asks for."""
    allowed = report.thresholds
    table = Table("", "found", "asked for")
    for name, found, wanted in (
        ("pictures", f"{len(report.pictures)}", ""),
        ("Dice, pooled", f"{report.dice:.6f}", f">= {allowed.min_dice}"),
        ("detections changed", f"{len(report.flips)}", f"<= {allowed.max_flips}"),
        (
            "severity change, percentage points",
            f"{report.severity_change_percent:.4f}",
            f"<= {allowed.max_severity_change_percent}",
        ),
        ("largest error of a probability", f"{report.largest_error:.2e}", ""),
        (
            "99.9 % of the errors within",
            f"{report.error_p999:.2e}",
            f"<= {allowed.max_error_p999}",
        ),
        ("pixels that cross 0.5", f"{report.crossing_share:.2e}", ""),
    ):
        table.add_row(name, found, wanted)
    if opinion := report.summary().get("classifier"):
        table.add_row("classifier: detections that change", str(opinion["flips"]), "0")
        for name, key, bound in (
            ("probability", "largest_error", allowed.classifier.max_error),
            ("activation map", "activation_error", allowed.classifier.max_activation_error),
        ):
            table.add_row(f"classifier: error of {name}", f"{opinion[key]:.2e}", f"<= {bound}")
    if lungs := report.summary().get("lungs"):
        bounds = allowed.lungs
        table.add_row("Dice of the lungs, pooled", f"{lungs['dice']:.6f}", f">= {bounds.min_dice}")
        for name, bound in (
            ("severity", bounds.max_severity_change_percent),
            ("zone", bounds.max_zone_change_percent),
        ):
            change = lungs[f"{name}_change_percent"]
            table.add_row(f"{name} change in the lungs", f"{change:.4f}", f"<= {bound}")
    return table


def leaving_table(found: Localised) -> Table:
    """The first layers that leave the reference, in the order of computing."""
    table = Table(Column("layer", overflow="fold"), "operator", "relative error")
    for layer in found.leaving:
        overflows = layer.relative_error == float("inf")
        table.add_row(
            layer.node, layer.operator, "overflows" if overflows else f"{layer.relative_error:.1%}"
        )
    return table


_COLOURS = {"ok": "green", "warning": "yellow", "problem": "red", "skipped": "dim"}


def checks_table(checks: Sequence[Check]) -> Table:
    """One row a check: what was found, and what to do."""
    table = Table("", Column("what", no_wrap=True), "found", "mend", show_lines=False)
    for check in checks:
        colour = _COLOURS[check.status]
        table.add_row(f"[{colour}]{check.status}[/]", check.name, check.sentence, check.mend)
    return table


def inspection_lines(document: Mapping[str, Any], *, indent: str = "") -> list[str]:
    """What was found in a path, as indented lines; hashes of single files are left to --json."""
    lines = []
    for key, value in document.items():
        label = f"{indent}{key.replace('_', ' ')}"
        if key == "files":
            lines.append(f"{label}: {len(value)}")
        elif key == "history":
            lines.append(f"{label}:")
            lines += [f"{indent}  {_release_line(release)}" for release in value]
        elif isinstance(value, Mapping) and not any(
            isinstance(inner, Mapping) for inner in value.values()
        ):
            shown = (f"{name.replace('_', ' ')} {_shown(inner)}" for name, inner in value.items())
            lines.append(f"{label}: {', '.join(shown)}")
        elif isinstance(value, Mapping):
            lines.append(f"{label}:")
            lines += inspection_lines(value, indent=f"{indent}  ")
        elif value not in (None, "", [], ()):
            lines.append(f"{label}: {_shown(value)}")
    return lines


def _release_line(release: Mapping[str, Any]) -> str:
    served = ", served" if release["current"] else ""
    return (
        f"{release['release']}: {release['version']}, {release['precision']}, {release['published']}"
        f"{served}"
    )


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        return ", ".join(map(_shown, value))
    return str(value)
