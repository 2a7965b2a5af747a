"""Subsets of outputs, and what counts as the same answer."""

from __future__ import annotations

import numpy as np
import pytest

from infmap_kit.gate.bounds import thresholds_for
from infmap_kit.parts.contract import PLAIN, Contract
from infmap_kit.site_acceptance.answers import Answer, difference, subsets

BOUNDS = thresholds_for("fp32")


def _answer(**changes: np.ndarray) -> Answer:
    return {
        "DETECTED": np.uint8(1) * np.ones((), np.uint8),
        "SEVERITY": np.array(12.5, np.float32),
        "PROBABILITY": np.full((8, 8), 0.5, np.float32),
        "INFECTION_MAP": np.full((9, 7, 3), 100, np.uint8),
        **changes,
    }


def test_there_are_fifteen_subsets_and_further_outputs_are_asked_for_too() -> None:
    assert len(set(subsets(PLAIN))) == 15
    asked = list(subsets(Contract(("lungs",))))
    assert len(asked) == len(set(asked)) == 15 + 5 + 1
    assert len(asked[-1]) == 9


def test_rounding_is_the_same_answer() -> None:
    assert (
        difference(_answer(), _answer(PROBABILITY=np.full((8, 8), 0.5004, np.float32)), BOUNDS)
        == ""
    )


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"DETECTED": np.zeros((), np.uint8)}, "DETECTED differs"),
        ({"SEVERITY": np.array(14.0, np.float32)}, "SEVERITY is 1.5 off"),
        ({"PROBABILITY": np.full((8, 8), np.nan, np.float32)}, "PROBABILITY is nan off"),
        ({"PROBABILITY": np.full((8, 8), 0.52, np.float32)}, "PROBABILITY is 0.02 off"),
        ({"PROBABILITY": np.full((4, 4), 0.5, np.float32)}, "(4, 4) instead of float32 (8, 8)"),
        ({"INFECTION_MAP": np.full((9, 7, 3), 120, np.uint8)}, "INFECTION_MAP differs in 100.0%"),
        ({"MORE": np.zeros(1)}, "found DETECTED, INFECTION_MAP, MORE"),
    ],
)
def test_another_answer_is_told(changes: dict[str, np.ndarray], why: str) -> None:
    assert why in difference(_answer(), _answer(**changes), BOUNDS)
