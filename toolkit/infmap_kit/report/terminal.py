"""Tables of the gate, of candidates and of checks, and a path's inspection as lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from infmap_kit.report.table import Table, Toned

if TYPE_CHECKING:
    from infmap_kit.gate.bisect import Localised
    from infmap_kit.release.compilation import Compilation
    from infmap_kit.targets.check import Check


def candidates_table(candidates: Sequence[dict[str, Any]]) -> Table:
    """One row a precision that was tried: what it takes, and whether it decides as its reference."""

    def row(one: dict[str, Any]) -> tuple[str, ...]:
        if "not_built" in one:
            return (one["precision"], "-", "-", "-", one["not_built"])
        took = f"{one['p50_ms']:.2f}" if "p50_ms" in one else "-"
        verdict = "passed" if one["passed"] else "; ".join(one["reasons"])
        return (one["precision"], took, f"{one['dice']:.5f}", str(one["flips"]), verdict)

    return Table(
        "", ("precision", "engine p50 ms", "Dice", "flips", "gate"), [*map(row, candidates)]
    )


def compilations_table(results: Sequence[Compilation]) -> Table:
    """One row a graph and GPU: what came out, and what was refused."""
    rows = [
        (
            result.graph,
            f"{result.gpu} ({result.generation})",
            "yes" if result.passed else "no",
            "-" if result.fp16_share is None else f"{result.fp16_share:.0%}",
            f"{result.plan_bytes / 1e6:.1f}" if result.plan_bytes else "-",
            f"{result.seconds:.1f}",
        )
        for result in results
    ]
    return Table("", ("graph", "GPU", "compiles", "FP16 layers", "engine MB", "s"), rows)


def leaving_table(found: Localised) -> Table:
    """The first layers that leave the reference, in the order of computing."""
    rows = [
        (
            layer.node,
            layer.operator,
            "overflows" if layer.relative_error == float("inf") else f"{layer.relative_error:.1%}",
        )
        for layer in found.leaving
    ]
    return Table("", ("layer", "operator", "relative error"), rows)


_TONES = {"ok": "good", "warning": "warning", "problem": "bad", "skipped": "soft"}


def checks_table(checks: Sequence[Check]) -> Table:
    """One row a check: what was found, and what to do."""
    rows = [
        (Toned(check.status, _TONES[check.status]), check.name, check.sentence, check.mend)
        for check in checks
    ]
    return Table("", ("", "what", "found", "mend"), rows, words=("found", "mend"))


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
