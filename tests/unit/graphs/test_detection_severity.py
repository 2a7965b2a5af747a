"""Severity of the lungs in the ONNX graph: equal to the last bit to a count by hand."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from infmap_kit.answer.severity import Grades, by_lung, lung_answer
from infmap_kit.errors import SpecError
from infmap_kit.graphs.detection import detection_graph
from infmap_kit.model.tensors import LUNG_OUTPUTS
from infmap_kit.parts.contract import PLAIN, Contract

Mask = NDArray[np.bool_]

SIZE = 224
LEVELS = (0.3, 0.4, 0.5, 0.6, 0.7)
SESSION = onnxruntime.InferenceSession(detection_graph(lungs=True).SerializeToString())
OUTPUTS = [output.name for output in SESSION.get_outputs()]


def _run(probability: NDArray[np.float32], lungs: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
    inputs = {"probability": probability, "lung_probability": lungs}
    return dict(zip(OUTPUTS, SESSION.run(None, inputs), strict=True))


def _box(top: int, bottom: int, left: int, right: int) -> Mask:
    """Rows and columns, both ends within."""
    mask = np.zeros((SIZE, SIZE), np.bool_)
    mask[top : bottom + 1, left : right + 1] = True
    return mask


# By hand: whole numbers pixel by pixel, one fraction, one rounding. Nothing of it is the project's.


def _midline(lungs: Mask) -> int:
    counts = [int(lungs[:, column].sum()) for column in range(SIZE)]
    best: tuple[int, Fraction, int] | None = None
    for column in range(SIZE):
        whole_in_the_central_third = 3 * column >= SIZE and 3 * (column + 1) <= 2 * SIZE
        if whole_in_the_central_third:
            distance = abs(Fraction(2 * column + 1, 2) - Fraction(SIZE, 2))
            key = (counts[column], distance, column)
            best = key if best is None or key < best else best
    if best is None:
        raise AssertionError("a picture has a central third")
    return best[2]


def _share(infected: int, area: int) -> np.float32:
    if area == 0:
        return np.float32(np.nan)
    return np.float32(Fraction(100 * infected, area))


def _by_hand(
    probability: NDArray[np.float32], lungs: Mask
) -> tuple[np.float32, list[np.float32], list[np.float32], list[np.float32]]:
    """Severity, of lungs, of zones, at thresholds."""
    midline = _midline(lungs)
    infected = probability >= np.float32(0.5)
    of_lungs, of_zones = [], []
    for columns in (slice(0, midline), slice(midline, SIZE)):
        areas = [int(lungs[row, columns].sum()) for row in range(SIZE)]
        hits = [int((lungs & infected)[row, columns].sum()) for row in range(SIZE)]
        of_lungs.append(_share(sum(hits), sum(areas)))
        rows = [row for row in range(SIZE) if areas[row]]
        top, height = (rows[0], rows[-1] - rows[0] + 1) if rows else (0, 1)
        for zone in range(3):
            within = [r for r in rows if zone * height <= 3 * (r - top) < (zone + 1) * height]
            of_zones.append(_share(sum(hits[r] for r in within), sum(areas[r] for r in within)))
    everywhere = not lungs.any()
    at = []
    for level in LEVELS:
        reached = probability >= np.float32(level)
        counted = reached if everywhere else reached & lungs
        at.append(_share(int(counted.sum()), SIZE**2 if everywhere else int(lungs.sum())))
    return at[2], of_lungs, of_zones, at


def _check(probability: NDArray[np.float32], *masks: Mask) -> dict[str, NDArray[Any]]:
    """The graph and the project's NumPy against the count by hand, to the last bit."""
    batch = np.stack([probability] * len(masks))
    actual = _run(batch, np.stack(masks).astype(np.float32))
    for index, lungs in enumerate(masks):
        severity, of_lungs, of_zones, at = _by_hand(probability, lungs)
        np.testing.assert_array_equal(actual["SEVERITY"][index], severity)
        np.testing.assert_array_equal(actual["LUNG_SEVERITY"][index], of_lungs)
        np.testing.assert_array_equal(actual["ZONE_SEVERITY"][index], of_zones)
        np.testing.assert_array_equal(actual["SEVERITY_AT"][index], at)
        np.testing.assert_array_equal(actual["LUNGS"][index], lungs)
        assert actual["SEVERITY_OF_LUNGS"][index] == lungs.any()
        figures = lung_answer(probability, lungs, threshold=0.5)
        assert figures.of_lungs == lungs.any()
        said = " ".join(warning.text for warning in figures.warnings)
        found = int(np.isfinite(of_lungs).sum())
        assert ("no lung was found" in said, "only one lung was found" in said) == (
            found == 0,
            found == 1,
        )
        assert figures.grade == (Grades().of(float(severity)) if lungs.any() else None)
        np.testing.assert_array_equal(np.float32(figures.severity_percent), severity)
        np.testing.assert_array_equal(figures.lungs, of_lungs)
        np.testing.assert_array_equal(figures.zones, of_zones)
        np.testing.assert_array_equal(figures.at, at)
    return actual


