"""From a DICOM file's bytes to its data set, whatever the bytes are: parsed by pydicom, in bounds.

Only the attributes that reading and writing need are parsed; whatever else a file holds about its patient is
left out.
"""

from __future__ import annotations

import contextlib
import functools
import io
import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, BinaryIO

from infmap_kit.errors import InputRejected
from infmap_kit.imaging.dicom.attributes.character_set import decode_texts
from infmap_kit.imaging.dicom.decoding import pixel_decoder
from infmap_kit.imaging.radiograph import MAX_PIXELS, Reason

if TYPE_CHECKING:
    from pydicom import Dataset

MAX_INFLATED_BYTES = 2 * MAX_PIXELS + 2**24
"""Largest deflated data set after inflating: the largest picture at 16 bits, and room for tags."""

MAX_READS = 100_000
"""How often the parser may ask for bytes: two or three times an element. Real files have hundreds of
elements; millions of empty ones would fill the memory."""

MAX_SEQUENCE_BYTES = 2**20
"""Largest sequence that is looked into; a LUT of 65536 entries takes an eighth."""

_KEYWORDS = (
    *("SpecificCharacterSet", "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID"),
    *("SeriesInstanceUID", "StudyDate", "StudyTime", "AccessionNumber", "StudyID"),
    *("AcquisitionDateTime", "AcquisitionDate", "AcquisitionTime"),
    *("StudyDescription", "ReferringPhysicianName", "Modality", "PresentationIntentType"),
    *("PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex"),
    *("PatientAge", "PatientSpeciesDescription", "PatientSpeciesCodeSequence"),
    *("PatientBreedDescription", "PatientBreedCodeSequence", "PatientSexNeutered"),
    *("ResponsiblePersonRole", "BodyPartExamined", "AnatomicRegionSequence", "ViewPosition"),
    *("ViewCodeSequence", "PatientOrientation", "ImagerPixelSpacing", "PixelSpacing"),
    *("PixelAspectRatio", "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration"),
    *("NumberOfFrames", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit"),
    *("PixelRepresentation", "PixelPaddingValue", "PixelPaddingRangeLimit"),
    *("RescaleIntercept", "RescaleSlope", "RescaleType", "ModalityLUTSequence"),
    *("WindowCenter", "WindowWidth", "VOILUTFunction", "VOILUTSequence", "PresentationLUTShape"),
    *("FloatPixelData", "DoubleFloatPixelData", "PixelData"),
)

_MARK_END = 132
_META_GROUP = 0x0002
_UNDEFINED = 0xFFFFFFFF


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
    from pydicom.uid import DeflatedExplicitVRLittleEndian

    stream = _Bounded(io.BytesIO(content))
    meta, start = _meta(stream), stream.tell()
    syntax = str(meta.get("TransferSyntaxUID", ""))
    _refuse_syntax(syntax)
    if syntax == DeflatedExplicitVRLittleEndian:
        dataset = _parsed_deflated(content[start:], meta)
    else:
        dataset = _parsed(content, syntax)
    _refuse_sequences(dataset)
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
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError
    from pydicom.uid import DeflatedExplicitVRLittleEndian

    start = source.read(_MARK_END)
    # Without preamble it begins with an element of group 2 or 8.
    if start[_MARK_END - 4 :] != b"DICM" and start[:2] not in (b"\x02\x00", b"\x08\x00"):
        raise InvalidDicomError
    source.seek(0)
    bounded = _Bounded(source)
    if _meta(bounded).get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
        raise InputRejected(
            Reason.TOO_LARGE, "expected a data set that is not deflated, found one that is"
        )
    source.seek(0)
    dataset = dcmread(
        bounded,
        force=True,
        stop_before_pixels=True,
        specific_tags=["SpecificCharacterSet", *keywords],
    )
    decode_texts(dataset)
    return dataset


class _Bounded:
    """A file whose reader is refused when it asks too often, or for too much at once."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self.name = ""
        self.seek, self.tell = source.seek, source.tell
        self._reads = 0

    def read(self, size: int = -1, /) -> bytes:
        self._reads += 1
        if self._reads > MAX_READS:
            raise InputRejected(
                Reason.TOO_LARGE,
                "expected a radiograph's few hundred attributes, found tens of thousands",
                found={"limit_reads": MAX_READS},
            )
        return self._source.read(size)

    def close(self) -> None:
        """Leave it open: it is its owner's."""


def _meta(stream: _Bounded) -> Dataset:
    """File meta information, empty when there is none; the stream stands where it ends."""
    from pydicom.filereader import read_dataset as read

    if stream.read(_MARK_END)[_MARK_END - 4 :] != b"DICM":
        from pydicom import Dataset

        stream.seek(0)
        return Dataset()
    return read(
        stream,
        is_implicit_VR=False,
        is_little_endian=True,
        stop_when=lambda tag, _vr, _length: tag.group != _META_GROUP,
    )


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


def _parsed(content: bytes, syntax: str) -> Dataset:
    from pydicom import dcmread
    from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    # Long values that need no decoding are left in the file: see ``native_pixels``.
    native = not syntax or not UID(syntax).is_encapsulated
    dataset = dcmread(
        _Bounded(io.BytesIO(content)),
        force=True,
        specific_tags=list(_KEYWORDS),
        defer_size=MAX_SEQUENCE_BYTES if native else None,
    )
    if not dataset.file_meta.get("TransferSyntaxUID"):
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
    return dataset


def _parsed_deflated(body: bytes, meta: Dataset) -> Dataset:
    """Inflate and parse; pydicom's own reader would inflate to any size."""
    from pydicom.datadict import tag_for_keyword
    from pydicom.dataset import FileMetaDataset
    from pydicom.filereader import read_dataset as read

    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    inflated = inflater.decompress(body, MAX_INFLATED_BYTES)
    if inflater.unconsumed_tail:
        raise InputRejected(
            Reason.TOO_LARGE,
            f"expected a data set of at most {MAX_INFLATED_BYTES >> 20} MiB, found a deflated one "
            "that is larger",
            found={"limit_bytes": MAX_INFLATED_BYTES},
        )
    tags = [tag_for_keyword(keyword) for keyword in _KEYWORDS]
    dataset = read(
        _Bounded(io.BytesIO(inflated)),
        is_implicit_VR=False,
        is_little_endian=True,
        specific_tags=tags,
    )
    dataset.set_original_encoding(is_implicit_vr=False, is_little_endian=True)
    dataset.file_meta = FileMetaDataset(meta)
    return dataset


def text_of(dataset: Dataset, keyword: str) -> str:
    """Text of an attribute; empty when it is missing, cannot be read, or is a sequence."""
    try:
        if keyword not in dataset or (element := dataset[keyword]).VR == "SQ":
            return ""
        return "" if element.value is None else str(element.value).strip()
    # pydicom reads a value when it is asked for, and names no closed set of errors for damaged ones.
    except Exception:  # noqa: BLE001
        return ""


def native_pixels(dataset: Dataset, content: bytes) -> memoryview | None:
    """Pixel data that :func:`read_dataset` left in the file's bytes, and that need no copy.

    Returns
    -------
    memoryview or None
        ``None`` when the data set itself holds them: compressed or small ones.
    """
    element: Any = dataset.get_item("PixelData", keep_deferred=True)
    if element is None or element.value is not None:
        return None
    return memoryview(content)[element.value_tell : element.value_tell + element.length]


def _refuse_sequences(dataset: Dataset) -> None:
    """Refuse what would take long once it is looked into: pydicom parses a sequence when asked."""
    for tag in dataset.keys():  # noqa: SIM118  # iterating a data set itself would parse it
        element: Any = dataset.get_item(tag, keep_deferred=True)
        left_in_file = element.value is None and element.length > 0
        sequence = element.VR == "SQ" or tag in _tags_ending("Sequence")
        if (left_in_file and tag not in _tags_ending("PixelData")) or (
            sequence and len(getattr(element, "value", b"") or b"") > MAX_SEQUENCE_BYTES
        ):
            raise InputRejected(
                Reason.TOO_LARGE,
                f"expected sequences of at most {MAX_SEQUENCE_BYTES >> 20} MiB, found a longer one",
                found={"limit_bytes": MAX_SEQUENCE_BYTES},
            )


@functools.cache
def _tags_ending(end: str) -> frozenset[int]:
    from pydicom.datadict import tag_for_keyword

    tags = (tag_for_keyword(name) for name in _KEYWORDS if name.endswith(end))
    return frozenset(tag for tag in tags if tag is not None)
