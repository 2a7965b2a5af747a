"""PNG, JPEG and TIFF, decoded by OpenCV, and TIFF of 8 bits by Pillow."""

from __future__ import annotations

import dataclasses
import io
import warnings
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from infmap_kit.errors import InputRejected
from infmap_kit.imaging.headers.header import Header
from infmap_kit.imaging.headers.png import essential_png
from infmap_kit.imaging.headers.reading import read_header
from infmap_kit.imaging.network_input import halvings
from infmap_kit.imaging.orientation import Orientation
from infmap_kit.imaging.radiograph import Radiograph, Reason, refuse_size
from infmap_kit.imaging.tone import eight_bits

# Of 255. Traces of JPEG's colour subsampling on a gray picture stay below the first; a blue film
# base or a sepia print below the second; a drawn arrow, a heat map or a photograph goes beyond.
_GRAY_CHROMA = 16
_STRONG_CHROMA = 64

MAX_COLOURED_SHARE = 0.02
"""Largest share of strongly coloured pixels: room for a marker, not for a heat map."""


_REDUCED_JPEG = (
    cv2.IMREAD_GRAYSCALE,
    cv2.IMREAD_REDUCED_GRAYSCALE_2,
    cv2.IMREAD_REDUCED_GRAYSCALE_4,
    cv2.IMREAD_REDUCED_GRAYSCALE_8,
)
"""OpenCV's flags, by how often the picture is halved while it is decoded."""

MAX_DECODED_BYTES = 2**28
"""Most bytes of a decoded picture, of which OpenCV has two at a time. Only pictures of 16 bits with
transparency, and of more than 33 million pixels, take more."""

_BAND_PIXELS = 2**20
"""Colours become gray band by band: a whole picture of 16 bits and four channels takes 320 MB, and each step
would make a copy."""


@dataclasses.dataclass(frozen=True)
class _Remarks:
    """Notes and objections that are collected while a picture is decoded, for its radiograph."""

    notes: list[str] = dataclasses.field(default_factory=list)
    objections: list[InputRejected] = dataclasses.field(default_factory=list)


def decode_raster(content: bytes, name: str, *, image_size: int | None = None) -> Radiograph:
    """Decode a PNG, JPEG or TIFF.

    Gray values come back as stored. Transparent parts are laid over black, as what is outside the
    beam; a tint is dropped; 16 bits go through :func:`~infmap_kit.imaging.tone.eight_bits`; a
    picture with an Exif or TIFF orientation is turned upright. The notes say so. A picture of strong
    colours is brought to gray all the same, and of a TIFF with several pages the first is taken: the
    radiograph's objections say so, for :func:`~infmap_kit.imaging.readers.judge` to refuse it.

    Parameters
    ----------
    content, name
        As for :func:`~infmap_kit.imaging.readers.decode`.
    image_size
        Given where the pixels only go to :func:`~infmap_kit.imaging.network_input.network_input`, which makes
        pictures of this size in pixels. A JPEG is then halved while it is decoded, as often as that function
        would: decoding takes about two thirds of the time, and the network's input is within 2 of 255 of that
        of the whole picture, at every pixel.

    Raises
    ------
    InputRejected
        ``too-small``, ``too-large``, ``truncated``, ``unreadable``, ``pixel-type`` or ``blank``.
    """
    header = read_header(content)
    refuse_size(width=header.width, height=header.height)
    decoded_bytes = header.width * header.height * header.pixel_bytes
    if decoded_bytes > MAX_DECODED_BYTES:
        raise InputRejected(
            Reason.TOO_LARGE,
            f"expected a picture of at most {MAX_DECODED_BYTES >> 20} MiB in memory, found one of "
            f"{decoded_bytes >> 20} MiB: save the radiograph as gray, without transparency",
        )
    if not header.complete:
        raise InputRejected(
            Reason.TRUNCATED,
            f"the file ends in the middle of its {header.width}x{header.height} picture: copy it "
            "again",
        )
    remarks = _Remarks()
    if header.more_pages:
        kind = "an animated PNG" if header.media_type == "image/png" else "a TIFF of several pages"
        reason = f"expected one picture, found {kind}: pass one picture"
        remarks.objections.append(InputRejected(Reason.MULTI_FRAME, reason))
    if header.orientation != 1:
        remarks.notes.append(f"turned upright from orientation {header.orientation}")
    if header.media_type == "image/jpeg":
        halved = halvings(header.height, header.width, image_size) if image_size else 0
        values = _jpeg(content, header, remarks, min(halved, len(_REDUCED_JPEG) - 1))
    elif header.media_type == "image/png":
        values = _png(content, header, remarks)
    else:
        values = _tiff(content, header, remarks)
    if header.white_is_zero:
        # libtiff has inverted 8 bit values already.
        values = np.bitwise_not(values) if values.dtype == np.uint16 else values
        remarks.notes.append("inverted: the file says that white is zero")
    pixels, scaling = eight_bits(values)
    if scaling:
        remarks.notes.append(scaling)
    return Radiograph(
        pixels, name, header.media_type, tuple(remarks.notes), objections=tuple(remarks.objections)
    )


