"""Makes the synthetic part of the corpus: ``python -m fuzz.seeds`` writes what is missing.

Nothing in it is of a patient. Inputs that broke something lie beside these, under libFuzzer's names.
"""

from __future__ import annotations

import hashlib
import io
import json
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from pydicom import Dataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
)

from dicom_files import as_file, chest_dataset, drawn_chest
from fuzz.replay import CORPUS
from fuzz.targets import tar_member
from hostile_pictures import SMALL
from infmap_kit.model.run_folder import SPEC

_ROOT = Path(__file__).parents[2]
_SIDE = 72


def pictures() -> Iterator[tuple[str, bytes]]:
    """Small rasters of each kind."""
    gray = (drawn_chest()[:: 320 // _SIDE, :: 260 // _SIDE][:_SIDE, :64] // 16).astype(np.uint8)
    gray = np.ascontiguousarray(np.resize(gray, (_SIDE, 66)))
    colour = cv2.merge([gray] * 3)
    for name, picture, options in (
        ("gray.png", gray, ()),
        ("gray16.png", gray.astype(np.uint16) * 100, ()),
        ("alpha.png", cv2.merge([gray] * 4), ()),
        ("gray.jpg", gray, ()),
        ("colour.jpg", colour, (cv2.IMWRITE_JPEG_PROGRESSIVE, 1)),
        ("gray.tif", gray, ()),
        ("gray16.tif", gray.astype(np.uint16) * 100, ()),
    ):
        yield name, cv2.imencode(Path(name).suffix, picture, options)[1].tobytes()
    image, exif = Image.fromarray(gray), Image.Exif()
    exif[0x0112] = 6
    for name, kind, packing in (
        ("turned.jpg", "JPEG", None),
        ("turned.png", "PNG", None),
        ("jpeg.tif", "TIFF", "jpeg"),
    ):
        buffer = io.BytesIO()
        image.save(buffer, kind, exif=exif, compression=packing)
        yield name, buffer.getvalue()
    yield from SMALL.items()


def dicom_files() -> Iterator[tuple[str, bytes]]:
    """Small radiographs in each transfer syntax that is encoded without other programs."""
    import imagecodecs

    small = np.ascontiguousarray(drawn_chest()[:72, :66])
    lut = Dataset()
    lut.LUTDescriptor, lut.LUTExplanation = [16, 0, 8], "x"
    lut.add_new("LUTData", "US", list(range(0, 256, 16)))
    for name, syntax in {
        "implicit": ImplicitVRLittleEndian, "explicit": ExplicitVRLittleEndian,
        "big-endian": ExplicitVRBigEndian, "deflated": DeflatedExplicitVRLittleEndian,
    }.items():  # fmt: skip
        dataset = chest_dataset(small)
        if name == "explicit":
            dataset.VOILUTSequence = Sequence([lut])
        if name == "big-endian":
            dataset.PixelData = small.astype(">u2").tobytes()
        dataset.file_meta.TransferSyntaxUID = syntax
        yield f"{name}.dcm", as_file(dataset)
    eight = (small // 16).astype(np.uint8)
    for name, syntax, values, stream in (
        ("jpeg", JPEGBaseline8Bit, eight, imagecodecs.jpeg8_encode(eight)),
        ("jpeg-ls", JPEGLSLossless, small, imagecodecs.jpegls_encode(small)),
        ("jpeg-2000", JPEG2000Lossless, small,
         imagecodecs.jpeg2k_encode(small, codecformat="J2K", reversible=True, level=0)),
        ("jp2", JPEG2000Lossless, small,
         imagecodecs.jpeg2k_encode(small, codecformat="JP2", reversible=True, level=0)),
    ):  # fmt: skip
        dataset = chest_dataset(values)
        dataset.PixelData = encapsulate([bytes(stream)])
        dataset["PixelData"].VR = "OB"
        dataset.file_meta.TransferSyntaxUID = syntax
        yield f"{name}.dcm", as_file(dataset)
    dataset = chest_dataset(small)
    dataset.compress(RLELossless, generate_instance_uid=False)
    yield "rle.dcm", as_file(dataset)
    content = as_file(chest_dataset(small))
    yield "no-preamble.dcm", content[132:]
    yield "no-meta.dcm", content[content.index(b"\x08\x00\x16\x00UI") :]


def attributes() -> Iterator[tuple[str, bytes]]:
    """DICOM files in which the pixels are few, and those that say what cannot be."""
    plain = as_file(chest_dataset(np.zeros((8, 8), np.uint16)))
    start = plain.index(b"\x08\x00\x16\x00UI")
    yield "few-pixels.dcm", plain
    nested = b"\x08\x00\x40\x11SQ\x00\x00\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    yield "nested.dcm", plain[:start] + nested * 300 + plain[start:]
    yield "empty-elements.dcm", plain[:start] + b"\x08\x00\x00\x10LO\x00\x00" * 500 + plain[start:]
    deflated = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    meta = chest_dataset().file_meta
    meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    only = Dataset()
    only.file_meta, only.SOPClassUID, only.SOPInstanceUID = (
        meta,
        "1.2.840.10008.5.1.4.1.1.1",
        "1.2.3",
    )
    head = as_file(only)
    (length,) = struct.unpack_from("<I", head, 140)
    body = deflated.compress(plain[start:]) + deflated.flush()
    yield "deflated-without-preamble.dcm", head[132 : 144 + length] + body


def records() -> Iterator[tuple[str, str, bytes]]:
    """Target, name and content of what a model consists of; a bundle's big files are a few bytes here."""
    content = (_ROOT / "training" / "demo_model" / SPEC).read_bytes()
    yield "spec", "demo.json", content
    digest = hashlib.sha256(b"x").hexdigest()
    spec = {**json.loads(content), "files": {"segmentation.onnx": digest}}
    network = {"name": spec["name"], "version": spec["version"], "onnx_sha256": digest}
    manifest = {
        "schema": 1, "target": "embedded", "precision": "fp32",
        "model": {**network, "network": spec["network"]},
        "files": {"infmap/config.pbtxt": digest}, "built_with": {"infmap-kit": "0.1.0"}, "release": 1,
        "published": "2026-11-27T00:00:00+00:00", "gate": {}, "seal": "",
    }  # fmt: skip
    yield "manifest", "embedded.json", json.dumps(manifest).encode()
    record = {**network, "schema": 1, "made_with": "0.1.0", "pictures": 1, "files": {}}
    parts = json.dumps(record).encode(), json.dumps(spec).encode()
    yield "bundle", "record-and-spec", b"\0".join(parts)
    files = {"bundle.json": parts[0], SPEC: parts[1], "segmentation.onnx": b"x"}
    yield "bundle", "small.bundle", b"".join(tar_member(n, c) for n, c in files.items())


def messages() -> Iterator[tuple[str, str, bytes]]:
    """Target, name and content of what comes by network."""
    from pynetdicom.pdu import A_RELEASE_RQ

    from pdus import association_request, echo_request, store_request

    yield "request", "usual", association_request()
    yield "request", "http", b"GET / HTTP/1.1\r\n\r\n"
    plain = as_file(chest_dataset(np.zeros((8, 8), np.uint16)))
    stored = plain[plain.index(b"\x08\x00\x16\x00UI") :]
    for name, content in (("echo", echo_request()), ("store", store_request("1.2.3", stored))):
        yield "association", name, content
        yield "association", f"{name}-and-release", content + A_RELEASE_RQ().encode()
    yield "association", "long-pdu", b"\x04\x00\xff\xff\xff\xff"
    pick = {"kind": "pick", "item": "$ITEM", "slot": 1, "elapsed_ms": 5, "tab": "t", "key": "k"}
    yield "annotation", "pick", b"J" + json.dumps(pick).encode()
    yield "annotation", "undo", b'J{"kind": "undo", "item": null}'
    yield "annotation", "surrogate", b'J{"kind": "skip", "item": "\\ud800"}'
    mask = np.zeros((70, 93), np.uint8)
    mask[20:40, 20:40] = 255
    yield "annotation", "drawing", b"D" + cv2.imencode(".png", mask)[1].tobytes()
    yield "annotation", "hostile-drawing", b"D" + SMALL["texts.png"]


def corpus() -> Iterator[tuple[str, str, bytes]]:
    """Target, name and content of every seed."""
    for name, content in pictures():
        yield "decode", name, content
    for name, content in dicom_files():
        yield "decode", name, content
    for name, content in attributes():
        yield "dataset", name, content
    yield from records()
    yield from messages()


def main() -> None:
    """Write the seeds that are missing."""
    for target, name, content in corpus():
        path = CORPUS / target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.write_bytes(content)


if __name__ == "__main__":
    main()
