"""DICOM radiographs made for tests: a drawn chest under any tags, in any transfer syntax."""

from __future__ import annotations

import copy
import functools
import io
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import FileMetaDataset
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
    generate_uid,
)

from infmap_kit.imaging.synthetic.drawing import synthetic_radiograph

LOSSLESS = {
    "implicit little endian": ImplicitVRLittleEndian,
    "explicit little endian": ExplicitVRLittleEndian,
    "explicit big endian": ExplicitVRBigEndian,
    "deflated": DeflatedExplicitVRLittleEndian,
    "RLE": RLELossless,
    "JPEG-LS": JPEGLSLossless,
    "JPEG 2000": JPEG2000Lossless,
    "JPEG lossless": JPEGLossless,
    "JPEG lossless, first order": JPEGLosslessSV1,
}

# DCMTK's encoders are another family than the decoders under test.
_DCMTK = {
    JPEGLSLossless: ("dcmcjpls", "+el"),
    JPEGLossless: ("dcmcjpeg", "+el"),
    JPEGLosslessSV1: ("dcmcjpeg", "+e1"),
}


@functools.cache
def drawn_chest(height: int = 320, width: int = 260, seed: int = 3) -> NDArray[np.uint16]:
    """(H, W) uint16 of 12 bits: nobody's chest, bright = dense."""
    pixels = synthetic_radiograph(seed, height=height, width=width).radiograph.pixels
    grain = np.random.default_rng(seed).integers(0, 16, pixels.shape)
    values: NDArray[np.uint16] = (pixels.astype(np.uint16) * 16 + grain).astype(np.uint16)
    return values


def chest_dataset(values: NDArray[Any] | None = None, **tags: Any) -> Dataset:
    """A whole Computed Radiography object, as a PACS would have it.

    Parameters
    ----------
    values
        (H, W) uint8, uint16 or int16 stored values; the drawn chest when not given.
    tags
        Set over what is there; ``None`` takes one away.
    """
    values = drawn_chest() if values is None else values
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = ComputedRadiographyImageStorage
    dataset.SOPInstanceUID = generate_uid(entropy_srcs=["infmap", values.tobytes().hex()[:400]])
    dataset.StudyInstanceUID = generate_uid(entropy_srcs=["infmap study"])
    dataset.SeriesInstanceUID = generate_uid(entropy_srcs=["infmap series"])
    dataset.PatientName, dataset.PatientID = "Secret^Person", "SECRET-4711"
    dataset.PatientBirthDate, dataset.PatientSex = "19500412", "F"
    dataset.StudyDate, dataset.StudyTime, dataset.StudyID = "20260301", "101500", "7"
    dataset.AccessionNumber, dataset.ReferringPhysicianName = "ACC0815", "Doctor^Hidden"
    dataset.Modality, dataset.Manufacturer = "CR", "infmap tests"
    dataset.SeriesNumber, dataset.InstanceNumber = 1, 1
    dataset.BodyPartExamined, dataset.ViewPosition = "CHEST", "PA"
    dataset.PatientOrientation = ["L", "F"]
    dataset.ImagerPixelSpacing = [0.2, 0.2]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = values.shape
    allocated = 8 * values.dtype.itemsize
    dataset.BitsAllocated, dataset.BitsStored = allocated, min(allocated, 12)
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(values.dtype.kind == "i")
    dataset.PixelData = values.astype(values.dtype.newbyteorder("<")).tobytes()
    dataset["PixelData"].VR = "OB" if allocated == 8 else "OW"
    if allocated == 16:
        dataset.WindowCenter, dataset.WindowWidth = 2048, 4096
    for name, value in tags.items():
        if value is None:
            delattr(dataset, name)
        else:
            setattr(dataset, name, value)
    return dataset


def as_file(dataset: Dataset) -> bytes:
    """A data set as a DICOM file's bytes."""
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def with_raw(content: bytes, **raw: tuple[str, bytes] | None) -> bytes:
    """Put elements as they are, whatever pydicom thinks of them, into an explicit little endian file.

    Parameters
    ----------
    content
        A file of :func:`as_file` without sequences.
    raw
        Keyword to VR and bytes, which are padded to an even length; ``None`` takes the element away.
    """
    elements, place = {}, 132
    while place < len(content):
        group, number = struct.unpack_from("<HH", content, place)
        vr = content[place + 4 : place + 6].decode()
        is_long = vr in ("OB", "OW", "SQ", "UN")
        (length,) = struct.unpack_from(
            "<I" if is_long else "<H", content, place + (8 if is_long else 6)
        )
        place += 12 if is_long else 8
        elements[group << 16 | number] = (vr, content[place : place + length])
        place += length
    for keyword, element in raw.items():
        tag = int(tag_for_keyword(keyword) or 0)
        elements.pop(tag, None)
        if element is not None:
            elements[tag] = element
    # The meta group's own length.
    del elements[0x00020000]
    written = {0: b"", 1: b""}
    for tag in sorted(elements):
        vr, value = elements[tag]
        value += (b"\0" if vr in ("UI", "OB", "UN") else b" ") * (len(value) % 2)
        head = struct.pack("<HH", tag >> 16, tag & 0xFFFF) + vr.encode()
        is_long = vr in ("OB", "OW", "SQ", "UN")
        head += struct.pack("<xxI" if is_long else "<H", len(value))
        written[int(tag >> 16 != 2)] += head + value
    meta_length = b"\x02\0\0\0UL\4\0" + struct.pack("<I", len(written[0]))
    return content[:132] + meta_length + written[0] + written[1]


def encoded(dataset: Dataset, syntax: str, folder: Path) -> bytes:
    """An uncompressed data set's file in another transfer syntax; skips without DCMTK's encoders."""
    # Not one that was read: pydicom writes such a one in its own byte order only.
    dataset = copy.deepcopy(dataset)
    if syntax in _DCMTK:
        return through_dcmtk(as_file(dataset), folder, *_DCMTK[syntax])
    if syntax in (RLELossless, JPEG2000Lossless):
        dataset.compress(syntax, generate_instance_uid=False)
        return as_file(dataset)
    if syntax == ExplicitVRBigEndian and dataset.BitsAllocated == 16:
        dataset.PixelData = np.frombuffer(dataset.PixelData, "<u2").astype(">u2").tobytes()
    dataset.file_meta.TransferSyntaxUID = syntax
    return as_file(dataset)


def through_dcmtk(content: bytes, folder: Path, program: str, *arguments: str) -> bytes:
    """A file through one of DCMTK's converters."""
    if shutil.which(program) is None:
        pytest.skip(f"needs {program}: apt-get install dcmtk")
    before, after = folder / "before.dcm", folder / "after"
    before.write_bytes(content)
    subprocess.run([program, *arguments, before, after], check=True, capture_output=True)
    return after.read_bytes()
