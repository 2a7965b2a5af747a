"""Numbers with few decimals: near to what they were, and never over a bound."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from infmap_kit.report.numbers import plain_number, shown_percent, shown_probability
from shown_numbers import EXAMPLES


@pytest.mark.parametrize(("value", "threshold", "text"), EXAMPLES)
def test_probabilities(value: float, threshold: float, text: str) -> None:
    assert shown_probability(value, threshold) == text


def test_percentages_keep_to_their_grades() -> None:
    cut_offs = (0.0, 25.0, 50.0)
    values = (0, 0.002, 24.997, 25, 25.003, 12.345, 50.004, 50.006, 99.997)
    shown = [shown_percent(value, cut_offs) for value in values]
    # Of 50 a grade is moderate, and of more severe.
    near = ["< 25.00", "25.00", "> 25.00"]
    assert shown == ["0.00", "< 0.01", *near, "12.35", "> 50.00", "50.01", "> 99.99"]
    assert shown_percent(0.04, decimals=1) == "< 0.1"
    assert shown_percent(99.999, (0, 25, 99.99)) == "> 99.99"


@settings(max_examples=300, deadline=None)
@given(st.floats(0, 1, width=32), st.integers(1, 99), st.sampled_from([2, 3]))
@example(0.125, 50, 2)
def test_no_number_is_shown_over_a_bound(value: float, hundredths: int, decimals: int) -> None:
    threshold = hundredths / 100
    sign, _, text = shown_probability(value, threshold, decimals=decimals).rpartition(" ")
    number = float(text)
    assert abs(number - value) <= 10.0**-decimals
    if sign:
        assert value < number if sign == "<" else value > number
    else:
        assert number >= threshold or np.float32(value) < np.float32(threshold)
        assert number < threshold or np.float32(value) >= np.float32(threshold)
        assert (number == 1) == (value == 1)
    exact = plain_number(value, (0.0, threshold, 1.0))
    # Half of a hundredth, and what doubles add to it: 0.125 is shown as 0.12.
    assert float(exact) == pytest.approx(value, abs=0.005 + 1e-9)
    assert (float(exact) < 1) == (value < 1)
    assert len(exact) <= 16, "a decimal string of DICOM has no more"
