"""Sentences that several commands end with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from infmap_kit.gate.comparison import GateReport
    from infmap_kit.triton.repository import Manifest


def published(manifest: Manifest, repository: Path) -> str:
    """What is served from now on."""
    return (
        f"[bold]{manifest.model['name']}[/] {manifest.model['version']} is release {manifest.release} of "
        f"{repository}, for target {manifest.target}, {manifest.precision}."
    )


def equivalent(gate: GateReport) -> str:
    """What the gate found, when it passed."""
    found = (
        f"Equivalent to its reference over {len(gate.pictures)} pictures: Dice {gate.dice:.6f}, "
        f"largest error {gate.largest_error:.1e}, no detection changed."
    )
    if lungs := gate.summary().get("lungs"):
        change = lungs["severity_change_percent"]
        found += (
            f" Lungs: Dice {lungs['dice']:.6f}, severities within {change:.2f} percentage points."
        )
    return found
