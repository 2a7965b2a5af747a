"""Checkpoints of PyTorch, written here by hand in both of its formats, as PyTorch writes them."""

from __future__ import annotations

import collections
import io
import pickle
import re
import struct
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

tf = pytest.importorskip("tensorflow", reason="TensorFlow is not installed")

from infmap_kit.errors import TrainingError
from infmap_kit.model.spec import NetworkSpec
from infmap_train.networks.segmentation import encoder_layers
from infmap_train.networks.weights.encoder_weights import build_initialised
from infmap_train.networks.weights.torch_checkpoint import read_tensors

pytestmark = pytest.mark.train
keras = tf.keras

BLOCKS = (6, 12, 24, 16)


class _Named:
    """Pickled as a name in a module that is not here, as ``torch._utils._rebuild_tensor_v2`` is."""

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name


class _Storage:
    def __init__(self, key: str, values: NDArray[np.float32]) -> None:
        self.key, self.values = key, values


class _Tensor:
    def __init__(
        self, storage: _Storage, shape: tuple[int, ...], strides: tuple[int, ...] | None = None
    ) -> None:
        self.storage, self.shape = storage, shape
        behind = (shape[axis + 1 :] for axis in range(len(shape)))
        self.strides = strides or tuple(int(np.prod(sizes)) for sizes in behind)


_IN_PYTHON: Any = pickle._Pickler  # C's cannot be taught names


class _Pickler(_IN_PYTHON):  # type: ignore[misc]
    """Writes tensors as PyTorch does, without PyTorch."""

    legacy = False

    def save(self, value: Any, save_persistent_id: bool = True) -> None:
        if isinstance(value, _Named):
            self.write(pickle.GLOBAL + f"{value.module}\n{value.name}\n".encode())
        elif isinstance(value, _Storage):
            kind = _Named("torch", "FloatStorage")
            place = ("cuda:0", value.values.size, *([None] if self.legacy else []))
            super().save(("storage", kind, value.key, *place), save_persistent_id=False)
            self.write(pickle.BINPERSID)
        elif isinstance(value, _Tensor):
            self.save(_Named("torch._utils", "_rebuild_tensor_v2"))
            hooks: Any = collections.OrderedDict()
            self.save((value.storage, 0, value.shape, value.strides, False, hooks))
            self.write(pickle.REDUCE)
        else:
            super().save(value, save_persistent_id)


def _pickled(value: Any, *, legacy: bool) -> bytes:
    stream = io.BytesIO()
    pickler = _Pickler(stream, protocol=2)
    pickler.legacy = legacy
    pickler.dump(value)
    return stream.getvalue()


def checkpoint(
    tensors: Mapping[str, NDArray[np.float32]], **beside: Any
) -> tuple[Any, list[_Storage]]:
    storages = [_Storage(str(number), values) for number, values in enumerate(tensors.values())]
    named = collections.OrderedDict(
        (name, _Tensor(storage, storage.values.shape))
        for name, storage in zip(tensors, storages, strict=True)
    )
    # PyTorch keeps its versions in an attribute, which makes the pickle say BUILD.
    named._metadata = collections.OrderedDict({"": {"version": 1}})  # type: ignore[attr-defined]
    return {
        "epoch": 3,
        "best_loss": 0.25,
        "optimizer": {"state": {}},
        **beside,
        "state_dict": named,
    }, storages


def write_zip(path: Path, value: Any, storages: list[_Storage]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("archive/data.pkl", _pickled(value, legacy=False))
        archive.writestr("archive/byteorder", "little")
        for storage in storages:
            archive.writestr(f"archive/data/{storage.key}", storage.values.tobytes())
        archive.writestr("archive/version", "3\n")


def write_legacy(path: Path, value: Any, storages: list[_Storage]) -> None:
    parts: list[bytes] = [
        pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2),
        pickle.dumps(1001, protocol=2),
        pickle.dumps(
            {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}, protocol=2
        ),
        _pickled(value, legacy=True),
        pickle.dumps([storage.key for storage in storages], protocol=2),
    ]
    for storage in storages:
        parts += [struct.pack("<q", storage.values.size), storage.values.tobytes()]
    path.write_bytes(b"".join(parts))


WRITERS = pytest.mark.parametrize("write", [write_zip, write_legacy])
Writer = Callable[[Path, Any, list[_Storage]], None]


def _densenet(rng: np.random.Generator, spelled: str) -> dict[str, NDArray[np.float32]]:
    """Random weights of DenseNet-121 with 14 classes, by the names that torchvision gives them."""
    tensors: dict[str, NDArray[np.float32]] = {}

    def conv(name: str, into: int, out: int, side: int) -> None:
        kernel = rng.normal(size=(out, into, side, side)) / np.sqrt(into * side * side)
        tensors[f"{name}.weight"] = kernel.astype(np.float32)

    def norm(name: str, channels: int) -> None:
        for part, low in (
            ("weight", 0.5),
            ("bias", -0.2),
            ("running_mean", -0.1),
            ("running_var", 0.5),
        ):
            values = rng.uniform(low, low + 0.7, channels)
            tensors[f"{name}.{part}"] = values.astype(np.float32)

    conv("features.conv0", 3, 64, 7)
    norm("features.norm0", 64)
    channels = 64
    for block, layers in enumerate(BLOCKS, start=1):
        for layer in range(1, layers + 1):
            name = f"features.denseblock{block}.denselayer{layer}"
            norm(f"{name}.norm1", channels)
            conv(f"{name}.conv1", channels, 128, 1)
            norm(f"{name}.norm2", 128)
            conv(f"{name}.conv2", 128, 32, 3)
            channels += 32
        if block < 4:
            norm(f"features.transition{block}.norm", channels)
            conv(f"features.transition{block}.conv", channels, channels // 2, 1)
            channels //= 2
    norm("features.norm5", channels)
    tensors["classifier.0.weight"] = rng.normal(size=(14, channels)).astype(np.float32)
    tensors["classifier.0.bias"] = rng.normal(size=14).astype(np.float32)
    if spelled == "torchvision":
        return tensors
    return {
        "module.densenet121." + re.sub(r"(norm|conv)([12])\.", r"\1.\2.", name): tensor
        for name, tensor in tensors.items()
    }


def _by_hand(tensors: Mapping[str, NDArray[np.float32]]) -> Any:
    """Set the same weights in Keras' own DenseNet-121, layer after layer of both, in the order of building."""
    model = keras.applications.DenseNet121(include_top=False, weights=None, input_shape=(64, 64, 3))
    kernels = iter([t.transpose(2, 3, 1, 0) for n, t in tensors.items() if t.ndim == 4])
    norms = iter([name for name in tensors if name.endswith("running_mean")])
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D):
            layer.set_weights([next(kernels)])
        elif isinstance(layer, keras.layers.BatchNormalization):
            name = next(norms).removesuffix("running_mean")
            parts = ("weight", "bias", "running_mean", "running_var")
            layer.set_weights([tensors[name + part] for part in parts])
    assert next(kernels, None) is None
    assert next(norms, None) is None
    return model


