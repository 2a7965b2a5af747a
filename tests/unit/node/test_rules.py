"""Which rule decides."""

from __future__ import annotations

import pytest
from pydicom import Dataset

from infmap_kit.node.config import Rule
from infmap_kit.node.rules import matching_rule

RULES = [
    Rule(name="mobile", model="m", to=[], callers=["MOBILE"], modalities=["DX"]),
    Rule(name="chest", model="m", to=[], modalities=["CR", "dx"], body_parts=["CHEST", "THORAX"]),
    Rule(name="untagged", model="m", to=[], modalities=["CR"], body_parts=[""]),
]


@pytest.mark.parametrize(
    ("caller", "modality", "body_part", "expected"),
    [
        ("MOBILE", "DX", "HAND", "mobile"),
        ("ROOM1", "DX", "chest", "chest"),
        ("MOBILE", "CR", "THORAX", "chest"),
        ("ROOM1", "CR", None, "untagged"),
        ("ROOM1", "CR", "", "untagged"),
        ("ROOM1", "DX", None, None),
        ("ROOM1", "CT", "CHEST", None),
        ("ROOM1", None, "CHEST", None),
    ],
)
def test_the_first_rule_that_fits(
    caller: str, modality: str | None, body_part: str | None, expected: str | None
) -> None:
    header = Dataset()
    if modality is not None:
        header.Modality = modality
    if body_part is not None:
        header.BodyPartExamined = body_part
    rule = matching_rule(RULES, header, caller)
    assert (rule.name if rule else None) == expected
