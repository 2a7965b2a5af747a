"""Lining up: the right order, each radiograph once, and no mixture of patients, models or measures."""

from __future__ import annotations

import datetime as dt
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from findings import MODEL
from infmap_kit.errors import ProgressionError
from infmap_kit.progression.course import Course, line_up
from infmap_kit.progression.noise import Noise
from infmap_kit.progression.output.document import course_document
from infmap_kit.progression.reading import Reading, Skipped
from infmap_kit.progression.result import Result, parse_result
from results import noise_document, result_document, write_results

OTHER_MODEL = {**MODEL, "model_version": "000000000000"}


def _result(number: int = 0, *, file: str = "", **changes: Any) -> Result:
    return parse_result(result_document(number, **changes), Path(file or f"{number}.json"))


def _course(*results: Result, **options: Any) -> Course:
    return line_up(Reading(results=results), **options)


def _noise(folder: Path, *widths: float, **changes: Any) -> Noise:
    (path,) = write_results(folder / "noise", noise_document(*widths, **changes))
    return Noise.read(path)


def _severities(course: Course) -> list[float]:
    return [point.result.severity.percent for point in course.points]


def test_a_course_is_in_the_order_of_time_not_of_names() -> None:
    course = _course(
        _result(2, file="a.json"), _result(0, file="b.json"), _result(1, file="c.json")
    )
    assert _severities(course) == [10, 11, 12]
    assert [point.day for point in course.points] == [0, 1, 2]


@given(
    numbers=st.lists(st.integers(0, 30), min_size=2, max_size=12).filter(
        lambda numbers: len(set(numbers)) > 1
    ),
    data=st.data(),
)
def test_order_and_doubles_change_nothing(numbers: list[int], data: st.DataObject) -> None:
    """However often a radiograph is there, and wherever: one point each, in order, and said once."""
    results = [_result(n, file=f"{i}.json") for i, n in enumerate(numbers)]
    shuffled = data.draw(st.permutations(results))
    course = _course(*shuffled)
    assert _severities(course) == [10.0 + n for n in sorted(set(numbers))]
    twice = {n for n in numbers if numbers.count(n) > 1}
    stated = [note for note in course.notes if "counts once" in note]
    assert len(stated) == len(twice)
    for number in twice:
        sentence = f"chest_{number}.png is there {numbers.count(number)} times, and counts once"
        assert sentence in stated
    assert course_document(course) == course_document(_course(*results))


@given(
    models=st.lists(st.sampled_from([MODEL, OTHER_MODEL]), min_size=2, max_size=6),
    patients=st.lists(st.sampled_from(["P", "Q", ""]), min_size=6, max_size=6),
    measures=st.lists(st.sampled_from(["image", "lungs"]), min_size=6, max_size=6),
)
def test_every_mixture_is_refused_and_nothing_else(
    models: list[dict[str, str]], patients: list[str], measures: list[str]
) -> None:
    results = [
        _result(i, model=model, patient=patients[i] or None, severity_of=measures[i])
        for i, model in enumerate(models)
    ]
    used = len(models)
    people = len({patient for patient in patients[:used] if patient})
    mixed = {
        "one patient": people > 1,
        "one model": len({m["model_version"] for m in models}) > 1,
        "the same thing": len(set(measures[:used])) > 1,
    }
    if not any(mixed.values()):
        assert len(_course(*results).points) == used
        return
    with pytest.raises(ProgressionError) as refused:
        _course(*results)
    assert any(words in str(refused.value) for words, actual in mixed.items() if actual)


def test_the_same_radiograph_of_two_patients_is_refused_before_it_is_counted_once() -> None:
    with pytest.raises(ProgressionError, match="one patient"):
        _course(_result(0), _result(1), _result(1, file="x.json", patient="Q"))


@pytest.mark.parametrize(
    "changes",
    [
        {"precision": "int8"},
        {"onnx_sha256": "0" * 64},
        {"model_version": "2"},
        {"lung_onnx_sha256": "1" * 64},
    ],
)
def test_models_differ_by_whatever_decides(changes: dict[str, str]) -> None:
    other = _result(1, model={**MODEL, **changes})
    with pytest.raises(ProgressionError, match="found 2") as refused:
        _course(_result(0), other)
    (key,) = changes
    assert key in str(refused.value)
    assert "--mix-models" in str(refused.value)
    course = _course(_result(0), other, mix_models=True)
    assert [str(change.verdict) for change in course.since_first.values()] == ["another model"]


def test_the_box_on_which_a_model_runs_makes_no_other_model() -> None:
    course = _course(_result(0), _result(1, model={**MODEL, "target": "tensorrt"}))
    assert len(course.points) == 2


def test_fewer_than_two_is_said_with_what_was_skipped() -> None:
    reading = Reading(
        results=(_result(0), _result(0, file="again.json")),
        skipped=(Skipped(name="foot.dcm", reason="rejected: not-a-chest"),),
    )
    with pytest.raises(ProgressionError) as refused:
        line_up(reading)
    stated = str(refused.value)
    assert "found 1, counting what is there twice once" in stated
    assert "foot.dcm: rejected: not-a-chest" in stated


def test_the_same_instance_is_the_same_radiograph_whatever_its_pixels() -> None:
    twins = [
        _result(0, file=f"{i}.json", uids={"instance": "sha256:1"}, pixels=f"sha256:{i}")
        for i in range(2)
    ]
    assert len(_course(*twins, _result(1)).points) == 2


