"""Tensors of a PyTorch checkpoint, read without PyTorch and without running what the file says.

A checkpoint is a pickle, which may name any function to call. Here its instructions are looked through before
they are followed: they may build plain containers, numbers and texts, and name the few things that make up
tensors. Both formats are read: the ZIP of PyTorch 1.6 and later, and the one before it (as the published
CheXNet's ``model.pth.tar`` is), which is no tar at all in spite of its name.

Source: ``torch.serialization`` (``_save``, ``_legacy_save``) and ``torch._utils`` (``_rebuild_tensor_v2``).
"""

from __future__ import annotations

import collections
import io
import math
import pickle
import pickletools
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from infmap_kit.errors import TrainingError

MAX_FILE_BYTES = 2**30
"""Largest checkpoint; DenseNet-121 with its optimizer's state takes 85 MiB."""

MAX_PICKLE_BYTES = 2**24
"""Largest pickle, which holds names and shapes; DenseNet-121's takes 0.2 MiB."""

_ZIP_SIGNATURE, _PICKLE_SIGNATURE = b"PK\x03\x04", b"\x80"
_MAX_DIMENSIONS = 8
_LEGACY_MAGIC, _LEGACY_PROTOCOL = 0x1950A86A20F9469CFC6C, 1001

_DTYPES = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "<i1",
    "ByteStorage": "<u1",
    "BoolStorage": "?",
}

# What makes objects of classes in other ways than REDUCE and BUILD: no checkpoint needs it.
_REFUSED_OPCODES = frozenset(
    (
        *("INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4"),
        *("STACK_GLOBAL", "NEXT_BUFFER", "READONLY_BUFFER", "PERSID"),
    )
)
# For an entry of any number the unpickler would take memory.
_MEMO_OPCODES = frozenset(("PUT", "BINPUT", "LONG_BINPUT"))


# Tuples, because the instructions of a pickle can change any object that has attributes of its own.
class _Storage(NamedTuple):
    """Numbers in a row, that lie elsewhere in the file."""

    dtype: str
    key: str
    length: int


class _Tensor(NamedTuple):
    """A view of a storage."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read_tensors(path: Path) -> dict[str, NDArray[Any]]:
    """Read the named tensors of a checkpoint: those under ``state_dict``, or of the file's own mapping.

    Raises
    ------
    TrainingError
        When it is no checkpoint, larger than a network's, damaged, or holds more than tensors and plain values.
    """
    try:
        with path.open("rb") as file:
            _refuse_large(file)
            signature = file.read(4)
            file.seek(0)
            if signature.startswith(_ZIP_SIGNATURE):
                return _named_tensors(*_read_zip(file))
            return _named_tensors(*_read_legacy(file))
    except _Refused as error:
        raise TrainingError(f"{path} is no PyTorch checkpoint that can be read: {error}") from error
    except OSError as error:
        raise TrainingError(f"cannot read {path}: {error.strerror or error}") from error


def is_checkpoint(start: bytes) -> bool:
    """Whether a file that starts so is a checkpoint of either format."""
    return start.startswith((_ZIP_SIGNATURE, _PICKLE_SIGNATURE))


class _Refused(Exception):
    """The reason why a file is not read."""


def _read_zip(file: BinaryIO) -> tuple[Any, dict[str, bytes]]:
    """The pickled object, and the storages' bytes by key."""
    try:
        with zipfile.ZipFile(file) as archive:
            entries = {info.filename: info for info in archive.infolist()}
            (record,) = [name for name in entries if name.split("/")[1:] == ["data.pkl"]]
            folder = record.removesuffix("data.pkl")
            # PyTorch compresses nothing, so that an entry is as large as it says.
            if any(info.compress_type != zipfile.ZIP_STORED for info in entries.values()):
                raise _Refused("its entries are compressed, which PyTorch does not do")
            if sum(info.file_size for info in entries.values()) > MAX_FILE_BYTES:
                raise _Refused("its entries claim more than the file holds")
            order = f"{folder}byteorder"
            if order in entries and archive.read(order).strip() != b"little":
                raise _Refused("its numbers are not in little-endian order")
            _refuse_long(entries[record].file_size)
            loaded = _Reader(archive.read(record)).load()
            data = {
                name.removeprefix(f"{folder}data/"): archive.read(name)
                for name in entries
                if name.startswith(f"{folder}data/")
            }
            return loaded, data
    except (zipfile.BadZipFile, ValueError, KeyError, EOFError, NotImplementedError) as error:
        raise _Refused("it is damaged, or no archive of PyTorch's") from error


