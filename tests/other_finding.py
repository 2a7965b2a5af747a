"""Tuberculosis as somebody else would name it: one TOML file."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import onnx

from infmap_kit.model.files import sha256_of
from infmap_kit.model.finding import Code, FindingSpec
from infmap_kit.model.run_folder import FINDING
from infmap_kit.model.spec import ModelSpec
from small_network import small_run

TUBERCULOSIS_TOML = """\
name = "Pulmonary tuberculosis"
noun = "tuberculosis"
affected = "affected"
condition = ["56717001", "SCT", "Tuberculosis"]
threshold = 0.6
colour_table = "inferno"
detected = "suspected"
not_detected = "not suspected"
notice = "For research use on tuberculosis, not a medical device."
short_notice = "Research use, no diagnosis of TB"
"""

TUBERCULOSIS = FindingSpec(
    name="Pulmonary tuberculosis",
    noun="tuberculosis",
    condition=Code("56717001", "SCT", "Tuberculosis"),
    threshold=0.6,
    colour_table="inferno",
    detected="suspected",
    not_detected="not suspected",
    notice="For research use on tuberculosis, not a medical device.",
    short_notice="Research use, no diagnosis of TB",
)


def tuberculosis_run(folder: Path, network: onnx.ModelProto | None = None) -> Path:
    """A run folder as ``infmap-train fit --finding`` leaves it."""
    run = small_run(folder, network, name="small TB")
    (run / FINDING).write_text(TUBERCULOSIS_TOML)
    spec = ModelSpec.read(run / "spec.json")
    files = {**spec.files, FINDING: sha256_of(run / FINDING)}
    dataclasses.replace(spec, files=files).write(run / "spec.json")
    return run
