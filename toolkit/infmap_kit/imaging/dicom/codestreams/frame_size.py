"""The size of its picture that every codestream states in its header."""

from __future__ import annotations

import contextlib
import dataclasses
import struct
from collections.abc import Iterator

from infmap_kit.errors import InputRejected
from infmap_kit.imaging.radiograph import Reason


@dataclasses.dataclass(frozen=True, kw_only=True)
class FrameSize:
    """Width and height in pixels, and samples a pixel."""

    width: int
    height: int
    components: int


@contextlib.contextmanager
def whole_header() -> Iterator[None]:
    """Refuse what ends inside a header."""
    try:
        yield
    except struct.error as error:
        text = "the file ends inside its picture's header: fetch it again"
        raise InputRejected(Reason.TRUNCATED, text) from error