def _read_legacy(file: BinaryIO) -> tuple[Any, dict[str, bytes]]:
    """The same of the older format: pickles in a row, then each storage's count and numbers."""
    if _Reader(_one_pickle(file)).load() != _LEGACY_MAGIC:
        raise _Refused("it does not begin as one")
    if _Reader(_one_pickle(file)).load() != _LEGACY_PROTOCOL:
        raise _Refused("it is of another version of the format")
    system = _Reader(_one_pickle(file)).load()
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise _Refused("its numbers are not in little-endian order")
    reader = _Reader(_one_pickle(file))
    loaded = reader.load()
    keys = _Reader(_one_pickle(file)).load()
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise _Refused("it does not list its numbers")
    data: dict[str, bytes] = {}
    for key in keys:
        storage = reader.storages.get(key)
        count = int.from_bytes(file.read(8), "little", signed=True)
        if storage is None or count != storage.length:
            raise _Refused("what it says of its numbers does not agree")
        size = count * np.dtype(storage.dtype).itemsize
        # Python takes the memory before it looks how much is there.
        if size > MAX_FILE_BYTES:
            raise _Refused("it claims more numbers than the file holds")
        data[key] = file.read(size)
    return loaded, data


def _one_pickle(file: BinaryIO) -> bytes:
    """The bytes of the next pickle in a file."""
    start = file.tell()
    content = file.read(MAX_PICKLE_BYTES)
    stream = io.BytesIO(content)
    for _ in _instructions(stream):
        pass
    file.seek(start + stream.tell())
    return content[: stream.tell()]


def _instructions(stream: BinaryIO) -> Iterator[tuple[pickletools.OpcodeInfo, Any, int | None]]:
    try:
        yield from pickletools.genops(stream)
    except (ValueError, UnicodeDecodeError, OverflowError) as error:
        raise _Refused("it is damaged, or no checkpoint at all") from error


def _refuse_large(file: BinaryIO) -> None:
    if file.seek(0, io.SEEK_END) > MAX_FILE_BYTES:
        raise _Refused(f"it has more than {MAX_FILE_BYTES >> 20} MiB, which no encoder has")
    file.seek(0)


def _refuse_long(size: int) -> None:
    if size > MAX_PICKLE_BYTES:
        raise _Refused(f"its record of names has {size} bytes, at most {MAX_PICKLE_BYTES} are read")


def _refuse_instructions(content: bytes) -> None:
    """Look through a pickle for what is more than data, before anything of it is followed."""
    memo = 0
    for opcode, argument, _ in _instructions(io.BytesIO(content)):
        if opcode.name in _REFUSED_OPCODES:
            raise _Refused(f"it holds instructions ({opcode.name}) that weights do not need")
        if opcode.name == "GLOBAL" and _meaning(*str(argument).split(" ", 1)) is None:
            raise _Refused(
                f"it holds {argument!r:.80}, which is more than weights: save its state_dict() alone"
            )
        if opcode.name in _MEMO_OPCODES:
            memo += 1
            if int(str(argument)) > 2 * memo + 256:
                raise _Refused("it numbers its parts as no pickle does")


def _meaning(module: str, name: str = "") -> Any:
    """The object that a name in the pickle stands for here; ``None`` for all that weights do not need."""
    if (module, name) == ("collections", "OrderedDict"):
        return collections.OrderedDict
    if module == "torch._utils" and name in ("_rebuild_tensor", "_rebuild_tensor_v2"):
        return _RebuildTensor()
    if (module, name) == ("torch._utils", "_rebuild_parameter"):
        return _RebuildParameter()
    if (module, name) == ("torch", "Size"):
        return tuple
    if module in ("torch", "torch.cuda") and name in _DTYPES:
        return name
    return None


