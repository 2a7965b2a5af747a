"""Stored pixel values of a data set, decoded by pydicom and its plug-ins after a look at the sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from infmap_kit.errors import InputRejected
from infmap_kit.imaging.dicom import codecs
from infmap_kit.imaging.dicom.codestreams.fragments import only_frame
from infmap_kit.imaging.dicom.codestreams.jpeg import jpeg_frame
from infmap_kit.imaging.dicom.codestreams.jpeg_2000 import (
    bare_codestream,
    jpeg_2000_frame,
    refuse_many_parts,
    sample_format,
)
from infmap_kit.imaging.dicom.codestreams.rle import refuse_long_rle
from infmap_kit.imaging.radiograph import InputWarning, Reason, WarningCode

if TYPE_CHECKING:
    from pydicom import Dataset
    from pydicom.pixels.decoders.base import Decoder

_PREFERRED = (codecs.LABEL, "pyjpegls", "pillow", "pydicom", "pylibjpeg", "gdcm")
"""Decoders, the best maintained and quickest first."""


# Bits above the stored ones are the display's to judge; pydicom would cut off a lossy decoder's overshoot.
_AS_STORED: dict[str, Any] = {"raw": True, "correct_unused_bits": False}

_SPARE_BYTES = 2**20
"""What a compressed frame may hold beside its pixels; beyond these, noise grows by some hundredths."""


def stored_values(dataset: Dataset, native: memoryview | None = None) -> NDArray[Any]:
    """Decode the one frame of a gray picture.

    Parameters
    ----------
    dataset
        Data set that was accepted by its tags.
    native
        Its pixel data, where they are not in the data set.

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
    syntax = dataset.file_meta.TransferSyntaxUID
    pixels = dataset.PixelData if native is None else native
    if syntax.is_encapsulated:
        return _decoded(dataset, _checked_frame(dataset, pixels))
    _refuse_cut(dataset, len(pixels))
    # Bytes of a big-endian file are swapped in pairs where they stand in words: for pydicom.
    if native is not None and (syntax.is_little_endian or dataset.BitsAllocated == 16):
        return _as_they_lie(dataset, native, "<" if syntax.is_little_endian else ">")
    if native is not None:
        dataset.PixelData = bytes(native)
    values, _ = pixel_decoder(syntax).as_array(dataset, view_only=True, **_AS_STORED)
    return np.asarray(values)


def beyond_the_picture(
    dataset: Dataset, native: memoryview | None = None
) -> tuple[InputWarning, ...]:
    """Warn where uncompressed pixel data go on behind the picture: with too few Columns it would be sheared.

    A single byte makes their length even (PS3.5, 8.1.1). The parameters are those of :func:`stored_values`.
    """
    if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        return ()
    left = len(dataset.PixelData if native is None else native) - _picture_bytes(dataset)
    if left <= 1:
        return ()
    text = (
        f"the pixel data hold {left} bytes more than the {dataset.Columns}x{dataset.Rows} picture that the "
        "tags announce: look whether it is whole and straight"
    )
    return (InputWarning(WarningCode.BEYOND_THE_PICTURE, text),)


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
    """The name of the plug-in that decodes this, or ``none needed``."""
    syntax = dataset.file_meta.TransferSyntaxUID
    return _plugin(pixel_decoder(syntax)) if syntax.is_encapsulated else "none needed"


def _plugin(decoder: Decoder) -> str:
    available = decoder.available_plugins
    return next((name for name in _PREFERRED if name in available), available[0])


def _decoded(dataset: Dataset, frame: bytes) -> NDArray[Any]:
    from pydicom.encaps import encapsulate

    decoder = pixel_decoder(dataset.file_meta.TransferSyntaxUID)
    plugin = _plugin(decoder)
    if plugin == codecs.LABEL:
        # Not by way of pydicom, which copies the frame twice, and the picture three times.
        syntax = dataset.file_meta.TransferSyntaxUID
        values = codecs.decoded(frame, syntax, bits_allocated=dataset.BitsAllocated)
        kind = "i" if dataset.PixelRepresentation == 1 else "u"
        values = values.view(f"{kind}{values.dtype.itemsize}")
        if "2000" in syntax.name:
            values = _signed_as_tagged(values, frame)
        return values.reshape(dataset.Rows, dataset.Columns)
    dataset.PixelData = encapsulate([frame])
    values, _ = decoder.as_array(dataset, decoding_plugin=plugin, **_AS_STORED)
    return np.asarray(values)


def _signed_as_tagged(values: NDArray[Any], frame: bytes) -> NDArray[Any]:
    """Samples of a JPEG 2000 whose own word on their sign may be another than the tag's, which decides.

    Of such a sample its bits count, as pydicom has it too: encoders are met that write all as unsigned.
    """
    bits, is_signed = sample_format(frame)
    if is_signed == (values.dtype.kind == "i"):
        return values
    above = 8 * values.dtype.itemsize - bits
    # Shifted up and down again the bits above become copies of the sign, or zeros.
    return (values << above) >> above


def _as_they_lie(dataset: Dataset, native: memoryview, order: str) -> NDArray[Any]:
    """Uncompressed values without a copy, which would cost as much as the rest."""
    shape = (dataset.Rows, dataset.Columns)
    kind = "i" if dataset.PixelRepresentation == 1 else "u"
    dtype = np.dtype(f"{order}{kind}{dataset.BitsAllocated // 8}")
    values = np.frombuffer(native, dtype, shape[0] * shape[1]).reshape(shape)
    return values.astype(dtype.newbyteorder("="), copy=False)


def _picture_bytes(dataset: Dataset) -> int:
    """Bytes of one uncompressed picture."""
    return int(dataset.Rows * dataset.Columns * dataset.BitsAllocated // 8)


def _refuse_cut(dataset: Dataset, length: int) -> None:
    expected = _picture_bytes(dataset)
    if length < expected:
        raise InputRejected(
            Reason.TRUNCATED,
            f"the file ends in the middle of its {dataset.Columns}x{dataset.Rows} picture: fetch it "
            "again",
            found={"bytes": length, "expected_bytes": expected},
        )


def _checked_frame(dataset: Dataset, items: bytes | memoryview) -> bytes:
    """The codestream of the one frame, which is as large as the tags say."""
    from pydicom.uid import RLELossless

    syntax = dataset.file_meta.TransferSyntaxUID
    frame = only_frame(items, max_bytes=_picture_bytes(dataset) * 5 // 4 + _SPARE_BYTES)
    if not frame:
        raise InputRejected(Reason.TRUNCATED, "the file ends before its picture: fetch it again")
    if syntax == RLELossless:
        refuse_long_rle(frame, plane_bytes=dataset.Rows * dataset.Columns)
        return frame
    # The High-Throughput syntaxes are JPEG 2000 as well, and newer than pydicom's list of them.
    is_2000 = "2000" in syntax.name
    frame = bare_codestream(frame) if is_2000 else frame
    size = jpeg_2000_frame(frame) if is_2000 else jpeg_frame(frame)
    if (size.width, size.height, size.components) != (dataset.Columns, dataset.Rows, 1):
        raise InputRejected(
            Reason.UNREADABLE,
            f"the tags announce {dataset.Columns}x{dataset.Rows} gray pixels, the compressed "
            f"picture {size.width}x{size.height} of {size.components} samples: damaged, or made to "
            "fill the memory",
            found={"width": size.width, "height": size.height, "samples": size.components},
        )
    if is_2000:
        refuse_many_parts(frame)
    return frame
