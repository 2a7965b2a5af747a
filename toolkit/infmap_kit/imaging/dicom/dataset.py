"""The data set of a DICOM file, parsed within bounds whatever the file's bytes are.

Only the attributes that reading and writing need are parsed; whatever else a file holds about its patient is
left out.
"""

from __future__ import annotations

import contextlib
import functools
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, BinaryIO

from infmap_kit.errors import InputRejected
from infmap_kit.imaging.dicom.attributes.character_set import decode_texts
from infmap_kit.imaging.dicom.decoding import pixel_decoder
from infmap_kit.imaging.dicom.parsing import (
    BoundedFile,
    inflated,
    is_deflated,
    parse_attributes,
    parse_meta,
)
from infmap_kit.imaging.dicom.quiet import quiet
from infmap_kit.imaging.orientation import Orientation
from infmap_kit.imaging.radiograph import Reason

if TYPE_CHECKING:
    from pydicom import Dataset

MAX_SEQUENCE_BYTES = 2**20
"""Largest sequence that is looked into; a LUT of 65536 entries takes an eighth."""

MAX_ITEMS = 1000
"""Most items of a sequence, and of those inside it; a hundred thousand empty ones take seconds."""

MAX_VALUE_BYTES = 2**16
"""Longest other value; as numbers or as text it takes a hundred times that."""

_KEYWORDS = (
    *("SpecificCharacterSet", "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID"),
    *("SeriesInstanceUID", "StudyDate", "StudyTime", "AccessionNumber", "StudyID"),
    *("AcquisitionDateTime", "AcquisitionDate", "AcquisitionTime"),
    *("StudyDescription", "ReferringPhysicianName", "Modality", "PresentationIntentType"),
    *("PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex"),
    *("PatientAge", "PatientIdentityRemoved"),
    *("PatientSpeciesDescription", "PatientSpeciesCodeSequence"),
    *("PatientBreedDescription", "PatientBreedCodeSequence", "PatientSexNeutered"),
    *("ResponsiblePersonRole", "BodyPartExamined", "AnatomicRegionSequence", "ViewPosition"),
    *("ViewCodeSequence", "PatientOrientation", "ImagerPixelSpacing", "PixelSpacing"),
    "EstimatedRadiographicMagnificationFactor",
    *("PixelAspectRatio", "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration"),
    *(
        "BurnedInAnnotation",
        "NumberOfFrames",
        "Rows",
        "Columns",
        "BitsAllocated",
        "BitsStored",
        "HighBit",
    ),
    *("PixelRepresentation", "PixelPaddingValue", "PixelPaddingRangeLimit"),
    *("RescaleIntercept", "RescaleSlope", "RescaleType", "ModalityLUTSequence"),
    *("WindowCenter", "WindowWidth", "VOILUTFunction", "VOILUTSequence", "PresentationLUTShape"),
    *("FloatPixelData", "DoubleFloatPixelData", "PixelData"),
)

