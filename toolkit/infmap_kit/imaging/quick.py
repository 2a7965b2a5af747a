"""The shortest way from a file to the network's input, where the picture itself is not needed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from infmap_kit.imaging.network_input import network_input
from infmap_kit.imaging.radiograph import Radiograph
from infmap_kit.imaging.readers import decode, judge
from infmap_kit.model.spec import IMAGE_SIZE


def quick_input(content: bytes, name: str, image_size: int = IMAGE_SIZE) -> NDArray[np.uint8]:
    """The network's input of a file, JPEGs decoded at reduced scale.

    Returns
    -------
    NDArray
        (image_size, image_size) uint8; for a JPEG within 2 of 255 of the undiminished picture's, for other
        formats the same.

    Raises
    ------
    InputRejected
        As :func:`~infmap_kit.imaging.readers.decode_radiograph`.
    """
    return network_input(quick_radiograph(content, name, image_size).pixels, image_size)


def quick_radiograph(content: bytes, name: str, image_size: int = IMAGE_SIZE) -> Radiograph:
    """A radiograph that is only to become the network's input; its pixels may be halved already."""
    return judge(decode(content, name, image_size=image_size))
