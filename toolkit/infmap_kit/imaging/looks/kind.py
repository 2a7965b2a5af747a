"""The distance of a picture from all that chest radiographs look like, whatever it shows instead.

Radiographs of chests, shrunk to 32x32, are nearly sums of a few dozen pictures, their principal components.
What is left of a picture after these are taken out is small for a chest and large for most else; nothing had to
be learnt about what else there is. How much it notices: docs/looks.md.
"""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from infmap_kit.imaging.looks.laterality import network_view, standardised
from infmap_kit.imaging.radiograph import InputWarning, WarningCode

COMPONENTS = Path(__file__).with_name("kind.npz")

_SIZE = 32


@dataclasses.dataclass(frozen=True, eq=False)
class Kind:
    """The features that chests have in common: a mean and principal components.

    Parameters
    ----------
    mean
        (1024,) float32, the mean chest.
    components
        (K, 1024) float32, orthonormal.
    strange_above
        The share that is left of 1 of 100 chests.
    """

    mean: NDArray[np.float32]
    components: NDArray[np.float32]
    strange_above: float

    @classmethod
    def read(cls, path: Path) -> Kind:
        """Read what ``scripts/fit_kind.py`` wrote; nothing in it is executed."""
        with np.load(path, allow_pickle=False) as stored:
            return cls(
                stored["mean"].astype(np.float32),
                stored["components"].astype(np.float32),
                float(stored["strange_above"]),
            )

    def left_over(self, shown: NDArray[np.float32]) -> float:
        """Share of a picture, (1024,) float32 from :func:`kind_view`, that no sum of components gives."""
        centred = shown - self.mean
        known = self.components @ centred
        return float((centred @ centred - known @ known) / shown.size)


def strangeness(pixels: NDArray[np.uint8]) -> float:
    """The strangeness of an upright picture, (H, W) uint8, beside chests: above 1 as 1 of 100 of them is."""
    return _strangeness(network_view(pixels))


def judge_kind(view: NDArray[np.float32]) -> tuple[InputWarning, ...]:
    """Warn of a picture, by its (64, 64) float32 view, that is strange beside chests."""
    strange = _strangeness(view)
    if strange <= 1:
        return ()
    text = (
        f"the picture is unlike the chests that are known (strangeness {strange:.1f}, above 1 as 1 of 100 "
        "chests is): look whether it is an upright frontal chest"
    )
    return (InputWarning(WarningCode.UNLIKE_A_CHEST, text),)


def kind_view(view: NDArray[np.float32]) -> NDArray[np.float32]:
    """(1024,) float32 of mean 0 and deviation 1, from what the networks of the side see, (64, 64)."""
    small = cv2.resize(view, (_SIZE, _SIZE), interpolation=cv2.INTER_AREA)
    return standardised(np.asarray(small, np.float32)).ravel()


def _strangeness(view: NDArray[np.float32]) -> float:
    fitted = _fitted()
    return fitted.left_over(kind_view(view)) / fitted.strange_above


@functools.cache
def _fitted() -> Kind:
    return Kind.read(COMPONENTS)