def _jpeg(content: bytes, header: Header, remarks: _Remarks, halved: int) -> NDArray[Any]:
    # An eighth of the size is enough to find colour; and the JPEG's own luminance is both nearer to the
    # stored values and faster than a gray made from its colours.
    if header.channels > 1:
        colours = _Colours()
        colours.count(_opened(content, header, cv2.IMREAD_REDUCED_COLOR_8))
        colours.remark(remarks)
    flag = _REDUCED_JPEG[halved] | cv2.IMREAD_IGNORE_ORIENTATION
    return _upright(_of_size(_opened(content, header, flag), header, 2**halved), header)


def _upright(picture: NDArray[Any], header: Header) -> NDArray[Any]:
    """Turn by what our own reading of the header says: the note tells of it, and decoders read less of Exif."""
    return Orientation.of_exif(header.orientation).upright(picture)


def _png(content: bytes, header: Header, remarks: _Remarks) -> NDArray[Any]:
    content = essential_png(content)
    picture = _of_size(_opened(content, header, cv2.IMREAD_UNCHANGED), header)
    return _upright(_gray(picture, remarks), header)


def _tiff(content: bytes, header: Header, remarks: _Remarks) -> NDArray[Any]:
    """Decode a TIFF, which OpenCV and Pillow turn upright themselves.

    Of 8 bits OpenCV leaves black what it cannot decode, multiplies by transparency twice, and takes a pixel's
    gray and alpha for two pixels of a tile; Pillow does none of these, and knows no colours of 16 bits.
    """
    if header.is_deep:
        picture = _opened(content, header, cv2.IMREAD_UNCHANGED)
    else:
        picture = _opened_by_pillow(content, header)
    return _gray(_of_size(picture, header), remarks)


def _opened_by_pillow(content: bytes, header: Header) -> NDArray[Any]:
    """(H, W) gray, BGR or BGRA uint8."""
    from PIL import Image

    # Of odd tags it warns on stderr, and quotes them.
    warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.TiffImagePlugin")
    try:
        with Image.open(io.BytesIO(content), formats=["TIFF"]) as picture:
            # Pixels are decoded, and memory is taken for them, where its own reading of the header agrees.
            if sorted(picture.size) == sorted((header.width, header.height)):
                picture.load()
                mode = {"1": "L", "L": "L", "LA": "RGBA", "PA": "RGBA", "RGBA": "RGBA"}.get(
                    picture.mode, "RGB"
                )
                # Converted to what it is already, it would be copied, and takes 160 MB.
                samples = np.asarray(picture if picture.mode == mode else picture.convert(mode))
                if mode == "L":
                    return samples
                swap = cv2.COLOR_RGBA2BGRA if mode == "RGBA" else cv2.COLOR_RGB2BGR
                return cv2.cvtColor(samples, swap)
    # Pillow names no closed set of errors for damaged files.
    except Exception as error:
        raise _damaged(header) from error
    raise _damaged(header)


