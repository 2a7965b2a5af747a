"""Variants are what they are said to be, and noise is what the model makes of them."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from findings import MODEL, lungs, made_up
from infmap_kit.answer.answer import Answer
from infmap_kit.answer.severity import lung_answer
from infmap_kit.errors import ProgressionError
from infmap_kit.imaging.radiograph import Radiograph
from infmap_kit.imaging.synthetic.drawing import synthetic_radiograph
from infmap_kit.model.severity_noise import Variation
from infmap_kit.progression import variants as variants_module
from infmap_kit.progression.noise import Noise, Range
from infmap_kit.progression.output.writing import write_noise
from infmap_kit.progression.variants import measure_noise, variants

_LIMITS: dict[str, Any] = {"shift_percent": 0.0, "rotation_degrees": 0.0, "tone_percent": 0.0}


def _cross(height: int = 300, width: int = 200) -> NDArray[np.uint8]:
    """A bright dot in the middle, and one to its right: where they are tells shift and turn."""
    pixels = np.full((height, width), 40, np.uint8)
    cv2.circle(pixels, (width // 2, height // 2), 8, 200, -1)
    cv2.circle(pixels, (width // 2 + 60, height // 2), 4, 120, -1)
    return pixels


def _centre(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Column and row."""
    rows, columns = np.nonzero(mask)
    return np.array([columns.mean(), rows.mean()])


def test_shifts_go_up_to_their_limit_in_every_direction() -> None:
    variation = Variation(variants=200, **{**_LIMITS, "shift_percent": 2.0})
    before = _centre(_cross() > 150)
    moved = np.array([_centre(one > 150) - before for one in variants(_cross(), variation)])
    limits = np.array([4.0, 6.0])  # 2 % of 200 columns and of 300 rows
    assert (np.abs(moved) <= limits + 0.3).all()
    assert (moved.max(axis=0) > 0.9 * limits).all()
    assert (moved.min(axis=0) < -0.9 * limits).all()


def test_turns_go_up_to_their_limit_about_the_middle() -> None:
    variation = Variation(variants=200, **{**_LIMITS, "rotation_degrees": 2.0})
    degrees = []
    for one in variants(_cross(), variation):
        middle, beside = _centre(one > 150), _centre((one > 80) & (one < 125) & _right_of_middle())
        np.testing.assert_allclose(middle, _centre(_cross() > 150), atol=0.3)
        across, down = beside - middle
        degrees.append(np.degrees(np.arctan2(down, across)))
    assert max(np.abs(degrees)) <= 2.2
    assert max(degrees) > 1.7
    assert min(degrees) < -1.7


def _right_of_middle() -> NDArray[np.bool_]:
    return np.broadcast_to(np.arange(200) > 130, (300, 200))


def test_tones_bend_and_keep_black_and_white() -> None:
    ramp = np.tile(np.arange(256, dtype=np.uint8), (64, 1))
    variation = Variation(variants=100, **{**_LIMITS, "tone_percent": 5.0})
    bent = np.array([one[0].astype(int) for one in variants(ramp, variation)])
    assert (bent[:, 0] == 0).all()
    assert (bent[:, 255] == 255).all()
    assert (np.diff(bent, axis=1) >= 0).all()
    # 255 * 0.5 ** 1.05 and 255 * 0.5 ** 0.95, at the middle gray.
    assert 123 <= bent[:, 128].min() <= 125
    assert 131 <= bent[:, 128].max() <= 133


def test_the_seed_decides() -> None:
    first, again, other = (
        np.array(list(variants(_cross(), Variation(variants=20, seed=seed)))) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


@pytest.mark.parametrize(
    "options", [{"variants": 5}, {"shift_percent": -1}, {"tone_percent": float("nan")}, _LIMITS]
)
def test_impossible_variations_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ProgressionError, match="expected"):
        Variation(**options)


def test_a_range_holds_the_middle_95_percent_and_the_value_itself() -> None:
    evenly = np.linspace(0, 100, 1001).tolist()
    actual = Range.of(50, evenly)
    assert (actual.low, actual.high) == pytest.approx((2.5, 97.5))
    assert Range.of(99, evenly).high == 99


@pytest.fixture
def bright_is_ill(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A server whose severity is the share of bright pixels; what a test puts in changes its findings."""
    changes: dict[str, Any] = {}

    class Client:
        def __init__(self, _url: str) -> None: ...
        def model(self) -> dict[str, str]:
            return MODEL

        def __enter__(self) -> Client:
            return self

        def __exit__(self, *_: object) -> None: ...

    def find(radiograph: Radiograph, _client: object, *, painted: bool, exact: bool) -> Answer:
        assert not painted
        assert not exact
        share = float((radiograph.pixels > 150).mean() * 100)
        stated = made_up(radiograph, severity_percent=share)
        return dataclasses.replace(stated, **{k: v() for k, v in changes.items()})

    monkeypatch.setattr(variants_module, "InfmapClient", Client)
    monkeypatch.setattr(variants_module, "find_infection", find)
    return changes


@pytest.fixture
def chest(tmp_path: Path) -> Path:
    path = tmp_path / "chest.png"
    cv2.imwrite(str(path), synthetic_radiograph(1, height=200, width=180).radiograph.pixels)
    return path


@pytest.mark.usefixtures("bright_is_ill")
def test_noise_is_measured_written_and_read_back(tmp_path: Path, chest: Path) -> None:
    (tmp_path / "notes.png").write_text("no picture")
    variation = Variation(variants=30, seed=5)
    noise, skipped = measure_noise([tmp_path / "notes.png", chest], url="", variation=variation)
    assert [Path(one.name).name for one in skipped] == ["notes.png"]
    (measured,) = noise.radiographs
    itself = cv2.imread(str(chest), cv2.IMREAD_GRAYSCALE)
    assert itself is not None
    assert measured.percent["total"] == pytest.approx((itself > 150).mean() * 100, abs=1e-3)
    by_hand = [(one > 150).mean() * 100 for one in variants(itself.astype(np.uint8), variation)]
    assert measured.variants_percent["total"] == pytest.approx(by_hand, abs=1e-3)
    assert measured.detected == 30
    write_noise(noise, tmp_path / "noise.json")
    assert Noise.read(tmp_path / "noise.json").as_json() == noise.as_json()


def test_a_server_that_changes_its_model_is_noticed(
    bright_is_ill: dict[str, Any], chest: Path
) -> None:
    models = iter([MODEL, {**MODEL, "model_version": "another"}])
    bright_is_ill["model"] = lambda: next(models)
    with pytest.raises(ProgressionError, match="changed its model"):
        measure_noise([chest], url="", variation=Variation(variants=20))


def test_a_variant_that_loses_its_lungs_measures_nothing(
    bright_is_ill: dict[str, Any], chest: Path
) -> None:
    # One lung white and one black, so that every total lies between them.
    field = np.zeros((224, 224), np.float32)
    field[:, :112] = 1
    actual = {"lungs": lung_answer(field, lungs() > 0, threshold=0.5)}
    parts = iter([actual, {}])
    bright_is_ill["parts"] = lambda: next(parts)
    with pytest.raises(ProgressionError, match="severity of a variant is of the image"):
        measure_noise([chest], url="", variation=Variation(variants=20))


@pytest.mark.usefixtures("bright_is_ill")
def test_no_radiograph_at_all_is_said() -> None:
    with pytest.raises(ProgressionError, match="found none"):
        measure_noise([], url="", variation=Variation())
