"""The radiographs that a measurement asks about."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from infmap_kit.errors import InputRejected
from infmap_kit.imaging.files import find_pictures
from infmap_kit.imaging.network_input import network_input
from infmap_kit.imaging.readers import decode_radiograph
from infmap_kit.imaging.synthetic.drawing import synthetic_radiograph

_SYNTHETIC_PICTURES = 4


@dataclasses.dataclass(frozen=True, kw_only=True)
class BenchPicture:
    """One radiograph in every form that a scope begins with.

    Parameters
    ----------
    name, media_type
        Name and format of the file.
    content
        The file's bytes.
    pixels
        (H, W) uint8.
    image
        (H, H) uint8 network input, of the paper's size unless :meth:`at` another.
    """

    name: str
    content: bytes
    pixels: NDArray[np.uint8]
    image: NDArray[np.uint8]
    media_type: str

    def at(self, image_size: int) -> Self:
        """The same for a network whose pictures have another size, in pixels."""
        return dataclasses.replace(self, image=network_input(self.pixels, image_size))

    @property
    def description(self) -> str:
        """Name, size and format."""
        height, width = self.pixels.shape
        return f"{self.name} {width}x{height} {self.media_type}"


def bench_pictures(files: Sequence[Path]) -> list[BenchPicture]:
    """Read radiographs; without any file, make synthetic ones of a megapixel, as JPEG.

    Raises
    ------
    InputRejected
        When a file is no suitable radiograph, or a folder holds none.
    """
    paths = find_pictures(files)
    if files and not paths:
        raise InputRejected(
            "empty", f"expected pictures in {', '.join(map(str, files))}, found none"
        )
    try:
        contents = [(path.name, path.read_bytes()) for path in paths]
    except OSError as error:
        raise InputRejected(
            "unreadable", f"cannot read {error.filename}: {error.strerror}"
        ) from error
    return [_picture(name, content) for name, content in contents or _synthetic()]


@functools.cache
def _synthetic() -> tuple[tuple[str, bytes], ...]:
    """Name and content of drawn JPEGs of a megapixel, which take seconds to draw: once in a process."""
    files = []
    for seed in range(_SYNTHETIC_PICTURES):
        pixels = synthetic_radiograph(seed).radiograph.pixels
        _, jpeg = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 90])
        files.append((f"synthetic-{seed}.jpg", jpeg.tobytes()))
    return tuple(files)


def _picture(name: str, content: bytes) -> BenchPicture:
    radiograph = decode_radiograph(content, name)
    return BenchPicture(
        name=name,
        content=content,
        pixels=radiograph.pixels,
        image=network_input(radiograph.pixels),
        media_type=radiograph.media_type,
    )
