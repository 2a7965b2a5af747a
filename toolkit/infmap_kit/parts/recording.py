"""Pictures, probabilities and small documents of a bundle, each a file of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from infmap_kit.errors import BundleError
from infmap_kit.model.files import parse_json
from infmap_kit.model.spec import IMAGE_SIZE

_LEVELS = 2**16


class Recording:
    """The files of a bundle about one of its pictures.

    Parameters
    ----------
    path
        The bundle, for messages.
    files
        Name to content, of the whole bundle.
    number
        The picture's number, from 1.
    """

    def __init__(self, path: Path, files: Mapping[str, bytes], number: int) -> None:
        self._path = path
        self._files = files
        self._number = number

    def picture(self, folder: str, dtype: type[Any]) -> NDArray[Any]:
        """The (224, 224) picture in a folder.

        Raises
        ------
        BundleError
            When it is missing, or is not of that type and of the network's size.
        """
        name = f"{folder}/{self._number:04}.png"
        content = self._files.get(name, b"")
        pixels = None
        # Width and height of a PNG stand at this place: what claims to be larger is not unpacked.
        if content[16:24] == 2 * IMAGE_SIZE.to_bytes(4, "big"):
            pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
        if pixels is None or pixels.dtype != dtype or pixels.ndim != 2:
            raise BundleError(
                f"{self._path} has no picture {name} as a bundle should: bundle the run again"
            )
        return pixels

    def probability(self, folder: str) -> NDArray[np.float32]:
        """Probabilities that :func:`packed_probability` wrote: the middle of each step."""
        steps = self.picture(folder, np.uint16).astype(np.float64)
        return ((steps + 0.5) / _LEVELS).astype(np.float32)

    def number(self, folder: str, *, least: float = 0.0) -> float:
        """The number in a JSON file, a probability or one of which 1 is the most as well.

        Raises
        ------
        BundleError
            When the file is missing or holds no number of ``least`` to 1.
        """
        name = f"{folder}/{self._number:04}.json"
        try:
            value = parse_json(self._files[name])
        except (KeyError, ValueError) as error:
            raise BundleError(
                f"{self._path} has no readable {name}: bundle the run again"
            ) from error
        if not isinstance(value, float | int) or not least <= value <= 1:
            raise BundleError(
                f"expected a number of {least:g} to 1 in {name} of {self._path}, found {value!r}"
            )
        return float(value)


def packed(pixels: NDArray[Any]) -> bytes:
    """A picture as PNG."""
    return cv2.imencode(".png", pixels)[1].tobytes()


def packed_probability(probability: NDArray[np.float32]) -> bytes:
    """Probabilities as PNG in steps of 1/65536, each read as its middle, so that no side of 0.5 changes."""
    steps = np.floor(probability.astype(np.float64) * _LEVELS)
    return packed(np.minimum(steps, _LEVELS - 1).astype(np.uint16))
