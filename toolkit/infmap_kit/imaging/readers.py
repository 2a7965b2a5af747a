"""Reading a file into a radiograph or a rejection, in two steps: :func:`decode`, then :func:`judge`."""

from __future__ import annotations

import contextlib
import dataclasses
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from infmap_kit.errors import InputRejected
from infmap_kit.imaging.dicom.dataset import content_of
from infmap_kit.imaging.dicom.reader import decode_dicom
from infmap_kit.imaging.headers.jpeg import JPEG_SIGNATURE
from infmap_kit.imaging.headers.png import PNG_SIGNATURE
from infmap_kit.imaging.headers.tiff import TIFF_SIGNATURES
from infmap_kit.imaging.looks.judging import judge_picture
from infmap_kit.imaging.radiograph import MAX_FILE_BYTES, Radiograph, Reason
from infmap_kit.imaging.raster import decode_raster

if TYPE_CHECKING:
    from pydicom import Dataset

SIGNATURE_BYTES = 132
"""Bytes of a file's beginning that decide its format: DICOM's mark is the last, at 128."""

_RASTER_SIGNATURES = (PNG_SIGNATURE, JPEG_SIGNATURE, *TIFF_SIGNATURES)

# Met in practice; the name makes obvious what to do.
_OTHER_FORMATS = {
    b"GIF8": "a GIF",
    b"BM": "a BMP",
    b"RIFF": "a WebP or another RIFF file",
    b"%PDF": "a PDF",
    b"PK\x03\x04": "a ZIP archive",
    b"\x1f\x8b": "a gzip archive",
    b"\x00\x00\x00\x0cjP": "a JPEG 2000 file",
    b"II+\0": "a BigTIFF",
    b"MM\0+": "a BigTIFF",
}


def read_radiograph(
    source: Path | BinaryIO | Dataset, *, name: str = "", secondary_capture: bool = False
) -> Radiograph:
    """Read a suitable radiograph from a PNG, JPEG, TIFF or DICOM file; its suffix is not looked at.

    Parameters
    ----------
    source
        The file, an open binary file that is read to its end, or a DICOM data set with its pixels, which stays
        as it is.
    name
        The radiograph's name, also in messages; a file's own where none is given.
    secondary_capture
        Whether DICOM secondary captures of radiographs are read too.

    Raises
    ------
    InputRejected
        As by :func:`read_content`, :func:`~infmap_kit.imaging.dicom.dataset.content_of` and
        :func:`decode_radiograph`.
    TypeError
        For a source of another kind, such as the path as text.
    """
    if isinstance(source, Path):
        content = read_content(source)
        name, file = name or source.name, name or str(source)
    else:
        name = file = name or "the radiograph"
        with _named(file):
            content = _content_in_memory(source)
    return decode_radiograph(content, name, secondary_capture=secondary_capture, file=file)


def decode_file(path: Path) -> Radiograph:
    """Read a file and :func:`decode` it, without judging it; messages begin with the path."""
    return decode(read_content(path), path.name, file=str(path))


def decode_radiograph(
    content: bytes, name: str, *, secondary_capture: bool = False, file: str = ""
) -> Radiograph:
    """Decode a file's bytes (:func:`decode`), and judge whether it is a suitable radiograph (:func:`judge`).

    Parameters
    ----------
    content, name, secondary_capture, file
        As for :func:`decode`.

    Raises
    ------
    InputRejected
        As by :func:`decode` and :func:`judge`.
    """
    radiograph = decode(content, name, secondary_capture=secondary_capture, file=file)
    return judge(radiograph, file=file)


def decode(
    content: bytes,
    name: str,
    *,
    secondary_capture: bool = False,
    image_size: int | None = None,
    file: str = "",
) -> Radiograph:
    """Decode a file's bytes to gray pixels: the one way in, for training as for serving.

    Whether the picture is a chest, the right way round and without colours is not asked. A DICOM file is
    refused all the same where its tags rule that out, before its pixels are decoded.

    Parameters
    ----------
    content
        The content of a PNG, JPEG, TIFF or DICOM file; its first bytes decide which.
    name
        The radiograph's name.
    secondary_capture
        Whether DICOM secondary captures of radiographs are read too.
    image_size
        The network's size in pixels, where its input is all that is made of it: a JPEG's pixels may then come
        halved, see :func:`~infmap_kit.imaging.raster.decode_raster`.
    file
        Its name in messages, when that is another, such as a path.

    Raises
    ------
    InputRejected
        With a code of :class:`~infmap_kit.imaging.radiograph.Reason`; the message begins with the
        name.
    """
    with _named(file or name):
        if not content:
            raise InputRejected(Reason.EMPTY, "expected a picture, found an empty file")
        # DICOM first: its 128 free bytes may hold another format's signature.
        if is_dicom(content):
            return decode_dicom(content, name, secondary_capture=secondary_capture)
        if content.startswith(_RASTER_SIGNATURES):
            return decode_raster(content, name, image_size=image_size)
        raise InputRejected(
            Reason.UNKNOWN_FORMAT, f"expected PNG, JPEG, TIFF or DICOM, found {_described(content)}"
        )


