"""JPEG and JPEG-LS inside DICOM."""

from __future__ import annotations

from infmap_kit.imaging.dicom.codestreams.frame_size import FrameSize, whole_header
from infmap_kit.imaging.headers import jpeg


def jpeg_frame(codestream: bytes) -> FrameSize:
    """Read the frame header of a JPEG or JPEG-LS.

    Raises
    ------
    InputRejected
        ``unreadable`` when there is none, or one that could be read in two ways; ``truncated`` when it is cut.
    """
    with whole_header():
        frame = jpeg.jpeg_frame(codestream, also_jpeg_ls=True)
    return FrameSize(width=frame.width, height=frame.height, components=frame.components)