def test_what_is_doubtful_about_a_radiograph_stands_beside_the_course() -> None:
    lungs = {side: {"severity_percent": 10.0, "zones": {}} for side in ("right", "left")}
    stated: dict[str, Any] = {"severity_of": "lungs", "severity_percent": 10.0, "lungs": lungs}
    doubt = [{"code": "possibly-mirrored", "text": "look"}]
    first = _result(0, **stated, sides_stated=True, source="a")
    second = _result(1, **stated, sides_stated=False, source="b", warnings=doubt)
    notes = _course(first, second).notes
    assert "b: the file does not state the sides; right and left are taken as usual" in notes
    assert "b: warned of as possibly-mirrored" in notes
    assert not [note for note in notes if note.startswith("a")]
    # Without lungs no side is named.
    image = [_result(number, sides_stated=False) for number in (0, 1)]
    assert not [note for note in _course(*image).notes if "sides" in note]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"severity_percent": 17.0}, "say 10.0 % and 17.0 %"),
        ({"study_time": "2026-02-01"}, "say 2026-01-05 09:30:00 and 2026-02-01 00:00:00"),
    ],
)
def test_twins_that_contradict_each_other_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ProgressionError, match="leave one out") as refused:
        _course(_result(0), _result(0, file="x.json", **changes), _result(1))
    assert words in str(refused.value)


def test_results_without_a_time_are_refused_by_name() -> None:
    with pytest.raises(ProgressionError, match="--times") as refused:
        _course(_result(0), *(_result(n, study_time=None) for n in (1, 2)))
    assert "chest_1.png, chest_2.png" in str(refused.value)


def test_true_times_and_stand_ins_do_not_mix() -> None:
    shifted = _result(1, study_time_shifted=True)
    with pytest.raises(ProgressionError, match="found both"):
        _course(_result(0), shifted)
    course = _course(_result(0, study_time_shifted=True), shifted)
    assert [course.when(point) for point in course.points] == ["day 0", "day 1"]
    assert course_document(course)["results"][0]["study_time"] is None


def test_nobody_is_taken_for_a_patient_in_silence() -> None:
    nameless = _course(*(_result(n, patient=None) for n in range(2)))
    assert "no result says whose it is" in nameless.notes[0]
    half = _course(_result(0), _result(1, patient=None))
    assert half.notes == ("chest_1.png say not whose they are: taken for the same patient's",)


def test_two_radiographs_of_one_time_are_said() -> None:
    time = result_document(0)["study_time"]
    course = _course(_result(1, study_time=time), _result(0))
    assert _severities(course) == [10, 11]
    assert "at the same time" in course.notes[0]


def test_without_noise_nothing_is_called_a_change() -> None:
    course = _course(_result(0), _result(1, severity_percent=90.0))
    (verdict,) = {str(change.verdict) for change in course.since_first.values()}
    assert verdict == "noise not measured"
    assert "Noise not measured" in course.noise_sentence


@pytest.mark.parametrize(
    ("second", "verdict"),
    # 3 and 4 wide: together 5.
    [(15.1, "rise"), (14.9, "within noise"), (5.1, "within noise"), (4.9, "fall")],
)
def test_a_change_exceeds_the_combined_ranges(tmp_path: Path, second: float, verdict: str) -> None:
    noise = _noise(tmp_path, 3.0, 4.0)
    course = _course(_result(0), _result(1, severity_percent=second), noise=noise)
    assert str(course.since_first["total"].verdict) == verdict


def test_the_interval_of_a_difference_by_hand(tmp_path: Path) -> None:
    course = _course(_result(0), _result(1), noise=_noise(tmp_path, 3.0, 4.0))
    low, high = course.since_first["total"].interval or (math.nan, math.nan)
    assert (low, high) == pytest.approx((1 - 5, 1 + 5))
    assert course.points[0].ranges["total"].low == pytest.approx(7)
    assert course.points[1].ranges["total"].high == pytest.approx(15)


def test_what_was_not_measured_itself_gets_the_widest_range(tmp_path: Path) -> None:
    course = _course(_result(0), _result(7), noise=_noise(tmp_path, 1.0, 6.0))
    own, other = (point.ranges["total"] for point in course.points)
    assert (own.low, own.high) == pytest.approx((9, 11))
    assert (other.low, other.high) == pytest.approx((11, 23))
    assert "of the 1 that were not measured themselves" in course.noise_sentence


def test_noise_of_another_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProgressionError, match="that of another"):
        _course(_result(0), _result(1), noise=_noise(tmp_path, 1.0, model=OTHER_MODEL))


def test_noise_of_the_image_says_nothing_about_lungs(tmp_path: Path) -> None:
    results = [_result(n, severity_of="lungs", pixels=f"sha256:9{n}") for n in range(2)]
    course = _course(*results, noise=_noise(tmp_path, 1.0))
    assert str(course.since_first["total"].verdict) == "noise not measured"


def test_lungs_are_followed_where_they_are_known() -> None:
    def of_lungs(number: int, left: float | None) -> Result:
        lungs = {
            "right": {"severity_percent": 5.0, "zones": {"upper": 5.0, "lower": None}},
            "left": None if left is None else {"severity_percent": left},
        }
        return _result(number, severity_of="lungs", severity_percent=5.0, lungs=lungs)

    course = _course(of_lungs(0, 4.0), of_lungs(1, None), of_lungs(2, 9.0))
    assert course.parts == ("total", "right", "left")
    assert set(course.points[1].since_before) == {"total", "right"}
    assert course.since_first["left"].points == 5
    document = course_document(course)["results"][1]
    assert document["lungs"] == {
        "right": {"severity_percent": 5.0, "noise_percent": None, "zones": {"upper": 5.0}}
    }


def test_hours_count() -> None:
    taken = dt.datetime(2026, 1, 5, 21, 30)  # noqa: DTZ001
    course = _course(_result(0), _result(1, study_time=taken.isoformat()))
    assert course.points[1].day == 0.5
