"""The gate stops every engine that decides otherwise, with the right reason."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from infmap_kit.errors import GateFailed
from infmap_kit.export.gate import compare


class _Brightness:
    """Probability = brightness, changed by ``change``."""

    def __init__(self, change: object = None) -> None:
        self._change = change

    def infer(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        probability = (images / 255).astype(np.float32)
        return self._change(probability) if callable(self._change) else probability


def _pictures() -> list[tuple[str, NDArray[np.uint8]]]:
    ill = np.zeros((224, 224), np.uint8)
    ill[50:150, 50:150] = 200
    well = np.full((224, 224), 40, np.uint8)
    faint = well.copy()
    faint[7, 7] = 129
    return [("ill", ill), ("well", well), ("faint", faint)]


def test_the_same_engine_passes() -> None:
    equivalence = compare(_Brightness(), _Brightness(), _pictures())
    equivalence.require()
    assert equivalence.dice == 1
    assert equivalence.largest_error == 0
    assert equivalence.images == 3


def test_a_flip_is_named() -> None:
    lowered = _Brightness(lambda p: p - np.float32(0.02))
    equivalence = compare(_Brightness(), lowered, _pictures())
    assert equivalence.flips == ("faint",)
    with pytest.raises(GateFailed, match=r"faint \(1 of 3"):
        equivalence.require()


def test_a_shifted_mask_fails_by_its_dice() -> None:
    shifted = _Brightness(lambda p: np.roll(p, 1, axis=2))
    equivalence = compare(_Brightness(), shifted, _pictures())
    assert equivalence.dice == pytest.approx(2 * (100 * 99) / (2 * 10001), abs=1e-3)
    with pytest.raises(GateFailed, match=r"Dice of at least 0\.999.*found 0\.9"):
        equivalence.require()


def test_nan_fails() -> None:
    def poisoned(probability: NDArray[np.float32]) -> NDArray[np.float32]:
        probability[0, 0, 0] = np.nan
        return probability

    with pytest.raises(GateFailed, match="NaN"):
        compare(_Brightness(), _Brightness(poisoned), _pictures()).require()


def test_severity_change_is_in_percentage_points() -> None:
    more = _Brightness(lambda p: np.where(p > 0.7, p, 0))
    equivalence = compare(_Brightness(), more, _pictures())
    assert equivalence.severity_change_percent == pytest.approx(100 / 224**2)
