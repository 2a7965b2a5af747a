"""Small pictures for the gallery."""

from __future__ import annotations

import functools
from pathlib import Path

import cv2
import numpy as np

from infmap_kit.errors import InputRejected
from infmap_kit.imaging.tone import eight_bits
from infmap_kit.results.view import RADIOGRAPH
from infmap_kit.view.gallery import MAP, Card, Gallery

SIZE_PIXELS = 176
"""Length of the longer side, which fits a card of the gallery."""

_QUALITY = 80
_KEPT = 2000


def thumbnail(gallery: Gallery, card: Card) -> bytes | None:
    """A JPEG of the map, or of the radiograph; ``None`` where there is neither, or none that can be read."""
    path = gallery.picture(card, MAP) or gallery.picture(card, RADIOGRAPH)
    if path is None:
        return None
    try:
        return _made(path, path.stat().st_mtime_ns)
    except (OSError, InputRejected):
        return None


@functools.lru_cache(maxsize=_KEPT)
def _made(path: Path, _written_ns: int) -> bytes | None:
    picture = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_ANYDEPTH | cv2.IMREAD_ANYCOLOR)
    if picture is None:
        return None
    shrink = SIZE_PIXELS / max(picture.shape[:2])
    if shrink < 1:
        picture = cv2.resize(picture, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
    if picture.dtype != np.uint8:
        picture = eight_bits(picture)[0]
    return cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1].tobytes()
