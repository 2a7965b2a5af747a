"""The files of the conformance set, in memory."""

from __future__ import annotations

import itertools
import struct
import zlib
from collections.abc import Callable
from typing import Any

import cv2
import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian

from conformance import expected
from conformance.cases import NAMES, Case
from dicom_files import as_file, chest_dataset

_JPEG_QUALITY = 95
_JPEG_2000_RATIO = 4
_HIGH_THROUGHPUT_STEP = 0.0005
_META_LENGTH = 140
"""Where a file says how long the rest of its meta group is, which begins behind that."""

# pydicom encodes those that are not here; of 8 bits in 16 it makes wrong run lengths.
_FRAMES: dict[str, Callable[[NDArray[Any], int], bytes | bytearray]] = {
    ".5": lambda values, _bits: _run_lengths(values),
    ".4.50": lambda values, _bits: _jpeg(values),
    ".4.51": lambda values, _bits: (
        _jpeg(values)
        if values.dtype == np.uint8
        else imagecodecs.jpeg8_encode(values, level=_JPEG_QUALITY, bitspersample=12)
    ),
    ".4.57": lambda values, bits: imagecodecs.ljpeg_encode(
        _patterns(values, bits), bitspersample=bits
    ),
    ".4.70": lambda values, bits: imagecodecs.jpeg8_encode(
        _patterns(values, bits), lossless=True, predictor=1, bitspersample=bits
    ),
    ".4.201": lambda values, _bits: imagecodecs.htj2k_encode(values, reversible=True),
    ".4.202": lambda values, _bits: imagecodecs.htj2k_encode(values, reversible=True, tlm=True),
    ".4.203": lambda values, bits: imagecodecs.htj2k_encode(
        values,
        reversible=False,
        # Of the range of the type, of which fewer bits fill a part.
        level=_HIGH_THROUGHPUT_STEP * 2**bits / 2 ** (8 * values.itemsize),
    ),
}


def file_of(case: Case) -> bytes:
    """Make the DICOM file of a case."""
    dataset = _dataset(case)
    name = NAMES[case.character_set][1]
    name += b" " * (len(name) % 2)
    # pydicom would write a name in its own way, so that its bytes are put in afterwards.
    mark = b"Q" * len(name)
    dataset.PatientName = mark.decode()
    if case.character_set:
        dataset.SpecificCharacterSet = case.character_set.split("\\")
    content = as_file(dataset)
    if case.syntax.uid != DeflatedExplicitVRLittleEndian:
        return _replaced(content, mark, name)
    (length,) = struct.unpack_from("<I", content, _META_LENGTH)
    begin = _META_LENGTH + 4 + length
    body = _replaced(zlib.decompress(content[begin:], -zlib.MAX_WBITS), mark, name)
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return content[:begin] + deflater.compress(body) + deflater.flush()


def _replaced(content: bytes, mark: bytes, name: bytes) -> bytes:
    if content.count(mark) != 1:
        raise ValueError("expected one name in the file")
    return content.replace(mark, name)


def _dataset(case: Case) -> Dataset:
    (bits, allocated), (photometric, _, shape) = case.depth, case.polarity.partition(", ")
    values = expected.stored_values(case).astype(f"{'ui'[case.sign]}{allocated // 8}")
    dataset = chest_dataset(
        values, BitsStored=bits, HighBit=bits - 1, PhotometricInterpretation=photometric
    )
    for keyword in ("WindowCenter", "WindowWidth"):
        dataset.pop(keyword, None)
    if shape:
        dataset.PresentationLUTShape = shape
    if case.modality == "rescale":
        dataset.RescaleSlope, dataset.RescaleIntercept = expected.SLOPE, expected.INTERCEPT
    elif case.modality == "modality LUT":
        dataset.ModalityLUTSequence = [_lut(expected.modality_lut(case), case)]
        dataset.ModalityLUTSequence[0].ModalityLUTType = "US"
    if case.voi == "VOI LUT":
        dataset.VOILUTSequence = [_lut(expected.voi_lut(case), case)]
    elif case.voi != "none":
        dataset.WindowCenter, dataset.WindowWidth = expected.window(case)
        if case.voi != "LINEAR":
            dataset.VOILUTFunction = case.voi
    _encode(dataset, values, case)
    return dataset


def _encode(dataset: Dataset, values: NDArray[Any], case: Case) -> None:
    syntax = UID(case.syntax.uid)
    end = str(syntax).removeprefix("1.2.840.10008.1.2")
    if end in _FRAMES:
        dataset.PixelData = encapsulate([bytes(_FRAMES[end](values, case.depth[0]))])
        dataset["PixelData"].VR = "OB"
    elif syntax.is_encapsulated:
        # What is lost is told by each encoder in its own way; others take no heed.
        lost: dict[str, dict[str, Any]] = {
            ".4.91": {"j2k_cr": [_JPEG_2000_RATIO]},
            ".4.81": {"jls_error": _jpeg_ls_error(case)},
        }
        dataset.compress(syntax, generate_instance_uid=False, **lost.get(end, {}))
    elif syntax == ExplicitVRBigEndian:
        dataset.PixelData = values.astype(values.dtype.newbyteorder(">")).tobytes()
    dataset.file_meta.TransferSyntaxUID = syntax


def _jpeg_ls_error(case: Case) -> int:
    return min(int(case.syntax.error_percent / 100 * 2 ** case.depth[0]), 255)


def _jpeg(values: NDArray[Any]) -> bytes:
    return cv2.imencode(".jpg", values, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1].tobytes()


def _run_lengths(values: NDArray[Any]) -> bytes:
    """One segment for each byte of the values, the most significant first (PS3.5, annex G)."""
    planes = values.view(np.uint8).reshape(*values.shape, -1)[..., ::-1]
    segments = []
    for plane in np.moveaxis(planes, -1, 0):
        packed = bytearray()
        for row in plane:
            for byte, run in itertools.groupby(row.tolist()):
                for count in _of_128(len(list(run))):
                    # A literal run of one, or a replicated one.
                    packed += bytes((0, byte)) if count == 1 else bytes((257 - count, byte))
        segments.append(bytes(packed) + b"\0" * (len(packed) % 2))
    offsets = itertools.accumulate([64, *map(len, segments[:-1])])
    header = struct.pack("<16I", len(segments), *offsets, *[0] * (15 - len(segments)))
    return header + b"".join(segments)


def _of_128(length: int) -> list[int]:
    return [128] * (length // 128) + [length % 128] * bool(length % 128)


def _patterns(values: NDArray[Any], bits: int) -> NDArray[Any]:
    """The bits stored alone, as JPEG Lossless holds signed values too."""
    patterns = values.view(f"u{values.dtype.itemsize}") & (2**bits - 1)
    return np.asarray(patterns.astype(np.uint8) if bits == 8 else patterns)


def _lut(table: expected.LookUpTable, case: Case) -> Dataset:
    item = Dataset()
    item.add_new(
        "LUTDescriptor", "US", [len(table.entries) % 2**16, table.first % 2**16, table.bits]
    )
    # Words, which pydicom writes as they are.
    order = ">" if case.syntax.uid == ExplicitVRBigEndian else "<"
    item.add_new("LUTData", "OW", table.entries.astype(f"{order}u2").tobytes())
    return item
