"""Sentences with which several commands end."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from infmap_kit.command import print_result

if TYPE_CHECKING:
    from infmap_kit.gate.comparison import GateReport
    from infmap_kit.triton.repository import Manifest


def print_published(
    manifest: Manifest, repository: Path, gate: GateReport, *, as_json: bool
) -> None:
    """Print what was published and how it was proved, as JSON on stdout or in sentences."""
    document = {"manifest": dataclasses.asdict(manifest), "gate": gate.as_json()}
    print_result(document, published(manifest, repository), equivalent(gate), as_json=as_json)


def published(manifest: Manifest, repository: Path) -> str:
    """The sentence that names the release that is served from now on."""
    return (
        f"{manifest.model['name']} {manifest.model['version']} is release {manifest.release} of "
        f"{repository}, for target {manifest.target}, {manifest.precision}."
    )


def equivalent(gate: GateReport) -> str:
    """The sentence that says how near an equivalent engine is."""
    sentence = (
        f"Equivalent to its reference over {len(gate.pictures)} pictures: Dice {gate.dice:.6f}, "
        f"largest error {gate.largest_error:.1e}, no detection changed."
    )
    if lungs := gate.summary().get("lungs"):
        change = lungs["severity_change_percent"]
        sentence += (
            f" Lungs: Dice {lungs['dice']:.6f}, severities within {change:.2f} percentage points."
        )
    return sentence