@pytest.mark.parametrize(
    ("spelled", "write"), [("torchvision", write_zip), ("chexnet", write_legacy)]
)
def test_a_checkpoint_gives_the_encoder_that_its_weights_give_set_by_hand(
    spelled: str, write: Writer, tmp_path: Path
) -> None:
    tensors = _densenet(np.random.default_rng(3), spelled)
    write(tmp_path / "model.pth.tar", *checkpoint(tensors))
    network = NetworkSpec.parse("unet/chexnet")
    model = build_initialised(network, str(tmp_path / "model.pth.tar"), image_size=64)
    pixels = np.random.default_rng(0).normal(size=(1, 64, 64, 3)).astype(np.float32)
    encoder = keras.Model(model.input, model.get_layer("relu").output)
    expected = _by_hand(_densenet(np.random.default_rng(3), "torchvision"))
    np.testing.assert_array_equal(encoder(pixels), expected(pixels))
    assert sum(bool(layer.weights) for layer in encoder_layers(model)) == 2 * (1 + 58 * 2 + 3) + 1


@WRITERS
def test_tensors_come_as_they_were_written(write: Writer, tmp_path: Path) -> None:
    tensors = {
        "a.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
        "b": np.array([1.5], np.float32),
    }
    value, storages = checkpoint(tensors)
    # Transposed by its strides alone, as PyTorch stores what .t() gives.
    value["state_dict"]["turned"] = _Tensor(storages[0], (3, 2), (1, 3))
    write(tmp_path / "c.pth", value, storages)
    read = read_tensors(tmp_path / "c.pth")
    assert list(read) == [*tensors, "turned"]
    np.testing.assert_array_equal(read["turned"], tensors["a.weight"].T)
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(read[name], tensor)


class _Runs:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


@WRITERS
def test_nothing_that_a_checkpoint_says_is_run(write: Writer, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    value, storages = checkpoint({"a": np.zeros(2, np.float32)}, args=_Runs(ran))
    write(tmp_path / "bad.pth", value, storages)
    with pytest.raises(TrainingError, match="which is more than weights: save its state_dict"):
        read_tensors(tmp_path / "bad.pth")
    assert not ran.exists()


@WRITERS
@pytest.mark.parametrize(
    ("shape", "reason"), [((4,), "reaches beyond its numbers"), ((2, -1), "has no shape")]
)
def test_tensors_that_reach_elsewhere_are_refused(
    write: Writer, shape: tuple[int, ...], reason: str, tmp_path: Path
) -> None:
    value, storages = checkpoint({"a": np.zeros(2, np.float32)})
    value["state_dict"]["a"] = _Tensor(storages[0], shape)
    write(tmp_path / "bad.pth", value, storages)
    with pytest.raises(TrainingError, match=reason):
        read_tensors(tmp_path / "bad.pth")


@WRITERS
def test_a_file_that_was_cut_short_is_refused_wherever(write: Writer, tmp_path: Path) -> None:
    write(tmp_path / "whole.pth", *checkpoint({"a": np.zeros(20, np.float32)}))
    whole = (tmp_path / "whole.pth").read_bytes()
    for length in range(4, len(whole) - 1, 7):
        (tmp_path / "cut.pth").write_bytes(whole[:length])
        with pytest.raises(TrainingError, match=r"cut\.pth is no PyTorch checkpoint"):
            read_tensors(tmp_path / "cut.pth")


def test_a_memo_of_any_number_takes_no_memory(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bad.pth", "w") as archive:
        archive.writestr("x/data.pkl", b"\x80\x02}r\xff\xff\xff\x7f.")
    with pytest.raises(TrainingError, match="numbers its parts as no pickle does"):
        read_tensors(tmp_path / "bad.pth")


def test_what_is_no_densenet_is_said(tmp_path: Path) -> None:
    write_zip(tmp_path / "other.pth", *checkpoint({"layer1.weight": np.zeros(3, np.float32)}))
    for network, reason in (
        ("unet/chexnet", "named as torchvision names"),
        ("unet/efficientnetlite0", "named as efficientnet_lite_pytorch names"),
        ("unet/resnet50", "EfficientNet-Lite0 alone: pass an .h5 file of ResNet-50"),
    ):
        with pytest.raises(TrainingError, match=reason):
            build_initialised(
                NetworkSpec.parse(network), str(tmp_path / "other.pth"), image_size=64
            )
