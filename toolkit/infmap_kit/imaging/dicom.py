"""Plain DICOM pixels, decoded by pydicom.

Single-frame gray radiographs (CR, DX and their kin). The values pass the modality transformation,
then the first VOI LUT or window of the file, then MONOCHROME1 is inverted. ``_shown`` is the place
for what more the display pipeline of DICOM PS3.3 C.11 asks.

Messages never quote a tag's text: it may be a patient's name in the wrong place.
"""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from infmap_kit.errors import InputRejected
from infmap_kit.imaging.radiograph import Radiograph, Reason, refuse_size
from infmap_kit.imaging.tone import eight_bits, rounded, window

if TYPE_CHECKING:
    from pydicom import Dataset

MODALITIES = {
    "CR": "computed radiography",
    "DX": "digital radiography",
    "DR": "digital radiography, as old systems write it",
    "RG": "radiographic film",
    "OT": "other: secondary captures",
}
"""Modalities that may hold a plain chest X-ray (DICOM PS3.3, C.7.3.1.1.1), and what they are."""

_MARK_END = 132
_META_GROUP = 0x0002


def decode_dicom(content: bytes, name: str) -> Radiograph:
    """Decode a DICOM file, with or without preamble.

    Parameters
    ----------
    content
        The file's bytes.
    name
        What to call the radiograph; nothing in the file is used for it.

    Raises
    ------
    InputRejected
        ``modality``, ``multi-frame``, ``colour``, ``no-pixels``, ``pixel-type``, ``too-small``,
        ``too-large``, ``truncated``, ``unsupported-transfer-syntax``, ``unreadable`` or ``blank``.
    """
    try:
        # pydicom's warnings quote the values that it finds odd: whoever's name that is.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            syntax = _transfer_syntax(content)
            _refuse_syntax(syntax)
            dataset = _read(content)
            _refuse_dataset(dataset)
            pixels, notes = _shown(_values(dataset), dataset)
    except InputRejected:
        raise
    except Exception as error:
        # Whatever it is: pydicom names no closed set of errors for damaged files.
        raise InputRejected(
            Reason.UNREADABLE, "the file begins as a DICOM file does, but is damaged or incomplete"
        ) from error
    return Radiograph(pixels, name, "application/dicom", notes)


def _transfer_syntax(content: bytes) -> str:
    """Transfer syntax in the file's meta group, empty when there is none.

    Read on its own, because pydicom inflates a deflated data set while reading it, to any size.
    """
    from pydicom.filereader import read_dataset

    if content[_MARK_END - 4 : _MARK_END] != b"DICM":
        return ""
    meta = read_dataset(
        io.BytesIO(content[_MARK_END:]),
        is_implicit_VR=False,
        is_little_endian=True,
        stop_when=lambda tag, _vr, _length: tag.group != _META_GROUP,
    )
    return str(meta.get("TransferSyntaxUID", ""))


def _refuse_syntax(syntax: str) -> None:
    from pydicom.pixels import get_decoder
    from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

    if not syntax:
        return
    try:
        known = get_decoder(syntax).is_available and syntax != DeflatedExplicitVRLittleEndian
    except NotImplementedError:
        known = False
    if not known:
        found = UID(syntax).name if UID(syntax).is_transfer_syntax else "an unknown one"
        raise InputRejected(
            Reason.UNSUPPORTED_TRANSFER_SYNTAX,
            f"expected pixels in a transfer syntax that can be decoded here, found {found}: "
            "store the file uncompressed (dcmdjpeg, dcmdjpls, gdcmconv --raw), or install the "
            "plugin that pydicom wants for it",
        )


def _read(content: bytes) -> Dataset:
    from pydicom import dcmread
    from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

    dataset = dcmread(io.BytesIO(content), force=True)
    if "TransferSyntaxUID" not in dataset.file_meta:
        implicit, _ = dataset.original_encoding
        dataset.file_meta.TransferSyntaxUID = (
            ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
        )
    return dataset


def _refuse_dataset(dataset: Dataset) -> None:
    """Refuse by the tags alone what is no single gray radiograph of a sensible size."""
    modality = dataset.get("Modality")
    if modality not in MODALITIES:
        # A term of the standard is short capitals; anything else might be a person's name.
        term = str(modality or "")
        found = term if term.isalpha() and term.isupper() and len(term) <= 3 else "none of them"
        raise InputRejected(
            Reason.MODALITY,
            f"expected the modality of a plain X-ray ({', '.join(MODALITIES)}), found {found}",
        )
    if "PixelData" not in dataset:
        raise InputRejected(
            Reason.NO_PIXELS, "expected a DICOM image, found one without pixels, or cut before them"
        )
    frames = int(dataset.get("NumberOfFrames") or 1)
    if frames != 1:
        raise InputRejected(
            Reason.MULTI_FRAME, f"expected one picture, found {frames} frames: pass a single one"
        )
    if dataset.SamplesPerPixel != 1 or not _is_monochrome(dataset):
        raise InputRejected(
            Reason.COLOUR,
            "expected MONOCHROME1 or MONOCHROME2 with one sample a pixel, found a colour picture: "
            "pass the radiograph itself, not a screenshot",
        )
    width, height = int(dataset.Columns), int(dataset.Rows)
    refuse_size(width=width, height=height)
    bits = int(dataset.BitsAllocated)
    if bits not in (8, 16):
        raise InputRejected(
            Reason.PIXEL_TYPE, f"expected 8 or 16 bits allocated a pixel, found {bits}"
        )
    compressed = dataset.file_meta.TransferSyntaxUID.is_compressed
    if not compressed and len(dataset.PixelData) < width * height * bits // 8:
        raise InputRejected(
            Reason.TRUNCATED,
            f"the file ends in the middle of its {width}x{height} picture: fetch it again",
        )


def _is_monochrome(dataset: Dataset) -> bool:
    return dataset.PhotometricInterpretation in ("MONOCHROME1", "MONOCHROME2")


def _values(dataset: Dataset) -> NDArray[Any]:
    """(H, W) values after the modality transformation."""
    from pydicom.pixels import apply_modality_lut

    return np.asarray(apply_modality_lut(dataset.pixel_array, dataset))


def _shown(values: NDArray[Any], dataset: Dataset) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """Values as a workstation shows them by default, at 8 bits and bright = dense."""
    if dataset.get("VOILUTSequence"):
        pixels, note = _through_lut(values, dataset), "VOI LUT of the file"
    elif "WindowCenter" in dataset and "WindowWidth" in dataset:
        centre, width = _first(dataset.WindowCenter), _first(dataset.WindowWidth)
        function = dataset.get("VOILUTFunction") or "LINEAR"
        pixels = window(values, centre=centre, width=width, function=function)
        note = f"window of the file: centre {centre:g}, width {width:g}"
    else:
        pixels, note = eight_bits(values)
    notes = [note] if note else []
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        pixels = np.bitwise_not(pixels)
        notes.append("MONOCHROME1 inverted")
    return pixels, tuple(notes)


def _through_lut(values: NDArray[Any], dataset: Dataset) -> NDArray[np.uint8]:
    from pydicom.pixels import apply_voi

    bits = int(dataset.VOILUTSequence[0].LUTDescriptor[2])
    shown = np.asarray(apply_voi(values, dataset), dtype=np.float64)
    return rounded(shown * (255 / (2**bits - 1)))


def _first(value: Any) -> float:
    """First of one or more values."""
    from pydicom.multival import MultiValue

    return float(value[0] if isinstance(value, MultiValue) else value)