def judge(radiograph: Radiograph, *, file: str = "") -> Radiograph:
    """Refuse a decoded radiograph that is not suitable; give it back with warnings of what is doubtful.

    Parameters
    ----------
    radiograph
        A radiograph from :func:`decode`.
    file
        Its name in messages, when that is another.

    Raises
    ------
    InputRejected
        ``multi-frame``, ``colour``, ``blank`` or ``polarity``; the message begins with the name.
    """
    with _named(file or radiograph.name):
        if radiograph.objections:
            raise radiograph.objections[0]
        warnings = judge_picture(radiograph.pixels, turned_over=radiograph.orientation.mirrored)
    return dataclasses.replace(radiograph, warnings=radiograph.warnings + warnings)


def has_picture_signature(start: bytes) -> bool:
    """Whether a file that starts so (``SIGNATURE_BYTES`` of it) is in a supported format."""
    return is_dicom(start) or start.startswith(_RASTER_SIGNATURES)


def is_dicom(start: bytes) -> bool:
    """Whether a file that starts so is DICOM: by its mark, or by a first element without preamble."""
    if start[128:132] == b"DICM":
        return True
    # Without preamble it begins with an element of group 2 or 8 whose number is small, little-endian.
    return len(start) >= 8 and start[:2] in (b"\x02\x00", b"\x08\x00") and start[3] == 0


def read_content(path: Path) -> bytes:
    """Read a picture file whole, if it is a file and of a sensible size.

    Raises
    ------
    InputRejected
        ``missing``, ``not-a-file``, ``too-large`` or ``unreadable``; the message begins with the
        path.
    """
    with _named(str(path)):
        try:
            status = path.stat()
            if not stat.S_ISREG(status.st_mode):
                raise InputRejected(Reason.NOT_A_FILE, _no_file(path, status.st_mode))
            _refuse_bytes(status.st_size)
            return path.read_bytes()
        except FileNotFoundError as error:
            text = "expected a picture file, there is no such file: check the path"
            raise InputRejected(Reason.MISSING, text) from error
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise InputRejected(Reason.UNREADABLE, f"cannot be read: {reason}") from error


def _no_file(path: Path, mode: int) -> str:
    wanted = "PNG, JPEG, TIFF or DICOM"
    if not stat.S_ISDIR(mode):
        return f"expected a {wanted} file, found a pipe, socket or device: save it as a file"
    if not any(path.iterdir()):
        return (
            f"expected a {wanted} file, found an empty folder: check the path, or put files into it"
        )
    return (
        f"expected a {wanted} file, found a folder: name files in it, or a folder with such files"
    )


def _content_in_memory(source: BinaryIO | Dataset) -> bytes:
    if hasattr(source, "read"):
        return _read_whole(source)
    from pydicom import Dataset

    if isinstance(source, Dataset):
        return content_of(source)
    raise TypeError(
        f"expected a pathlib.Path, an open binary file or a pydicom.Dataset, found {type(source).__name__}"
    )


def _read_whole(file: BinaryIO) -> bytes:
    """Read an open file to its end, and not a byte more than a picture file may have."""
    try:
        content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise InputRejected(Reason.UNREADABLE, f"cannot be read: {reason}") from error
    if not isinstance(content, bytes):
        raise TypeError("expected a file that was opened in binary mode ('rb'), found a text file")
    _refuse_bytes(len(content))
    return content


def _refuse_bytes(size: int) -> None:
    if size > MAX_FILE_BYTES:
        # Rounded up, so that no file of 128 MiB and a byte is said to have 128.
        limit, found = MAX_FILE_BYTES >> 20, -(-size >> 20)
        raise InputRejected(Reason.TOO_LARGE, f"expected at most {limit} MiB, found {found} MiB")


@contextlib.contextmanager
def _named(file: str) -> Iterator[None]:
    """Let what is refused inside begin with the file's name."""
    try:
        yield
    except InputRejected as error:
        raise InputRejected(error.code, error.reason, found=error.found, file=file) from error


def _described(content: bytes) -> str:
    for signature, kind in _OTHER_FORMATS.items():
        if content.startswith(signature):
            return kind
    start = content[:SIGNATURE_BYTES]
    return "text" if start.isascii() and b"\0" not in start else "none of their signatures"