_UNDEFINED = 0xFFFFFFFF
_ITEM_STARTS = (b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00")


def read_dataset(content: bytes) -> Dataset:
    """Parse a DICOM file, with or without preamble, deflated or not.

    Returns
    -------
    Dataset
        Data set with file meta information that names a transfer syntax, known to pydicom as one of pixels.

    Raises
    ------
    InputRejected
        ``unsupported-transfer-syntax``, ``too-large``, ``truncated``.
    """
    file = BoundedFile(io.BytesIO(content))
    meta = parse_meta(file)
    syntax = str(meta.get("TransferSyntaxUID", ""))
    _refuse_syntax(syntax)
    # Long values are left in the file: see ``native_pixels``.
    dataset = parse_attributes(
        inflated(file, content) if is_deflated(meta) else file,
        meta,
        _KEYWORDS,
        left_in_file_bytes=None if is_deflated(meta) else MAX_SEQUENCE_BYTES,
    )
    if not syntax:
        _give_syntax(dataset)
    _refuse_long(dataset)
    return dataset


def read_header(source: BinaryIO, keywords: Sequence[str] = _KEYWORDS) -> Dataset:
    """Parse the attributes before the pixels, of any file that begins as DICOM does.

    Parameters
    ----------
    source
        The file, from its beginning. Afterwards it stands where the pixels' element begins.
    keywords
        The attributes to take.

    Raises
    ------
    InputRejected
        ``too-large`` for a file of more attributes than any radiograph has, and for a deflated one, which might
        inflate to any size.
    Exception
        Whatever pydicom raises of damaged files.
    """
    file = BoundedFile(source)
    meta = parse_meta(file)
    if is_deflated(meta):
        raise InputRejected(
            Reason.TOO_LARGE, "expected a data set that is not deflated, found one that is"
        )
    dataset = parse_attributes(
        file, meta, keywords, before_pixels=True, left_in_file_bytes=MAX_SEQUENCE_BYTES
    )
    _refuse_long(dataset)
    decode_texts(dataset)
    return dataset


def read_object(source: BinaryIO) -> Dataset:
    """Parse all of a file that was written here, such as a result that waits for delivery.

    Raises
    ------
    InputRejected
        ``too-large``.
    Exception
        Whatever pydicom raises of damaged files.
    """
    file = BoundedFile(source)
    return parse_attributes(file, parse_meta(file), None)


def content_of(dataset: Dataset) -> bytes:
    """Write a data set that somebody has in memory as the bytes of a file, from which everything here begins.

    Raises
    ------
    InputRejected
        ``unreadable`` when its values cannot be written as its transfer syntax says.
    """
    from pydicom import dcmwrite

    meta = getattr(dataset, "file_meta", None)
    # Of a data set that was made in memory, without a word on its encoding, pydicom asks for one.
    made_here = "TransferSyntaxUID" not in (meta or ()) and None in dataset.original_encoding
    encoding = {"implicit_vr": False, "little_endian": True} if made_here else {}
    buffer = io.BytesIO()
    try:
        with quiet():
            dcmwrite(buffer, dataset, **encoding)
    # pydicom names no closed set of errors for values that do not fit, and its messages quote them.
    except Exception as error:
        raise InputRejected(
            Reason.UNREADABLE,
            "expected a data set that can be written as a DICOM file, found one that pydicom refuses "
            f"({type(error).__name__})",
        ) from error
    return buffer.getvalue()


def _refuse_syntax(syntax: str) -> None:
    from pydicom.uid import UID

    if not syntax:
        return
    with contextlib.suppress(NotImplementedError):
        if pixel_decoder(syntax).is_available:
            return
    name = UID(syntax).name if UID(syntax).is_transfer_syntax else "an unknown one"
    raise InputRejected(
        Reason.UNSUPPORTED_TRANSFER_SYNTAX,
        f"expected pixels in a transfer syntax that can be decoded here, found {name}: "
        "pip install 'infmap-kit[dicom]' brings the decoders, or store the file uncompressed",
        found={"transfer_syntax": name},
    )


def _give_syntax(dataset: Dataset) -> None:
    """Name the transfer syntax that was found out, where the file names none."""
    from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

    pixels: Any = dataset.get_item("PixelData", keep_deferred=True)
    if pixels is not None and pixels.length == _UNDEFINED:
        raise InputRejected(
            Reason.UNSUPPORTED_TRANSFER_SYNTAX,
            "expected a Transfer Syntax UID that says how the pixels are compressed, found none: export "
            "the radiograph anew",
            found={"missing": "Transfer Syntax UID"},
        )
    implicit, _ = dataset.original_encoding
    dataset.file_meta.TransferSyntaxUID = (
        ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    )


def text_of(dataset: Dataset, keyword: str) -> str:
    """Text of an attribute; empty when it is missing, cannot be read, or is a sequence."""
    try:
        if keyword not in dataset or (element := dataset[keyword]).VR == "SQ":
            return ""
        return "" if element.value is None else str(element.value).strip()
    # pydicom reads a value when it is asked for, and names no closed set of errors for damaged ones.
    except Exception:  # noqa: BLE001
        return ""


def orientation_of(dataset: Dataset) -> Orientation | None:
    """How the picture lies by Patient Orientation; ``None`` where that is not stated or of no frontal view."""
    directions: Any = dataset.get("PatientOrientation") or ()
    # One value alone is no orientation, such as a view that was written there.
    if isinstance(directions, str) or len(directions) != 2:
        return None
    return Orientation.of_patient(*map(str, directions))


def native_pixels(dataset: Dataset, content: bytes) -> memoryview | None:
    """Pixel data that :func:`read_dataset` left in the file's bytes, and that need no copy.

    Returns
    -------
    memoryview or None
        ``None`` when the data set itself holds them: small or deflated ones. Of compressed ones all that
        follows the element's header.
    """
    element: Any = dataset.get_item("PixelData", keep_deferred=True)
    if element is None or element.value is not None:
        return None
    length = None if element.length == _UNDEFINED else element.length
    return memoryview(content)[element.value_tell :][:length]


def _refuse_long(dataset: Dataset) -> None:
    """Refuse what would take long once it is looked into: pydicom parses a value when asked."""
    for tag in dataset.keys():  # noqa: SIM118  # iterating a data set itself would parse it
        element: Any = dataset.get_item(tag, keep_deferred=True)
        if tag in _tags_ending("PixelData"):
            continue
        is_sequence = element.VR == "SQ" or tag in _tags_ending("Sequence")
        limit = MAX_SEQUENCE_BYTES if is_sequence else MAX_VALUE_BYTES
        value = element.value
        left_in_file = value is None and getattr(element, "length", 0) > 0
        if left_in_file or (hasattr(value, "__len__") and len(value) > limit):
            kind = "sequences" if is_sequence else "values"
            raise InputRejected(
                Reason.TOO_LARGE,
                f"expected {kind} of at most {limit >> 10} KiB, found a longer one",
                found={"limit_bytes": limit},
            )
        if is_sequence and isinstance(value, bytes):
            items = max(map(value.count, _ITEM_STARTS))
            if items > MAX_ITEMS:
                raise InputRejected(
                    Reason.TOO_LARGE,
                    f"expected sequences of at most {MAX_ITEMS} items, found {items}",
                    found={"limit_items": MAX_ITEMS},
                )


@functools.cache
def _tags_ending(end: str) -> frozenset[int]:
    from pydicom.datadict import tag_for_keyword

    tags = (tag_for_keyword(name) for name in _KEYWORDS if name.endswith(end))
    return frozenset(tag for tag in tags if tag is not None)
