"""A decoding plug-in for pydicom: every JPEG of DICOM by libjpeg-turbo, through imagecodecs.

pydicom brings plug-ins for GDCM, which knows no 12 bit JPEG, and for pylibjpeg-libjpeg, which is GPL.
libjpeg-turbo 3 decodes baseline, extended (12 bits) and lossless (to 16 bits).
The shape of this module is pydicom's (its guide to decoding plug-ins).
"""

from __future__ import annotations

import importlib.util
import threading
from typing import Any

import numpy as np

LABEL = "imagecodecs"
SYNTAXES = (
    "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.4.51",
    "1.2.840.10008.1.2.4.57",
    "1.2.840.10008.1.2.4.70",
)
"""JPEG baseline, extended, lossless, and lossless of first order."""

DECODER_DEPENDENCIES = dict.fromkeys(SYNTAXES, ("numpy", "imagecodecs>=2024.9"))

_lock = threading.Lock()


def is_available(uid: str) -> bool:
    """Whether imagecodecs is installed and the syntax one of a JPEG."""
    return uid in SYNTAXES and importlib.util.find_spec("imagecodecs") is not None


def decode_frame(source: bytes, runner: Any) -> bytearray:
    """Decode one frame.

    Parameters
    ----------
    source
        A JPEG.
    runner
        pydicom's decode runner; told how many bits its samples have now.
    """
    from imagecodecs import jpeg8_decode

    frame = np.ascontiguousarray(jpeg8_decode(source))
    runner.set_option("bits_allocated", 8 * frame.dtype.itemsize)
    return bytearray(frame.astype(frame.dtype.newbyteorder("<"), copy=False).tobytes())


def register() -> None:
    """Tell pydicom of this plug-in; as often as one likes."""
    from pydicom.pixels import get_decoder

    with _lock:
        for syntax in SYNTAXES:
            decoder = get_decoder(syntax)
            if is_available(syntax) and LABEL not in decoder.available_plugins:
                decoder.add_plugin(LABEL, (__name__, decode_frame.__name__))
