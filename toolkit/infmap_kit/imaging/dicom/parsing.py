"""The one place that calls pydicom's reader, in bounds of elements, bytes and depth.

It reads the file meta information once: pydicom's own function for whole files would decide anew whether the
rest is deflated, and inflate it to any size.
"""

from __future__ import annotations

import contextlib
import io
import zlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, BinaryIO

from infmap_kit.errors import InputRejected
from infmap_kit.imaging.radiograph import MAX_PIXELS, Reason

if TYPE_CHECKING:
    from pydicom.dataset import FileDataset, FileMetaDataset

MAX_INFLATED_BYTES = 2 * MAX_PIXELS + 2**24
"""Largest deflated data set after inflating: the largest picture at 16 bits, and room for tags."""

MAX_READS = 100_000
"""How often the parser may ask for bytes: two or three times an element. Real files have hundreds of
elements; millions of empty ones would fill the memory."""

MAX_HEADER_BYTES = 2**25
"""Most bytes that are read apart from the pixels. What is skipped does not count: private elements, and
whatever else nobody asks for, unless they lie in a sequence without a length. Some such hold a small
picture."""

_MARK, _MARK_START = b"DICM", 128
_META_GROUP = 0x0002
_FIRST_GROUPS = (b"\x02\x00", b"\x08\x00")
"""Of the first element of a file without preamble."""
_PIXELS = frozenset((0x7FE00008, 0x7FE00009, 0x7FE00010))
_BIG_ENDIAN_GROUPS = 0x0400


class BoundedFile:
    """A file whose reader is refused when it asks too often, or for too much.

    Parameters
    ----------
    source
        The file; it stays open.
    """

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self.seek, self.tell = source.seek, source.tell
        self._reads = self._header_bytes = 0
        self.is_in_pixels = False
        self._failure: Exception | None = None

    def read(self, size: int = -1, /) -> bytes:
        """Read so many bytes.

        Raises
        ------
        InputRejected
            ``too-large``.
        OSError
            When the file cannot be read.
        """
        try:
            self._refuse_excess(size)
            return self._source.read(size)
        except (InputRejected, OSError) as error:
            self._failure = error
            raise

    def _refuse_excess(self, size: int) -> None:
        self._reads += 1
        if self._reads > MAX_READS:
            raise InputRejected(
                Reason.TOO_LARGE,
                "expected a radiograph's few hundred attributes, found tens of thousands",
                found={"limit_reads": MAX_READS},
            )
        if not self.is_in_pixels and size > 0:
            self._header_bytes += size
            if self._header_bytes > MAX_HEADER_BYTES:
                raise InputRejected(
                    Reason.TOO_LARGE,
                    f"expected at most {MAX_HEADER_BYTES >> 20} MiB of attributes, found more",
                    found={"limit_bytes": MAX_HEADER_BYTES},
                )

    def begin_element(self, tag: int) -> bool:
        """Note which element is read next, and tell whether it is one of pixels."""
        self.is_in_pixels = tag in _PIXELS
        return self.is_in_pixels

    @contextlib.contextmanager
    def parsing(self) -> Iterator[None]:
        """Raise what stopped the parser: pydicom calls anything inside a sequence an ``OSError``.

        Raises
        ------
        InputRejected
            ``too-large``, or ``unreadable`` where pydicom's ``OSError`` is about the content.
        OSError
            When the file cannot be read.
        """
        try:
            yield
        except (OSError, RecursionError) as error:
            if self._failure is not None:
                raise self._failure from error
            if any(isinstance(cause, RecursionError) for cause in (error, error.__context__)):
                raise InputRejected(
                    Reason.TOO_LARGE, "expected a few sequences inside each other, found hundreds"
                ) from error
            raise InputRejected(
                Reason.UNREADABLE, "expected items in a sequence, found something else: damaged"
            ) from error