def _gray(picture: NDArray[Any], remarks: _Remarks) -> NDArray[Any]:
    """Bring a BGR or BGRA picture to gray, and note what is lost; gray stays as it is."""
    if picture.ndim == 2:
        return picture
    gray = np.empty(picture.shape[:2], picture.dtype)
    opaque, colours = True, _Colours()
    rows = max(1, _BAND_PIXELS // picture.shape[1])
    for top in range(0, len(picture), rows):
        band = picture[top : top + rows]
        if picture.shape[2] == 4:
            band, is_opaque = _over_black(band)
            opaque = opaque and is_opaque
        colours.count(band)
        gray[top : top + rows] = cv2.cvtColor(band, cv2.COLOR_BGR2GRAY)
    if picture.shape[2] == 4:
        remarks.notes.append(
            "opaque alpha dropped" if opaque else "transparent parts laid over black"
        )
    colours.remark(remarks)
    return gray


def _opened(content: bytes, header: Header, flag: int) -> NDArray[Any]:
    try:
        picture: NDArray[Any] | None = cv2.imdecode(np.frombuffer(content, np.uint8), flag)
    except cv2.error as error:
        raise _damaged(header) from error
    if picture is None:
        raise _damaged(header)
    return picture


def _of_size(picture: NDArray[Any], header: Header, reduced: int = 1) -> NDArray[Any]:
    """Refuse a picture of another size than its header's, or the part of it that was asked for."""
    height, width = header.height // reduced, header.width // reduced
    if picture.shape[:2] not in ((height, width), (width, height)):
        raise _damaged(header)
    return picture


def _damaged(header: Header) -> InputRejected:
    kind = header.media_type.removeprefix("image/").upper()
    return InputRejected(
        Reason.UNREADABLE,
        f"the {kind}'s header can be read and its pixels cannot: the file is damaged, or packed in "
        "a way that is not known here",
    )


def _over_black(picture: NDArray[Any]) -> tuple[NDArray[Any], bool]:
    """Lay a BGRA picture over black; and whether it was opaque."""
    *colours, alpha = cv2.split(picture)
    full = np.iinfo(picture.dtype).max
    is_opaque = bool(alpha.min() == full)
    if not is_opaque:
        colours = [cv2.multiply(colour, alpha, scale=1 / full) for colour in colours]
    return cv2.merge(colours), is_opaque


class _Colours:
    """A count of the coloured pixels in the BGR pieces of a picture."""

    def __init__(self) -> None:
        self._pixels, self._strong, self._tinted = 0, 0, False

    def count(self, picture: NDArray[Any]) -> None:
        level = np.iinfo(picture.dtype).max // 255
        blue, green, red = cv2.split(picture)
        highest, lowest = cv2.max(cv2.max(blue, green), red), cv2.min(cv2.min(blue, green), red)
        chroma = cv2.subtract(highest, lowest)
        self._pixels += chroma.size
        self._strong += int(np.count_nonzero(chroma > _STRONG_CHROMA * level))
        self._tinted = self._tinted or bool(chroma.max() > _GRAY_CHROMA * level)

    def remark(self, remarks: _Remarks) -> None:
        """Note the colours of a picture that is brought to gray, and object to strong ones."""
        share = self._strong / self._pixels
        if share > MAX_COLOURED_SHARE:
            reason = (
                f"expected a gray chest X-ray, found {share:.0%} of the picture in strong colour "
                f"(at most {MAX_COLOURED_SHARE:.0%}): pass the radiograph itself, not a photograph or "
                "a map drawn from it"
            )
            remarks.objections.append(InputRejected(Reason.COLOUR, reason))
        if self._tinted:
            remarks.notes.append(f"colour dropped, {share:.2%} of it strong")
