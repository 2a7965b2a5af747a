"""Stored pixel values of a data set, decoded by pydicom and its plug-ins after a look at the sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from infmap_kit.errors import InputRejected
from infmap_kit.imaging.codestream import (
    MAX_TILES,
    FrameSize,
    jpeg_2000_frame,
    jpeg_frame,
    refuse_long_rle,
)
from infmap_kit.imaging.radiograph import Reason

if TYPE_CHECKING:
    from pydicom import Dataset

# Which decoder first: the one that is best kept, and quickest, for each codec.
_PREFERRED = ("pillow", "pyjpegls", "pylibjpeg", "pydicom", "gdcm")
# Pillow gives 8 bits only, and JPEG 2000 of 16 bits through it is slower than OpenJPEG itself.
_PREFERRED_JPEG_2000 = ("pylibjpeg", "pillow", "gdcm")


def stored_values(dataset: Dataset) -> NDArray[Any]:
    """Decode the one frame of a gray picture.

    Parameters
    ----------
    dataset
        That was accepted by its tags.

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
    from pydicom.pixels import get_decoder

    syntax = dataset.file_meta.TransferSyntaxUID
    decoder = get_decoder(syntax)
    options: dict[str, Any] = {"raw": True}
    if syntax.is_encapsulated:
        frame = next(generate_frames(dataset.PixelData, number_of_frames=1), b"")
        _refuse_codestream(frame, dataset)
        options["decoding_plugin"] = _plugin(decoder.available_plugins, syntax)
    else:
        _refuse_cut(dataset)
        options["view_only"] = True
    values, _ = decoder.as_array(dataset, **options)
    return np.asarray(values)


def decoder_name(dataset: Dataset) -> str:
    """Which of pydicom's plug-ins decodes this, or ``none needed``."""
    from pydicom.pixels import get_decoder

    syntax = dataset.file_meta.TransferSyntaxUID
    if not syntax.is_encapsulated:
        return "none needed"
    return _plugin(get_decoder(syntax).available_plugins, syntax)


def _plugin(available: tuple[str, ...], syntax: Any) -> str:
    from pydicom.uid import JPEG2000TransferSyntaxes, JPEGExtended12Bit

    order = _PREFERRED_JPEG_2000 if syntax in JPEG2000TransferSyntaxes else _PREFERRED
    if syntax == JPEGExtended12Bit and "gdcm" in available:
        return "gdcm"
    return next((name for name in order if name in available), available[0])


def _refuse_cut(dataset: Dataset) -> None:
    expected = dataset.Rows * dataset.Columns * dataset.BitsAllocated // 8
    if len(dataset.PixelData) < expected:
        raise InputRejected(
            Reason.TRUNCATED,
            f"the file ends in the middle of its {dataset.Columns}x{dataset.Rows} picture: fetch it "
            "again",
            found={"bytes": len(dataset.PixelData), "expected_bytes": expected},
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
    expected = FrameSize(width=dataset.Columns, height=dataset.Rows, components=1)
    if (size.width, size.height, size.components) != (expected.width, expected.height, 1):
        raise InputRejected(
            Reason.UNREADABLE,
            f"the tags announce {expected.width}x{expected.height} gray pixels, the compressed "
            f"picture {size.width}x{size.height} of {size.components} samples: damaged, or made to "
            "fill the memory",
            found={"width": size.width, "height": size.height, "samples": size.components},
        )
    if not 1 <= size.tiles <= MAX_TILES:
        raise InputRejected(Reason.UNREADABLE, f"found a JPEG 2000 of {size.tiles} tiles: damaged")