RANDOM = np.random.default_rng(9).random((SIZE, SIZE), np.float32)
BOTH = _box(30, 190, 25, 95) | _box(20, 200, 130, 200)
TOUCHING = _box(40, 180, 30, 195) & ~_box(44, 180, 117, 117)


@pytest.mark.parametrize(
    "lungs",
    [
        np.zeros((SIZE, SIZE), np.bool_),
        BOTH,
        _box(30, 190, 25, 95),
        _box(30, 190, 130, 200),
        TOUCHING,
        _box(0, 223, 0, 223),
        _box(7, 7, 111, 111),
        _box(7, 7, 0, 0) | _box(223, 223, 223, 223),
        _box(50, 51, 20, 20) | _box(50, 53, 200, 200),
        _box(10, 10, 30, 30) | _box(200, 200, 35, 35),
    ],
    ids=[
        "no lungs", "both", "right only", "left only", "touching", "everything", "one pixel",
        "opposite corners", "two and four rows", "a lung in two pieces",
    ],
)  # fmt: skip
def test_equals_the_count_by_hand(lungs: Mask) -> None:
    _check(RANDOM, lungs)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(*[st.integers(0, SIZE - 1)] * 4, st.booleans()), min_size=0, max_size=6),
    st.integers(0, 2**32 - 1),
)
def test_equals_the_count_by_hand_on_any_mask(
    boxes: list[tuple[int, int, int, int, bool]], seed: int
) -> None:
    """Boxes laid over each other and cut out of each other, with speckles."""
    random = np.random.default_rng(seed)
    lungs = random.random((SIZE, SIZE)) < 0.0005
    for one, two, three, four, filled in boxes:
        rows, columns = sorted((one, two)), sorted((three, four))
        lungs[rows[0] : rows[1] + 1, columns[0] : columns[1] + 1] = filled
    _check(random.random((SIZE, SIZE), np.float32) ** 2, lungs)


def test_figures_that_a_person_can_count() -> None:
    """The image's left is the patient's right."""
    infected = np.zeros((SIZE, SIZE), np.float32)
    lungs = _box(30, 89, 20, 79) | _box(60, 119, 140, 199)
    infected[30:50, 20:80] = 0.5
    infected[80:120, 140:170] = 0.9
    infected[200:, :] = 0.9
    actual = _check(infected, lungs)
    assert actual["LUNG_SEVERITY"][0].tolist() == pytest.approx([100 / 3, 100 / 3])
    assert actual["ZONE_SEVERITY"][0].tolist() == [100, 0, 0, 0, 50, 50]
    assert actual["SEVERITY"][0] == pytest.approx(100 / 3)
    sides = by_lung(actual["LUNG_SEVERITY"][0], actual["ZONE_SEVERITY"][0])
    assert sides["right"].zones == {"upper": 100, "middle": 0, "lower": 0}
    assert sides["left"].zones == {"upper": 0, "middle": 50, "lower": 50}


def test_lungs_that_touch_are_parted_where_least_of_them_is() -> None:
    infected = np.zeros((SIZE, SIZE), np.float32)
    infected[:, 118:] = 1
    actual = _check(infected, TOUCHING)
    # Column 117 is the thinnest, and is the left lung's.
    left = 141 * (195 - 118 + 1)
    assert actual["LUNG_SEVERITY"][0].tolist() == pytest.approx([0, 100 * left / (left + 4)])


def test_of_equal_columns_the_one_nearest_the_centre_parts() -> None:
    infected = np.zeros((SIZE, SIZE), np.float32)
    infected[:, :111] = 1
    actual = _check(infected, _box(0, 223, 0, 223))
    assert actual["LUNG_SEVERITY"][0].tolist() == [100, 0]


def test_the_midline_is_not_looked_for_beyond_the_central_third() -> None:
    """A picture whose rim is empty is not parted at its rim."""
    infected = np.zeros((SIZE, SIZE), np.float32)
    infected[:, :80] = 1
    actual = _check(infected, _box(10, 200, 10, 213) & ~_box(10, 200, 60, 62))
    right, left = actual["LUNG_SEVERITY"][0]
    assert 60 < right < 70
    assert left == 0


def test_a_lung_that_is_not_there_has_no_severity() -> None:
    actual = _check(RANDOM, _box(30, 190, 25, 95))
    right, left = actual["LUNG_SEVERITY"][0]
    assert right > 0
    assert np.isnan(left)
    assert np.isnan(actual["ZONE_SEVERITY"][0][3:]).all()
    values = by_lung(actual["LUNG_SEVERITY"][0], actual["ZONE_SEVERITY"][0])["left"].as_json()
    assert values == {
        "severity_percent": None,
        "zones": {"upper": None, "middle": None, "lower": None},
    }