class _RebuildTensor:
    """``_rebuild_tensor`` and its successor: a view of a storage, looked at before any number is."""

    __slots__ = ()

    def __call__(self, storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> _Tensor:
        if not isinstance(storage, _Storage):
            raise _Refused("a tensor in it has no numbers")
        made = _Tensor(storage, offset, _sizes(shape), _sizes(strides))
        if type(offset) is not int or offset < 0 or len(made.shape) != len(made.strides):
            raise _Refused("a tensor in it is none")
        steps = zip(made.shape, made.strides, strict=True)
        last = offset + sum((size - 1) * step for size, step in steps)
        count = math.prod(made.shape)
        if count > storage.length or (count and last >= storage.length):
            raise _Refused("a tensor in it reaches beyond its numbers")
        return made


class _RebuildParameter:
    """``_rebuild_parameter``: the tensor that it wraps."""

    __slots__ = ()

    def __call__(self, tensor: Any, *_: Any) -> Any:
        return tensor


def _sizes(value: Any) -> tuple[int, ...]:
    if not isinstance(value, tuple | list) or len(value) > _MAX_DIMENSIONS:
        raise _Refused("a tensor in it has no shape")
    if not all(type(size) is int and size >= 0 for size in value):
        raise _Refused("a tensor in it has no shape")
    return tuple(value)


class _Reader(pickle.Unpickler):
    """Follows a pickle that was looked through."""

    def __init__(self, content: bytes) -> None:
        _refuse_instructions(content)
        # Python 2 wrote some of the published checkpoints; its texts are bytes.
        super().__init__(io.BytesIO(content), encoding="utf-8")
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        meaning = _meaning(module, name)
        if meaning is None:
            raise _Refused(f"it holds {module}.{name}, which is more than weights")
        return meaning

    def persistent_load(self, pid: Any) -> _Storage:
        """A storage: ``("storage", type, key, location, count)``, and, in the older format, a view of it."""
        if not isinstance(pid, tuple) or len(pid) not in (5, 6) or pid[0] != "storage":
            raise _Refused("it refers to something that is no tensor's")
        kind, key, count = pid[1], pid[2], pid[4]
        view = pid[5] if len(pid) == 6 else None
        if kind not in _DTYPES or not isinstance(key, str) or type(count) is not int or count < 0:
            raise _Refused("a tensor in it is of a type that is not known")
        if view is not None:
            raise _Refused("its tensors share numbers in a way that is not read: save it again")
        return self.storages.setdefault(key, _Storage(_DTYPES[kind], key, count))

    def load(self) -> Any:
        try:
            return super().load()
        except _Refused:
            raise
        except Exception as error:
            # A damaged pickle raises whatever its instructions stumble over.
            raise _Refused("it is damaged") from error


def _named_tensors(loaded: Any, data: Mapping[str, bytes]) -> dict[str, NDArray[Any]]:
    if not isinstance(loaded, dict):
        raise _Refused("it holds no names of weights: save its state_dict()")
    named = loaded.get("state_dict", loaded)
    if not isinstance(named, dict):
        raise _Refused("its state_dict holds no names of weights")
    tensors = {
        str(name): _array(tensor, data)
        for name, tensor in named.items()
        if isinstance(tensor, _Tensor)
    }
    if not tensors:
        raise _Refused("it holds no weights by name: save its state_dict()")
    return tensors


def _array(tensor: _Tensor, data: Mapping[str, bytes]) -> NDArray[Any]:
    dtype = np.dtype(tensor.storage.dtype)
    content = data.get(tensor.storage.key, b"")
    if len(content) < tensor.storage.length * dtype.itemsize:
        raise _Refused("it is cut short")
    numbers = np.frombuffer(content, dtype, tensor.storage.length)
    view = np.lib.stride_tricks.as_strided(
        numbers[tensor.offset :], tensor.shape, [step * dtype.itemsize for step in tensor.strides]
    )
    return view.copy()