def parse_meta(file: BoundedFile) -> FileMetaDataset:
    """Parse the file meta information, empty when there is none.

    Parameters
    ----------
    file
        A DICOM file, with or without preamble, from its beginning. Afterwards it stands behind the meta
        information.

    Raises
    ------
    InputRejected
        ``too-large`` or ``unreadable``.
    Exception
        Whatever pydicom raises of what is no DICOM file, or a damaged one.
    """
    from pydicom.dataset import FileMetaDataset
    from pydicom.errors import InvalidDicomError
    from pydicom.filereader import read_dataset

    file.seek(_MARK_START)
    if file.read(len(_MARK)) != _MARK:
        file.seek(0)
        if file.read(2) not in _FIRST_GROUPS:
            raise InvalidDicomError
        file.seek(0)
    with file.parsing():
        meta = read_dataset(
            file,
            is_implicit_VR=False,
            is_little_endian=True,
            stop_when=lambda tag, _vr, _length: tag.group != _META_GROUP,
        )
    return FileMetaDataset(meta)


def parse_attributes(
    file: BoundedFile,
    meta: FileMetaDataset,
    keywords: Sequence[str] | None,
    *,
    before_pixels: bool = False,
    left_in_file_bytes: int | None = None,
) -> FileDataset:
    """Parse what follows the meta information.

    Parameters
    ----------
    file, meta
        As :func:`parse_meta` left and gave them.
    keywords
        The attributes to take; all when ``None``.
    before_pixels
        Whether to stop, and leave the file, where the pixels' element begins.
    left_in_file_bytes
        Values that are longer than this are not read; theirs is ``None``.

    Raises
    ------
    InputRejected
        ``too-large``, ``truncated`` or ``unreadable``.
    Exception
        Whatever pydicom raises of damaged files.
    """
    from pydicom.datadict import tag_for_keyword
    from pydicom.dataset import FileDataset
    from pydicom.filereader import read_dataset
    from pydicom.tag import Tag

    is_implicit, is_little = _encoding(file, meta)
    tags = None
    if keywords is not None:
        known = map(tag_for_keyword, ("SpecificCharacterSet", *keywords))
        tags = [Tag(tag) for tag in known if tag is not None]
    with file.parsing():
        dataset = read_dataset(
            file,
            is_implicit,
            is_little,
            stop_when=lambda tag, _vr, _length: file.begin_element(tag) and before_pixels,
            defer_size=left_in_file_bytes,
            specific_tags=tags,
        )
    if not dataset and file.is_in_pixels and not before_pixels:
        # pydicom gives up all that it has read where compressed pixels have no end.
        raise InputRejected(
            Reason.TRUNCATED,
            "the file ends in the middle of its compressed picture: fetch it again",
        )
    encoding = dataset.original_encoding
    whole = FileDataset(io.BytesIO(), dataset, None, meta, *encoding)
    whole.set_original_encoding(*encoding, dataset.original_character_set)
    return whole


def is_deflated(meta: FileMetaDataset) -> bool:
    """Whether the attributes are deflated."""
    from pydicom.uid import DeflatedExplicitVRLittleEndian

    return bool(meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian)


def inflated(file: BoundedFile, content: bytes) -> BoundedFile:
    """Inflate what follows the meta information of a file's content, up to a limit.

    Raises
    ------
    InputRejected
        ``too-large``.
    """
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    attributes = inflater.decompress(memoryview(content)[file.tell() :], MAX_INFLATED_BYTES)
    if inflater.unconsumed_tail:
        raise InputRejected(
            Reason.TOO_LARGE,
            f"expected a data set of at most {MAX_INFLATED_BYTES >> 20} MiB, found a deflated one "
            "that is larger",
            found={"limit_bytes": MAX_INFLATED_BYTES},
        )
    return BoundedFile(io.BytesIO(attributes))


def _encoding(file: BoundedFile, meta: FileMetaDataset) -> tuple[bool, bool]:
    """Whether VRs are implicit, and bytes little-endian: by the transfer syntax, else by the first element."""
    from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian
    from pydicom.values import converters

    syntax = meta.get("TransferSyntaxUID")
    if syntax:
        return syntax == ImplicitVRLittleEndian, syntax != ExplicitVRBigEndian
    start = file.tell()
    first = file.read(6)
    file.seek(start)
    if first[4:6].decode("latin-1") not in converters:
        return True, True
    # The number of a group is small, and read in the wrong order large.
    return False, int.from_bytes(first[:2], "little") < _BIG_ENDIAN_GROUPS
