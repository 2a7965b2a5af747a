"""A radiograph in memory, the limits of what counts as one, and the reasons to refuse a file."""

from __future__ import annotations

import dataclasses
import enum
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from infmap_kit.errors import InputRejected
from infmap_kit.imaging.orientation import UPRIGHT, Orientation

if TYPE_CHECKING:
    from pydicom import Dataset

_Scalar = TypeVar("_Scalar", bound=np.generic)

MIN_SIZE_PIXELS = 64
"""Smallest height and width. Below it a rib is a pixel wide, and the picture is an icon."""

MAX_PIXELS = 40_000_000
"""Most pixels of one picture. The finest chest detectors, 43 cm x 43 cm in steps of 75 um, give 33
million; what is larger is no radiograph, and would cost gigabytes on its way to the map."""

MAX_FILE_BYTES = 128 * 2**20
"""Largest file in bytes: ``MAX_PIXELS`` uncompressed at 16 bits is 80 MB, and tags need room."""


class Reason(enum.StrEnum):
    """The reason why a file is refused; the ``code`` of :class:`~infmap_kit.errors.InputRejected`."""

    MISSING = "missing"
    NOT_A_FILE = "not-a-file"
    EMPTY = "empty"
    UNKNOWN_FORMAT = "unknown-format"
    UNREADABLE = "unreadable"
    TRUNCATED = "truncated"
    TOO_SMALL = "too-small"
    TOO_LARGE = "too-large"
    MULTI_FRAME = "multi-frame"
    COLOUR = "colour"
    PIXEL_TYPE = "pixel-type"
    BLANK = "blank"
    NO_PIXELS = "no-pixels"
    MODALITY = "modality"
    UNSUPPORTED_TRANSFER_SYNTAX = "unsupported-transfer-syntax"
    SECONDARY_CAPTURE = "secondary-capture"
    NOT_A_CHEST = "not-a-chest"
    LATERAL_VIEW = "lateral-view"
    OBLIQUE_VIEW = "oblique-view"
    CHILD = "child"
    ANIMAL = "animal"
    POLARITY = "polarity"
    NO_DICOM_SOURCE = "no-dicom-source"
    NO_UID = "no-uid"
    UNWRITABLE = "unwritable"
    NOT_A_NUMBER = "not-a-number"


class WarningCode(enum.StrEnum):
    """What is doubtful about a radiograph; the ``code`` of :class:`InputWarning`.

    ``results/words/translations.toml`` has a sentence for each.
    """

    AGE_UNKNOWN = "age-unknown"
    NEAR_THE_CHEST = "near-the-chest"
    BODY_PART_UNKNOWN = "body-part-unknown"
    VIEW_UNKNOWN = "view-unknown"
    NOT_STATED = "not-stated"
    FOR_PROCESSING = "for-processing"
    BEYOND_THE_PICTURE = "beyond-the-picture"
    BEYOND_BITS_STORED = "beyond-bits-stored"
    WINDOW_MISSES_VALUES = "window-misses-values"
    CONTRADICTORY_POLARITY = "contradictory-polarity"
    CHARACTER_SET = "character-set"
    MENDED_TAGS = "mended-tags"
    UNLIKE_A_CHEST = "unlike-a-chest"
    POSSIBLY_MIRRORED = "possibly-mirrored"
    BURNED_IN = "burned-in"
    UNFAMILIAR = "unfamiliar"
    OUTSIDE_LUNGS = "outside-lungs"
    LUNG_NOT_FOUND = "lung-not-found"


def rejection_document(rejection: InputRejected) -> dict[str, Any]:
    """The JSON of a rejection."""
    return {"code": str(rejection.code), "reason": rejection.reason, "found": rejection.found}


@dataclasses.dataclass(frozen=True)
class InputWarning:
    """A doubt about a radiograph that its reader should know.

    Parameters
    ----------
    code
        A code for machines; a :class:`Reason` where results could not be written.
    text
        A line in English for people, with what was found.
    """

    code: WarningCode | Reason
    text: str


@dataclasses.dataclass(frozen=True, eq=False)
class Radiograph:
    """A frontal chest radiograph, as every later step takes it.

    Parameters
    ----------
    pixels
        (H, W) uint8, upright, bright = dense: bones bright, lungs dark.
    name
        Name of the radiograph, usually the file's.
    media_type
        Format of the file: ``image/png``, ``image/jpeg``, ``image/tiff``, ``application/dicom``.
    notes
        Changes of the pixels on the way, one phrase each; empty when they are as stored.
    warnings
        Doubts that its reader should know.
    orientation
        The turns that brought the stored pixels upright.
    header
        The DICOM data set that it was read from, without its pixels; ``None`` for other formats.
    objections
        Reasons in the file against being one gray radiograph. Its pixels could be decoded all the
        same; :func:`~infmap_kit.imaging.readers.judge` refuses it by the first.
    sides_stated
        Whether the file says where the patient's right is. Where it does not, the right is taken to be on the
        picture's left.

    Raises
    ------
    InputRejected
        When the pixels are of another type or shape, or outside the limits of this module.
    """

    pixels: NDArray[np.uint8]
    name: str
    media_type: str
    notes: tuple[str, ...] = ()
    warnings: tuple[InputWarning, ...] = ()
    orientation: Orientation = UPRIGHT
    # Out of repr: it names the patient.
    header: Dataset | None = dataclasses.field(default=None, repr=False)
    objections: tuple[InputRejected, ...] = ()
    sides_stated: bool = False

    def __post_init__(self) -> None:
        if self.pixels.ndim != 2 or self.pixels.dtype != np.uint8:
            raise InputRejected(
                Reason.PIXEL_TYPE,
                f"expected (height, width) pixels of type uint8, found shape {self.pixels.shape} "
                f"of type {self.pixels.dtype}",
            )
        refuse_size(width=self.width, height=self.height)

    @property
    def height(self) -> int:
        """Rows."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """Columns."""
        return int(self.pixels.shape[1])

    def as_stored(self, picture: NDArray[_Scalar]) -> NDArray[_Scalar]:
        """Lay a picture of this radiograph's size, (H, W, ...), as the source's pixels lie."""
        return self.orientation.as_stored(picture)


def refuse_size(*, width: int, height: int) -> None:
    """Refuse a size that no radiograph has; asked with the header's size, before any decoding.

    Raises
    ------
    InputRejected
        ``too-small`` or ``too-large``.
    """
    if min(width, height) < MIN_SIZE_PIXELS:
        raise InputRejected(
            Reason.TOO_SMALL,
            f"expected a chest X-ray of at least {MIN_SIZE_PIXELS}x{MIN_SIZE_PIXELS} pixels, found "
            f"{width}x{height}: pass the original picture",
        )
    if width * height > MAX_PIXELS:
        raise InputRejected(
            Reason.TOO_LARGE,
            f"expected a chest X-ray of at most {MAX_PIXELS // 10**6} million pixels, found "
            f"{width}x{height}: pass the detector's own picture, or a smaller copy",
        )
