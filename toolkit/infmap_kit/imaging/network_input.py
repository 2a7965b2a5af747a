"""The input of every network, made of a radiograph's pixels by the only resize in the project."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from infmap_kit.model.spec import IMAGE_SIZE


def network_input(pixels: NDArray[np.uint8], image_size: int = IMAGE_SIZE) -> NDArray[np.uint8]:
    """Resize a radiograph, (H, W) uint8, bright = dense, to a network's input size in pixels.

    Training, serving, benchmarks and tests all call this function, so that a network never
    meets pictures that were made smaller in another way than those it learnt from.

    Returns
    -------
    NDArray
        (image_size, image_size) uint8. The aspect ratio is not kept, as in the paper (III-A). ``INTER_AREA``
        averages the pixels that fall together, which is what a detector with larger elements
        would have measured; other filters alias ribs and grids.

        Pictures that are larger by far are halved first: an average too, and OpenCV's quick one,
        so that a megapixel takes a third of the time. On real radiographs of 1024x1024 the result
        is 0.2 of 255 from that of one single step on average, and up to 10 at burned-in letters.
    """
    height, width = pixels.shape
    if (height, width) == (image_size, image_size):
        return pixels
    for _ in range(halvings(height, width, image_size)):
        height, width = height // 2, width // 2
        pixels = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA).astype(
            np.uint8, copy=False
        )
    resized = cv2.resize(pixels, (image_size, image_size), interpolation=cv2.INTER_AREA)
    return resized.astype(np.uint8, copy=False)


def halvings(height: int, width: int, image_size: int = IMAGE_SIZE) -> int:
    """Number of times that a picture of this size is halved before the last step to the network's size."""
    count = 0
    while min(height, width) >= 4 * image_size and height % 2 == width % 2 == 0:
        height, width, count = height // 2, width // 2, count + 1
    return count


def network_mask(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Bring a mask, (H, W) uint8, 0 or 255, to (224, 224) uint8, 0 or 1, by averaging; half counts."""
    return (network_input(mask) >= 128).astype(np.uint8)
