"""The reader of DICOM files: the one way through parsing, acceptance, decoding and display to a radiograph.

The data set is parsed in bounds (:mod:`~infmap_kit.imaging.dicom.dataset`), refused or accepted by its tags
(:mod:`~infmap_kit.imaging.dicom.acceptance`), decoded after a look at the sizes
(:mod:`~infmap_kit.imaging.dicom.decoding`), shown (:mod:`~infmap_kit.imaging.dicom.display`), and turned
upright.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from infmap_kit.errors import InputRejected
from infmap_kit.imaging.dicom.acceptance import judge_tags
from infmap_kit.imaging.dicom.attributes.character_set import decode_texts
from infmap_kit.imaging.dicom.attributes.mending import mend_tags
from infmap_kit.imaging.dicom.dataset import native_pixels, orientation_of, read_dataset
from infmap_kit.imaging.dicom.decoding import beyond_the_picture, decoder_name, stored_values
from infmap_kit.imaging.dicom.display import Display, display
from infmap_kit.imaging.dicom.quiet import quiet
from infmap_kit.imaging.orientation import UPRIGHT, Orientation
from infmap_kit.imaging.radiograph import InputWarning, Radiograph, Reason

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pydicom import Dataset


@dataclasses.dataclass
class Account:
    """Everything that became known of a file, as far as reading went."""

    dataset: Dataset | None = None
    decoder: str = ""
    stored: NDArray[Any] | None = None
    display: Display | None = None
    orientation: Orientation = UPRIGHT
    warnings: tuple[InputWarning, ...] = ()


def decode_dicom(
    content: bytes, name: str, *, secondary_capture: bool = False, account: Account | None = None
) -> Radiograph:
    """Decode a DICOM file, with or without preamble.

    Parameters
    ----------
    content, name, secondary_capture
        As for :func:`~infmap_kit.imaging.readers.decode`; nothing in the file is used for the name.
    account
        Filled with whatever becomes known, also when the file is refused.

    Raises
    ------
    InputRejected
        With a code of :class:`~infmap_kit.imaging.radiograph.Reason`.
    """
    account = account if account is not None else Account()
    with _refused_by_name(), quiet():
        dataset = account.dataset = read_dataset(content)
        mended = decode_texts(dataset) + mend_tags(dataset)
        account.warnings = judge_tags(dataset, secondary_capture=secondary_capture) + mended
        account.decoder = decoder_name(dataset)
        native = native_pixels(dataset, content)
        account.warnings += beyond_the_picture(dataset, native)
        stored = account.stored = stored_values(dataset, native)
        shown = account.display = display(dataset, stored)
        account.warnings += shown.warnings
        stated = orientation_of(dataset)
        orientation = account.orientation = stated or UPRIGHT
        pixels = orientation.upright(shown(stored))
        del dataset.PixelData
    notes = shown.notes
    if not orientation.is_upright:
        notes += ("turned upright by Patient Orientation",)
    return Radiograph(
        pixels,
        name,
        "application/dicom",
        notes,
        orientation=orientation,
        warnings=account.warnings,
        header=dataset,
        sides_stated=stated is not None,
    )


def read_tags(content: bytes) -> Dataset:
    """Parse a DICOM file for its tags alone, to answer one that is refused.

    Raises
    ------
    InputRejected
        When not even the tags can be read.
    """
    with _refused_by_name(), quiet():
        dataset = read_dataset(content)
        decode_texts(dataset)
        if "PixelData" in dataset:
            del dataset.PixelData
        return dataset


@contextlib.contextmanager
def _refused_by_name() -> Iterator[None]:
    """Refuse a file on any error: pydicom and its plug-ins name no closed set for damaged files."""
    try:
        yield
    except InputRejected:
        raise
    except Exception as error:
        raise InputRejected(
            Reason.UNREADABLE, "the file begins as a DICOM file does, but is damaged or incomplete"
        ) from error
