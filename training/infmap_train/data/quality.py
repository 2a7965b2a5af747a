"""Measures by which radiographs are found that repeat others, or are not worth training on.

Every threshold was set on 2191 public chest radiographs (256 to 512 pixels): of all pairs, the same
picture differed in 26 of 255 bits and the next closest pair of different ones in 48; each measure
of quality leaves at least 99 % of them.
"""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
from numpy.typing import NDArray

from infmap_kit.imaging.network_input import network_input

HASH_SIDE = 16
"""Side of the square of low frequencies that a hash is made of; its first is left out."""

HASH_BYTES = HASH_SIDE**2 // 8
"""Bytes of a hash."""

SAME_PICTURE_BITS = 36
"""Two pictures whose hashes differ in at most so many of 255 bits are one."""

MIN_SIDE_PIXELS = 224
MAX_WHITE_SHARE = 0.30
MAX_BLACK_SHARE = 0.40
MIN_CONTRAST_LEVELS = 50
MIN_SHARPNESS = 10.0

_WHITE, _BLACK = 250, 5


def perceptual_hash(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Hash what a picture shows, whatever its size, compression and brightness.

    Parameters
    ----------
    pixels
        (H, W) uint8.

    Returns
    -------
    NDArray
        (32,) uint8, 255 bits: which low frequencies of the cosine transform are above the median.
    """
    small = cv2.resize(network_input(pixels), (64, 64), interpolation=cv2.INTER_AREA)
    low = cv2.dct(small.astype(np.float32))[:HASH_SIDE, :HASH_SIDE].ravel()[1:]
    return np.packbits(low > np.median(low))


def same_pictures(made: NDArray[np.uint8], hashes: NDArray[np.uint8]) -> list[int]:
    """Rows that show the same picture as another hash.

    Parameters
    ----------
    made
        (32,) uint8, of ``perceptual_hash``.
    hashes
        (N, 32) uint8.
    """
    bits = np.bitwise_count(hashes ^ made).sum(axis=1)
    return [int(row) for row in np.flatnonzero(bits <= SAME_PICTURE_BITS)]


def repeated_pictures(hashes: NDArray[np.uint8]) -> list[tuple[int, int]]:
    """Pairs of rows that show the same picture, the first of them first.

    Parameters
    ----------
    hashes
        (N, 32) uint8, of ``perceptual_hash``.
    """
    pairs = []
    for row in range(len(hashes) - 1):
        pairs += [(row, row + 1 + other) for other in same_pictures(hashes[row], hashes[row + 1 :])]
    return pairs


@dataclasses.dataclass(frozen=True, kw_only=True)
class Quality:
    """The quality measures of a radiograph.

    Parameters
    ----------
    side_pixels
        The shorter side of the file's picture.
    white_share, black_share
        Pixels at the ends of the gray scale, of all; over- and under-exposed where large.
    contrast_levels
        Gray levels between the 5th and the 95th percentile.
    sharpness
        Variance of the Laplacian at the networks' size.
    """

    side_pixels: int
    white_share: float
    black_share: float
    contrast_levels: float
    sharpness: float

    @classmethod
    def measure(cls, pixels: NDArray[np.uint8]) -> Quality:
        """Measure (H, W) uint8 pixels; all but the side at the networks' size."""
        small = network_input(pixels)
        low, high = np.percentile(small, [5, 95])
        return cls(
            side_pixels=min(pixels.shape),
            white_share=float((small >= _WHITE).mean()),
            black_share=float((small <= _BLACK).mean()),
            contrast_levels=float(high - low),
            sharpness=float(cv2.Laplacian(small, cv2.CV_64F).var()),
        )

    def complaints(self) -> list[str]:
        """The faults of the radiograph, each with its figure and the limit."""
        checks = (
            (
                self.side_pixels < MIN_SIDE_PIXELS,
                f"low resolution: {self.side_pixels} pixels, at least {MIN_SIDE_PIXELS} wanted",
            ),
            (
                self.white_share > MAX_WHITE_SHARE,
                f"over-exposed: {self.white_share:.0%} white, at most {MAX_WHITE_SHARE:.0%} wanted",
            ),
            (
                self.black_share > MAX_BLACK_SHARE,
                f"under-exposed: {self.black_share:.0%} black, at most {MAX_BLACK_SHARE:.0%} wanted",
            ),
            (
                self.contrast_levels < MIN_CONTRAST_LEVELS,
                (
                    f"low contrast: {self.contrast_levels:.0f} gray levels, at least "
                    f"{MIN_CONTRAST_LEVELS} wanted"
                ),
            ),
            (
                self.sharpness < MIN_SHARPNESS,
                f"blurred: sharpness {self.sharpness:.1f}, at least {MIN_SHARPNESS:.0f} wanted",
            ),
        )
        return [text for bad, text in checks if bad]
