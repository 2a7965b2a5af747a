"""The gate stops every engine that decides otherwise, with the right reason."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from infmap_kit.answer.answer import Answer
from infmap_kit.answer.summary import Summary
from infmap_kit.errors import GateFailed
from infmap_kit.gate.bounds import INT8_THRESHOLDS
from infmap_kit.gate.comparison import GateReport, compare
from infmap_kit.gate.report import Evidence, markdown
from infmap_kit.gate.runners import ReferenceRunner
from infmap_kit.imaging.colour import infection_map
from pictures import read_picture

Change = Callable[[NDArray[np.float32]], NDArray[np.float32]]


class _Brightness:
    """Probability = brightness, changed by ``change``."""

    def __init__(self, change: Change = lambda probability: probability) -> None:
        self._change = change

    def run(
        self, inputs: Mapping[str, NDArray[Any]], outputs: Sequence[str]
    ) -> dict[str, NDArray[Any]]:
        return {"probability": self._change((inputs["IMAGE"] / 255).astype(np.float32))}


class _Bent(ReferenceRunner):
    """The same probabilities, and something else that is wrong."""

    def __init__(self, bend: Callable[[Answer, NDArray[np.uint8]], Answer]) -> None:
        super().__init__(_Brightness())
        self._bend = bend

    def predict(self, name: str, picture: NDArray[np.uint8]) -> Answer:
        return self._bend(super().predict(name, picture), picture)


def _pictures() -> list[tuple[str, NDArray[np.uint8]]]:
    ill = np.zeros((224, 224), np.uint8)
    ill[50:150, 50:150] = 200
    well = np.full((224, 224), 40, np.uint8)
    faint = well.copy()
    faint[7, 7] = 129
    return [("ill", ill), ("well", well), ("faint", faint)]


def _gate(change: Change) -> GateReport:
    return compare(
        ReferenceRunner(_Brightness()), ReferenceRunner(_Brightness(change)), _pictures()
    )


def test_the_same_engine_passes() -> None:
    gate = _gate(lambda probability: probability)
    gate.require()
    assert gate.passed
    assert gate.dice == 1
    assert gate.largest_error == 0
    assert len(gate.pictures) == 3


def test_a_flip_is_named_with_its_margin() -> None:
    gate = _gate(lambda p: p - np.float32(0.02))
    assert [one.name for one in gate.flips] == ["faint"]
    assert gate.flips[0].reference_margin == pytest.approx(129 / 255 - 0.5, abs=1e-6)
    with pytest.raises(GateFailed, match=r"1 of 3 pictures: faint by -0\.014"):
        gate.require()


def test_a_shifted_mask_fails_by_its_dice() -> None:
    gate = _gate(lambda p: np.roll(p, 1, axis=2))
    assert gate.dice == pytest.approx(2 * (100 * 99) / (2 * 10001), abs=1e-3)
    assert gate.crossing_share == pytest.approx(2 * 101 / (3 * 224 * 224), rel=0.02)
    with pytest.raises(GateFailed, match=r"Dice of at least 0\.999.*found 0\.9"):
        gate.require()


def test_one_bad_picture_is_not_hidden_by_a_good_average() -> None:
    large = np.full((224, 224), 200, np.uint8)
    small = np.zeros((224, 224), np.uint8)
    small[:10, :10] = 200

    def lose_half(p: NDArray[np.float32]) -> NDArray[np.float32]:
        p[0, :5, :10] = np.where(p.mean() < 0.1, 0, p[0, :5, :10])
        return p

    gate = compare(
        ReferenceRunner(_Brightness()),
        ReferenceRunner(_Brightness(lose_half)),
        [*((f"large-{n}", large) for n in range(5)), ("small", small)],
    )
    assert gate.dice > 0.9995
    with pytest.raises(GateFailed, match=r"0\.95 on each picture, found small 0\.667"):
        gate.require()


def test_nan_fails() -> None:
    def poisoned(probability: NDArray[np.float32]) -> NDArray[np.float32]:
        probability[0, 0, 0] = np.nan
        return probability

    with pytest.raises(GateFailed, match="the engine gives NaN.*ill, well, faint"):
        _gate(poisoned).require()


def test_a_summary_that_is_not_the_engines_own_fails() -> None:
    def with_summary(step: int) -> Callable[[Answer, NDArray[np.uint8]], Answer]:
        def bend(answer: Answer, _picture: NDArray[np.uint8]) -> Answer:
            own = Summary.of(answer.probability)
            steps = own.steps.copy()
            steps[60, 60] += step
            return dataclasses.replace(answer, summary=dataclasses.replace(own, steps=steps))

        return bend

    compare(ReferenceRunner(_Brightness()), _Bent(with_summary(0)), _pictures()).require()
    with pytest.raises(GateFailed, match="probability in bytes, .* is not the engine's own on ill"):
        compare(ReferenceRunner(_Brightness()), _Bent(with_summary(1)), _pictures()).require()


def test_a_broken_reference_is_no_measure() -> None:
    nan = ReferenceRunner(_Brightness(lambda p: p * np.float32(np.nan)))
    with pytest.raises(GateFailed, match="the reference itself gives NaN"):
        compare(nan, nan, _pictures()).require()


def test_an_engine_that_says_one_thing_only_fails() -> None:
    with pytest.raises(GateFailed, match="one value everywhere on ill"):
        _gate(lambda p: np.full_like(p, 0.2)).require()


def test_severity_change_is_in_percentage_points() -> None:
    gate = _gate(lambda p: np.where(p > 0.7, p, 0))
    assert gate.severity_change_percent == pytest.approx(100 / 224**2)
    ill = _gate(lambda p: np.where(np.arange(224) < 100, p, 0).astype(np.float32))
    assert ill.severity_change_percent == pytest.approx(100 * 5000 / 224**2)
    assert ill.dice == pytest.approx(2 * 5001 / (10001 + 5001)), (
        "the engine's mask is half as large"
    )
    with pytest.raises(GateFailed, match=r"within 1\.0 percentage points, found a change of 9\.96"):
        ill.require()


def test_a_moved_threshold_is_seen_though_every_probability_is_right() -> None:
    def moved(answer: Answer, _picture: NDArray[np.uint8]) -> Answer:
        infected = answer.probability >= 0.15
        return Answer(
            probability=answer.probability,
            detected=answer.detected,
            severity_percent=100 * float(infected.mean()),
            infection_map=answer.infection_map,
        )

    with pytest.raises(GateFailed, match="its threshold was moved: well, faint"):
        compare(ReferenceRunner(_Brightness()), _Bent(moved), _pictures()).require()


def test_a_map_in_other_colours_is_seen() -> None:
    def swapped(answer: Answer, picture: NDArray[np.uint8]) -> Answer:
        return Answer(
            probability=answer.probability,
            detected=answer.detected,
            severity_percent=answer.severity_percent,
            infection_map=infection_map(picture, answer.probability)[..., ::-1],
        )

    with pytest.raises(GateFailed, match="not what its own probability gives on ill"):
        compare(ReferenceRunner(_Brightness()), _Bent(swapped), _pictures()).require()


def test_a_missing_map_is_seen() -> None:
    def without(answer: Answer, _picture: NDArray[np.uint8]) -> Answer:
        return dataclasses.replace(answer, infection_map=None)

    with pytest.raises(GateFailed, match="not what its own probability gives on ill, well, faint"):
        compare(ReferenceRunner(_Brightness()), _Bent(without), _pictures()).require()


def test_what_is_worst_is_looked_at_first() -> None:
    same = _gate(lambda probability: probability).pictures[0]
    rising = [
        same,
        dataclasses.replace(same, largest_error=0.1),
        dataclasses.replace(same, dice=0.9),
        dataclasses.replace(same, dice=0.5),
        dataclasses.replace(same, detected=not same.reference_detected),
        dataclasses.replace(same, finite=False),
    ]
    assert sorted(rising, key=lambda picture: picture.badness) == rising


def test_eight_bits_may_round_more_and_flip_nothing() -> None:
    assert INT8_THRESHOLDS.min_dice == 0.99
    assert INT8_THRESHOLDS.max_flips == 0


def test_quantiles_are_of_all_pixels() -> None:
    def one_in_a_hundred(p: NDArray[np.float32]) -> NDArray[np.float32]:
        p = p.copy()
        p[:, ::10, ::10] -= np.float32(0.01)
        return p

    gate = _gate(one_in_a_hundred)
    assert gate.error_p999 == pytest.approx(0.01, rel=1e-2)
    assert gate.largest_error == pytest.approx(0.01, rel=1e-4)


def test_the_report_shows_the_worst_picture(tmp_path: Path) -> None:
    evidence = Evidence(tmp_path / "report")
    gate = compare(
        ReferenceRunner(_Brightness()),
        ReferenceRunner(_Brightness(lambda p: np.where(p > 0.4, p - np.float32(0.02), p))),
        _pictures(),
        on_pair=evidence.see,
    )
    folder = evidence.write(gate)
    document = json.loads((folder / "gate.json").read_text())
    assert document["flips"] == ["faint"]
    assert not document["passed"]
    assert [one["name"] for one in document["by_picture"]] == ["ill", "well", "faint"]
    text = (folder / "gate.md").read_text()
    assert "| faint | 0.0000 | yes / no |" in text
    assert text.index("| faint |") < text.index("| ill |"), "the worst stands first"
    assert text == markdown(gate)
    drawn = read_picture(folder / "worst.png", gray=False)
    # Three panels of 224 pixels, twice as large, in a frame.
    assert drawn.shape == (2 * 224 + 32, 3 * (2 * 224 + 8), 3)
    assert np.ptp(drawn[40:400, 2 * 456 + 10 : 3 * 456 - 10]) > 100, "the difference is drawn"


def test_the_manifest_gets_figures_and_no_names() -> None:
    summary = _gate(lambda p: p - np.float32(0.02)).summary()
    assert "faint" not in json.dumps(summary)
    assert summary["flips"] == 1
    assert summary["thresholds"]["min_dice"] == 0.999
