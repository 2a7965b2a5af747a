"""JPEG and JPEG-LS inside DICOM."""

from __future__ import annotations

from infmap_kit.errors import InputRejected
from infmap_kit.imaging.dicom.codestreams.frame_size import FrameSize, whole_header
from infmap_kit.imaging.headers import jpeg
from infmap_kit.imaging.radiograph import Reason


def jpeg_frame(codestream: bytes) -> FrameSize:
    """Read the frame header of a JPEG or JPEG-LS.

    Raises
    ------
    InputRejected
        ``unreadable`` when there is none, or one that could be read in two ways; ``truncated`` when it is cut,
        or the picture behind it: decoders would make up the rest.
    """
    with whole_header():
        frame = jpeg.jpeg_frame(codestream, also_jpeg_ls=True)
    if not frame.complete:
        raise InputRejected(
            Reason.TRUNCATED,
            "the compressed picture has no end: fetch it again",
            found={"missing": "the JPEG's end of image"},
        )
    return FrameSize(width=frame.width, height=frame.height, components=frame.components)