def test_a_zone_without_a_pixel_has_no_severity() -> None:
    """A lung of two rows has an upper and a middle zone, and no lower one."""
    actual = _check(np.ones((SIZE, SIZE), np.float32), _box(50, 51, 20, 20))
    assert actual["ZONE_SEVERITY"][0][:2].tolist() == [100, 100]
    assert np.isnan(actual["ZONE_SEVERITY"][0][2])


def test_without_lungs_severity_is_of_the_picture_and_says_so() -> None:
    infected = np.zeros((SIZE, SIZE), np.float32)
    infected[:112] = 0.65
    actual = _check(infected, np.zeros((SIZE, SIZE), np.bool_))
    assert actual["SEVERITY_OF_LUNGS"].tolist() == [0]
    assert actual["SEVERITY"].tolist() == [50]
    assert actual["SEVERITY_AT"][0].tolist() == [50, 50, 50, 50, 0]


def test_infection_outside_the_lungs_is_detected_and_not_counted() -> None:
    infected = np.zeros((SIZE, SIZE), np.float32)
    infected[210, 112] = 0.5
    actual = _check(infected, BOTH)
    assert actual["DETECTED"].tolist() == [1]
    assert actual["SEVERITY"].tolist() == [0]


def test_a_batch_is_its_pictures() -> None:
    masks = [BOTH, np.zeros((SIZE, SIZE), np.bool_), TOUCHING]
    together = _check(RANDOM, *masks)
    for index, lungs in enumerate(masks):
        alone = _check(RANDOM, lungs)
        for name in OUTPUTS:
            np.testing.assert_array_equal(together[name][index], alone[name][0])


def test_what_is_always_served_is_the_same_with_lungs() -> None:
    plain = onnxruntime.InferenceSession(detection_graph().SerializeToString())
    detected, _, passed_on = plain.run(None, {"probability": RANDOM[np.newaxis]})
    actual = _run(RANDOM[np.newaxis], BOTH[np.newaxis].astype(np.float32))
    np.testing.assert_array_equal(actual["DETECTED"], detected)
    np.testing.assert_array_equal(actual["PROBABILITY"], passed_on)


def test_a_part_adds_outputs_and_takes_none_away() -> None:
    lungs = Contract(("lungs",))
    assert lungs.ensemble.outputs == (*PLAIN.ensemble.outputs, *LUNG_OUTPUTS)
    assert [tensor.name for tensor in lungs.detection.outputs] == OUTPUTS
    assert Contract.of([graph.name for graph in lungs.graphs]) == lungs
    assert Contract.of([graph.name for graph in PLAIN.graphs]) == PLAIN
    with_summary = Contract(("lungs",), summary=True)
    assert with_summary.ensemble.outputs[:4] == PLAIN.ensemble.outputs
    assert Contract.of([graph.name for graph in with_summary.graphs]) == with_summary


def test_another_threshold_is_the_findings_and_lungs_begin_where_they_did() -> None:
    graph = detection_graph(0.6, lungs=True)
    session = onnxruntime.InferenceSession(graph.SerializeToString())
    field = np.full((1, SIZE, SIZE), 0.55, np.float32)
    field[0, 100, :] = 0.65
    actual = dict(
        zip(
            OUTPUTS,
            session.run(None, {"probability": field, "lung_probability": field}),
            strict=True,
        )
    )
    assert actual["LUNGS"].all(), "at 0.55 it is of the lungs"
    assert actual["DETECTED"].item() == 1
    assert actual["SEVERITY"].item() == pytest.approx(100 / SIZE), "one row of all reaches 0.6"


def test_openvino_computes_the_same_but_for_the_last_bit() -> None:
    """It multiplies by a reciprocal where the graph divides; what is counted is the same."""
    openvino = pytest.importorskip("openvino")
    model = openvino.Core().read_model(detection_graph(lungs=True).SerializeToString(), b"")
    compiled = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    masks = np.stack([BOTH, np.zeros_like(BOTH), TOUCHING, _box(7, 7, 3, 3)]).astype(np.float32)
    batch = np.stack([RANDOM] * len(masks))
    actual = compiled({"probability": batch, "lung_probability": masks})
    for name, expected in _run(batch, masks).items():
        bound = 2.0**-22 if "SEVERITY" in name and expected.dtype == np.float32 else 0
        np.testing.assert_allclose(actual[name], expected, rtol=bound, err_msg=name)


def test_grades_begin_and_end_as_they_say() -> None:
    usual = Grades()
    assert [str(usual.of(value)) for value in (0, 0.01, 24.99, 25, 50, 50.01, 100)] == [
        "none", "mild", "mild", "moderate", "moderate", "severe", "severe",
    ]  # fmt: skip
    other = Grades.parse("1, 10,30.5")
    assert str(other) == "1,10,30.5"
    assert [str(other.of(value)) for value in (1, 9, 10, 30.5, 31)] == [
        "none", "mild", "moderate", "moderate", "severe",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text", ["0,25", "0,x,50", "25,0,50", "25,25,50", "0,50,25", "-1,25,50", "0,25,101"]
)
def test_cut_offs_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(SpecError, match="such as 0,25,50, found"):
        Grades.parse(text)
