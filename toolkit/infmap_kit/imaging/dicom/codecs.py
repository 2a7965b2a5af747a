"""A decoding plug-in for pydicom: every compressed syntax of radiographs, through imagecodecs.

One package with well-maintained codecs (libjpeg-turbo, CharLS, OpenJPEG) instead of pydicom's five
plug-ins: of those, GDCM knows no 12 bit JPEG, pylibjpeg-libjpeg is GPL, and pylibjpeg-rle ends damaged
files with an exception that is none of Python's own ``Exception``.
The shape of this module is pydicom's (its guide to decoding plug-ins).
"""

from __future__ import annotations

import importlib.util
import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

LABEL = "imagecodecs"

_PREFIX = "1.2.840.10008.1.2."
_CODECS = {
    # Baseline, extended (12 bits), lossless, lossless of first order.
    "jpeg8_decode": ("4.50", "4.51", "4.57", "4.70"),
    "jpegls_decode": ("4.80", "4.81"),
    # The last three are high throughput: lossless, lossless with RPCL, lossy. OpenJPEG refuses cut and damaged
    # ones, of which OpenJPH gives a part of the picture.
    "jpeg2k_decode": ("4.90", "4.91", "4.201", "4.202", "4.203"),
    "dicomrle_decode": ("5",),
}
_CODEC_OF = {f"{_PREFIX}{end}": codec for codec, ends in _CODECS.items() for end in ends}

DECODER_DEPENDENCIES = dict.fromkeys(_CODEC_OF, ("numpy", "imagecodecs>=2024.9"))

_lock = threading.Lock()
_registered = False


def is_available(uid: str) -> bool:
    """Whether imagecodecs is installed and knows the syntax."""
    return uid in _CODEC_OF and importlib.util.find_spec("imagecodecs") is not None


def decoded(frame: bytes, syntax: str, *, bits_allocated: int) -> NDArray[Any]:
    """Decode one frame of gray values.

    Parameters
    ----------
    frame
        Its codestream.
    syntax
        A transfer syntax that :func:`is_available` knows.
    bits_allocated
        Of the data set; RLE does not say it itself.

    Returns
    -------
    NDArray
        The values in the machine's byte order, of as many bits as the codestream has; of RLE flat.
    """
    import imagecodecs

    codec = _CODEC_OF[syntax]
    decode = getattr(imagecodecs, codec)
    if codec == "dicomrle_decode":
        dtype = np.dtype(f"<u{bits_allocated // 8}")
        return np.frombuffer(decode(frame, dtype), dtype)
    return np.ascontiguousarray(decode(frame))


def decode_frame(source: bytes, runner: Any) -> bytearray:
    """Decode one frame of gray values, and set in pydicom's runner how many bits its samples have now."""
    values = decoded(source, str(runner.transfer_syntax), bits_allocated=runner.bits_allocated)
    runner.set_option("bits_allocated", 8 * values.dtype.itemsize)
    return bytearray(values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes())


def register() -> None:
    """Add this plug-in to pydicom, unless that was done before."""
    global _registered
    from pydicom.pixels import get_decoder

    with _lock:
        if _registered:
            return
        for syntax in filter(is_available, _CODEC_OF):
            get_decoder(syntax).add_plugin(LABEL, (__name__, decode_frame.__name__))
        _registered = True
