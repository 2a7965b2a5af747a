"""Pictures, probabilities and masks in a bundle, each a PNG of the network's size."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from infmap_kit.errors import BundleError
from infmap_kit.model.spec import IMAGE_SIZE

_LEVELS = 2**16


def steps(probability: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Probabilities in steps of 1/65536, each value in the step's middle: no side of 0.5 is changed."""
    return np.minimum(np.floor(probability.astype(np.float64) * _LEVELS), _LEVELS - 1).astype(
        np.uint16
    )


def probability_of(steps: NDArray[np.uint16]) -> NDArray[np.float32]:
    """The middle of each step."""
    return ((steps.astype(np.float64) + 0.5) / _LEVELS).astype(np.float32)


def packed(pixels: NDArray[Any]) -> bytes:
    """As PNG."""
    return cv2.imencode(".png", pixels)[1].tobytes()


def unpacked(path: Path, files: Mapping[str, bytes], name: str, dtype: type[Any]) -> NDArray[Any]:
    """A picture out of a bundle's files.

    Raises
    ------
    BundleError
        When it is missing, or none of that type and of the network's size.
    """
    content = files.get(name, b"")
    # Width and height of a PNG stand at this place: what claims to be larger is not unpacked.
    sized = content[16:24] == 2 * IMAGE_SIZE.to_bytes(4, "big")
    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED) if sized else None
    if pixels is None or pixels.dtype != dtype or pixels.ndim != 2:
        raise BundleError(f"{path} has no picture {name} as a bundle should: bundle the run again")
    return pixels
