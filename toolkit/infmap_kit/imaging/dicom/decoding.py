"""Stored pixel values of a data set, decoded by pydicom and its plug-ins after a look at the sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from infmap_kit.errors import InputRejected
from infmap_kit.imaging.dicom import codecs
from infmap_kit.imaging.dicom.codestream import (
    MAX_TILES,
    jpeg_2000_frame,
    jpeg_frame,
    refuse_long_rle,
)
from infmap_kit.imaging.radiograph import Reason

if TYPE_CHECKING:
    from pydicom import Dataset
    from pydicom.pixels.decoders.base import Decoder

_PREFERRED = (codecs.LABEL, "pyjpegls", "pillow", "pydicom", "pylibjpeg", "gdcm")
"""Decoders, the best maintained and quickest first."""


def stored_values(dataset: Dataset, native: memoryview | None = None) -> NDArray[Any]:
    """Decode the one frame of a gray picture.

    Parameters
    ----------
    dataset
        Data set that was accepted by its tags.
    native
        Its uncompressed pixel data, where they are not in the data set.

    Returns
    -------
    NDArray
        (rows, columns) uint8, uint16 or a signed type of that size, as stored: bits above the
        stored ones are left as they are.

    Raises
    ------
    InputRejected
        ``truncated``, ``unreadable`` or ``too-large``.
    """
    from pydicom.encaps import generate_frames

    syntax = dataset.file_meta.TransferSyntaxUID
    decoder = pixel_decoder(syntax)
    # Bits above the stored ones are the display's to judge; pydicom would cut off a lossy decoder's overshoot.
    options: dict[str, Any] = {"raw": True, "correct_unused_bits": False}
    if syntax.is_encapsulated:
        frame = next(generate_frames(dataset.PixelData, number_of_frames=1), b"")
        _refuse_codestream(frame, dataset)
        options["decoding_plugin"] = _plugin(decoder)
    else:
        pixels = dataset.PixelData if native is None else native
        _refuse_cut(dataset, len(pixels))
        # Bytes of a big-endian file are swapped in pairs where they stand in words: for pydicom.
        if native is not None and (syntax.is_little_endian or dataset.BitsAllocated == 16):
            return _as_they_lie(dataset, native, "<" if syntax.is_little_endian else ">")
        if native is not None:
            dataset.PixelData = bytes(native)
        options["view_only"] = True
    values, _ = decoder.as_array(dataset, **options)
    return np.asarray(values)


def pixel_decoder(syntax: str) -> Decoder:
    """Pydicom's decoder for a transfer syntax, knowing of our plug-in.

    Raises
    ------
    NotImplementedError
        When pydicom knows no pixels in that syntax.
    """
    from pydicom.pixels import get_decoder

    codecs.register()
    return get_decoder(syntax)


def decoder_name(dataset: Dataset) -> str:
    """Which plug-in decodes this, or ``none needed``."""
    syntax = dataset.file_meta.TransferSyntaxUID
    return _plugin(pixel_decoder(syntax)) if syntax.is_encapsulated else "none needed"


def _plugin(decoder: Decoder) -> str:
    available = decoder.available_plugins
    return next((name for name in _PREFERRED if name in available), available[0])


def _as_they_lie(dataset: Dataset, native: memoryview, order: str) -> NDArray[Any]:
    """Uncompressed values without a copy, which would cost as much as the rest."""
    shape = (dataset.Rows, dataset.Columns)
    kind = "i" if dataset.PixelRepresentation == 1 else "u"
    dtype = np.dtype(f"{order}{kind}{dataset.BitsAllocated // 8}")
    values = np.frombuffer(native, dtype, shape[0] * shape[1]).reshape(shape)
    return values.astype(dtype.newbyteorder("="), copy=False)


def _refuse_cut(dataset: Dataset, length: int) -> None:
    expected = dataset.Rows * dataset.Columns * dataset.BitsAllocated // 8
    if length < expected:
        raise InputRejected(
            Reason.TRUNCATED,
            f"the file ends in the middle of its {dataset.Columns}x{dataset.Rows} picture: fetch it "
            "again",
            found={"bytes": length, "expected_bytes": expected},
        )


def _refuse_codestream(frame: bytes, dataset: Dataset) -> None:
    from pydicom.uid import RLELossless

    if not frame:
        raise InputRejected(Reason.TRUNCATED, "the file ends before its picture: fetch it again")
    syntax = dataset.file_meta.TransferSyntaxUID
    if syntax == RLELossless:
        refuse_long_rle(frame, plane_bytes=dataset.Rows * dataset.Columns)
        return
    # The High-Throughput syntaxes are JPEG 2000 as well, and newer than pydicom's list of them.
    size = jpeg_2000_frame(frame) if "2000" in syntax.name else jpeg_frame(frame)
    if (size.width, size.height, size.components) != (dataset.Columns, dataset.Rows, 1):
        raise InputRejected(
            Reason.UNREADABLE,
            f"the tags announce {dataset.Columns}x{dataset.Rows} gray pixels, the compressed "
            f"picture {size.width}x{size.height} of {size.components} samples: damaged, or made to "
            "fill the memory",
            found={"width": size.width, "height": size.height, "samples": size.components},
        )
    if not 1 <= size.tiles <= MAX_TILES:
        raise InputRejected(Reason.UNREADABLE, f"found a JPEG 2000 of {size.tiles} tiles: damaged")
