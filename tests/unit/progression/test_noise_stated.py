"""A course by the noise that the results' model states of itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from findings import MODEL
from infmap_kit.errors import SpecError
from infmap_kit.model.severity_noise import Reach, SeverityNoise, Variation
from infmap_kit.progression.course import Course, line_up
from infmap_kit.progression.noise import Noise
from infmap_kit.progression.output.document import course_document
from infmap_kit.progression.output.page import sentences
from infmap_kit.progression.reading import Reading, read
from infmap_kit.progression.result import Result, parse_result
from results import noise_document, result_document, write_results

STATED = "image 3 4 50, lungs 5 6 45, right 7 8 44, variants 100, seed 0, shift_percent 2.0, tone_percent 5.0"
WIDER = STATED.replace("image 3 4", "image 2 9")


def _result(number: int = 0, *, stated: str = STATED, model: Any = MODEL, **changes: Any) -> Result:
    states = {"severity_noise": stated} if stated else {}
    document = result_document(number, model={**model, **states}, **changes)
    return parse_result(document, Path(f"{number}.json"))


def _course(*results: Result, **options: Any) -> Course:
    return line_up(Reading(results=results), **options)


@pytest.mark.parametrize(
    ("second", "verdict"),
    # 4 up of the first and 3 down of the second are 5 together, and so the other way round.
    [(15.1, "rise"), (14.9, "within noise"), (5.1, "within noise"), (4.9, "fall")],
)
def test_a_change_exceeds_what_the_model_states(second: float, verdict: str) -> None:
    course = _course(_result(0), _result(1, severity_percent=second))
    assert str(course.since_first["total"].verdict) == verdict
    assert course_document(course)["noise_from"] == "model"
    (sentence,) = [one for one in sentences(course) if one.startswith("Noise as the model states")]
    assert "at most 3.0 percentage points below and 4.0 above" in sentence
    assert "50 radiographs with the finding that it was not trained on; 100 variants" in sentence
    assert course.points[0].ranges["total"].low == 7
    assert course.points[0].ranges["total"].high == 14


def test_each_lung_has_its_own_and_one_that_was_not_measured_has_none() -> None:
    lungs = {"right": {"severity_percent": 30.0}, "left": {"severity_percent": 5.0}}
    results = [
        _result(n, severity_of="lungs", severity_percent=20.0, lungs=lungs) for n in range(2)
    ]
    ranges = _course(*results).points[0].ranges
    assert (ranges["total"].low, ranges["total"].high) == (15, 26)
    assert (ranges["right"].low, ranges["right"].high) == (23, 38)
    assert "left" not in ranges


def test_noise_of_the_image_alone_calls_no_change_of_lungs() -> None:
    stated = STATED.replace("lungs 5 6 45, right 7 8 44, ", "")
    results = [_result(0, stated=stated), _result(1, stated=stated, severity_percent=90.0)]
    assert str(_course(*results).since_first["total"].verdict) == "rise"
    of_lungs = [
        _result(0, stated=stated, severity_of="lungs"),
        _result(1, stated=stated, severity_of="lungs", severity_percent=90.0),
    ]
    course = _course(*of_lungs)
    assert str(course.since_first["total"].verdict) == "noise not measured"
    assert course_document(course)["noise_from"] is None


def test_what_was_measured_goes_before_what_is_stated(tmp_path: Path) -> None:
    (path,) = write_results(tmp_path, noise_document(1.0, 1.0))
    results = [_result(0), _result(1, severity_percent=13.0)]
    assert str(_course(*results).since_first["total"].verdict) == "within noise"
    course = _course(*results, noise=Noise.read(path))
    assert str(course.since_first["total"].verdict) == "rise"
    assert course_document(course)["noise_from"] == "radiographs"
    assert "as the model states it" not in course.noise_sentence


def test_stating_a_noise_makes_no_other_model_and_the_widest_counts() -> None:
    """Exported again after it was measured, and again after it was measured anew."""
    silent, first, again = _result(0, stated=""), _result(1), _result(2, stated=WIDER)
    assert silent.model == first.model == again.model
    for point in _course(silent, first, again).points:
        value = point.result.severity.percent
        assert (point.ranges["total"].low, point.ranges["total"].high) == (value - 3, value + 9)


def test_each_of_two_models_has_its_own_and_one_that_states_none_has_none() -> None:
    other = {**MODEL, "model_version": "000000000000"}
    course = _course(_result(0), _result(1, model=other, stated=""), mix_models=True)
    assert "total" in course.points[0].ranges
    assert "total" not in course.points[1].ranges
    assert str(course.since_first["total"].verdict) == "another model"


@pytest.mark.parametrize(
    "stated",
    [
        "",
        "image",
        "variants 100, seed 0",
        "image 3 4 50",
        STATED.replace("3 4", "nan 4"),
        STATED.replace("3 4", "3 400"),
        STATED.replace("3 4 50", "3 4 0"),
        STATED.replace("variants 100", "variants 5"),
        STATED.replace("seed 0", "seed inf"),
        f"{STATED}, image 1 1 50",
        f"{STATED}, newer 3",
    ],
)
def test_a_damaged_statement_is_refused_in_one_line(tmp_path: Path, stated: str) -> None:
    """Its radiograph is left out by name, like any other damaged result."""
    model = {**MODEL, "severity_noise": stated}
    write_results(
        tmp_path, *(result_document(n) for n in range(2)), result_document(2, model=model)
    )
    reading = read([tmp_path])
    assert len(reading.results) == 2
    (skipped,) = reading.skipped
    assert skipped.damaged
    assert "expected severity_noise such as" in skipped.reason
    assert "measure it again with `infmap-train severity-noise`" in skipped.reason
    assert "\n" not in skipped.reason


@given(
    reach=st.dictionaries(
        st.sampled_from(["image", "lungs", "right", "left"]),
        st.builds(
            Reach,
            st.floats(0, 100).map(lambda value: round(value, 4)),
            st.floats(0, 100).map(lambda value: round(value, 4)),
            st.integers(1, 10_000),
        ),
        min_size=1,
    ),
    variation=st.builds(Variation, variants=st.integers(20, 10_000), seed=st.integers(0, 2**40)),
)
def test_what_is_stated_is_read_back(reach: dict[str, Reach], variation: Variation) -> None:
    noise = SeverityNoise(reach=reach, variation=variation)
    assert SeverityNoise.parse(str(noise)) == noise


@given(text=st.text("imagelungs 0123456789.,-+enav", max_size=60))
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(SpecError, match="expected severity_noise"):
        SeverityNoise.parse(text)
