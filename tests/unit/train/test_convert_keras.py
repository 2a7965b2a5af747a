"""Models of both generations of Keras: each is served with its own answers, or refused in a line that helps."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

tf = pytest.importorskip("tensorflow", reason="TensorFlow is not installed")

import keras as keras_3

from infmap_kit.errors import InfmapError
from infmap_kit.gate.engines import OnnxRuntimeEngine
from infmap_kit.imaging.network_input import network_input
from infmap_kit.imaging.synthetic.drawing import synthetic_radiograph
from infmap_kit.model.adapter import ModelAdapter
from infmap_kit.model.spec import Encoder, member
from infmap_kit.release.source import Source, read_source
from infmap_train.networks.onnx_from_keras import onnx_from_keras
from infmap_train.training import convert

pytestmark = pytest.mark.train

keras_2 = tf.keras
_SIZE = 32


def _head(k: Any, x: Any, classes: int, activation: str | None) -> Any:
    return k.layers.Conv2D(classes, 1, activation=activation, name="head")(x)


def _unet(
    k: Any,
    *,
    channels: int = 3,
    classes: int = 1,
    activation: str | None = "sigmoid",
    size: Any = _SIZE,
) -> Any:
    """Whatever decoders are made of, as a functional model."""
    pixels = k.Input((size, size, channels))
    first = k.layers.Conv2D(4, 3, padding="same", use_bias=False)(pixels)
    first = k.layers.ReLU()(k.layers.BatchNormalization()(first))
    x = k.layers.SeparableConv2D(6, 3, padding="same", activation="relu")(
        k.layers.MaxPooling2D()(k.layers.Dropout(0.3)(first))
    )
    x = k.layers.Conv2DTranspose(4, 2, strides=2, activation="relu")(x)
    x = k.layers.Concatenate()([x, first])
    return k.Model(pixels, _head(k, x, classes, activation))


def _sequential(k: Any) -> Any:
    return k.Sequential(
        [
            k.Input((_SIZE, _SIZE, 1)),
            k.layers.Rescaling(1 / 255),
            k.layers.Conv2D(4, 3, strides=2, padding="same", activation="relu"),
            k.layers.UpSampling2D(2, interpolation="bilinear"),
            k.layers.Conv2D(1, 3, padding="same"),
        ]
    )


def _nested(k: Any) -> Any:
    pixels = k.Input((_SIZE, _SIZE, 3))
    inner = k.Sequential([k.Input((_SIZE, _SIZE, 3)), k.layers.Conv2D(4, 3, padding="same")])
    x = k.layers.UpSampling2D(2)(k.layers.AveragePooling2D(2)(inner(pixels)))
    return k.Model(pixels, _head(k, x, 1, "sigmoid"))


def _arithmetic() -> Any:
    """Keras 3 writes plain arithmetic as operations of its own."""
    pixels = keras_3.Input((_SIZE, _SIZE, 3))
    x = keras_3.layers.Conv2D(4, 3, padding="same")(pixels / 2 - 0.1)
    x = keras_3.ops.concatenate([keras_3.ops.relu(x), x[..., :2] * 0.5], axis=-1)
    return keras_3.Model(pixels, keras_3.ops.sigmoid(_head(keras_3, x, 1, None)))


def _pixels(
    *, scale: float = 1 / 255, mean: Any = 0.0, std: Any = 1.0, channels: int = 3
) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
    def prepare(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        colour = np.repeat(pictures[..., np.newaxis] * np.float64(scale), channels, axis=-1)
        return np.asarray((colour - np.array(mean)) / np.array(std), np.float32)

    return prepare


def _sigmoid(values: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(1 / (1 + np.exp(-values[..., 0].astype(np.float64))))


def _only(values: NDArray[Any]) -> NDArray[Any]:
    return values[..., 0]


_FED = ModelAdapter(scale="1/255")
_DENSENET = _pixels(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))

# Model, kind of file, encoder, adapter, pixels, answers.
_EQUIVALENT: dict[str, tuple[Callable[[], Any], str, str | None, ModelAdapter, Any, Any]] = {
    "3: .keras with an encoder": (
        lambda: _unet(keras_3), ".keras", "densenet121", ModelAdapter(), _DENSENET, _only,
    ),
    "3: .h5 with an encoder": (
        lambda: _unet(keras_3), ".h5", "densenet121", ModelAdapter(), _DENSENET, _only,
    ),
    "3: SavedModel with an encoder": (
        lambda: _unet(keras_3), "", "densenet121", ModelAdapter(), _DENSENET, _only,
    ),
    "3: .keras with pixels of 0 to 1": (
        lambda: _unet(keras_3), ".keras", None, _FED, _pixels(), _only,
    ),
    "3: .keras of gray logits that scales inside": (
        lambda: _sequential(keras_3), ".keras", None,
        ModelAdapter(scale="1", activation="sigmoid"), _pixels(scale=1, channels=1), _sigmoid,
    ),
    "3: .h5 of gray logits": (
        lambda: _sequential(keras_3), ".h5", None,
        ModelAdapter(scale="1", activation="sigmoid"), _pixels(scale=1, channels=1), _sigmoid,
    ),
    "3: .keras with a model inside": (
        lambda: _nested(keras_3), ".keras", None, _FED, _pixels(), _only,
    ),
    "3: .keras with arithmetic": (_arithmetic, ".keras", None, _FED, _pixels(), _only),
    "3: .keras of two classes with a softmax": (
        lambda: _unet(keras_3, classes=2, activation="softmax"), ".keras", None,
        ModelAdapter(scale="1/255", activation="none:1"), _pixels(), lambda values: values[..., 1],
    ),
    "3: .keras of any size": (
        lambda: _unet(keras_3, size=None), ".keras", None,
        ModelAdapter(scale="1/255", size=48), _pixels(), _only,
    ),
    "2: .keras of logits with an encoder": (
        lambda: _unet(keras_2, activation=None), ".keras", "densenet121",
        ModelAdapter(activation="sigmoid"), _DENSENET, _sigmoid,
    ),
    "2: .h5 of two classes with a softmax": (
        lambda: _unet(keras_2, classes=2, activation="softmax"), ".h5", "densenet121",
        ModelAdapter(activation="none:0"), _DENSENET, _only,
    ),
    "2: SavedModel of gray logits": (
        lambda: _sequential(keras_2), "", None,
        ModelAdapter(scale="1", activation="sigmoid"), _pixels(scale=1, channels=1), _sigmoid,
    ),
}  # fmt: skip


@functools.cache
def _radiographs() -> tuple[NDArray[np.uint8], ...]:
    return tuple(
        synthetic_radiograph(seed, height=128, width=128).radiograph.pixels for seed in range(2)
    )


def _save(model: Any, folder: Path, kind: str) -> Path:
    path = folder / f"net{kind}"
    if kind:
        model.save(path)
    else:
        model.export(str(path))
    return path


def _source(path: Path, encoder: str | None, adapter: ModelAdapter) -> Source:
    """What `export` does in a process of its own, in this one: starting TensorFlow takes longest."""
    convert.refuse_code(path)
    asked = member(Encoder, encoder) if encoder else None
    loaded = convert.load(path, asked, size=adapter.size, raw=bool(adapter.feeds))
    target = path.with_name("converted.onnx")
    onnx_from_keras(
        loaded.model, loaded.encoder, target, image_size=loaded.image_size, channels=loaded.channels
    )
    return read_source(target, adapter=adapter)


@pytest.mark.parametrize("case", _EQUIVALENT)
def test_the_served_graph_answers_as_the_model_that_was_saved(case: str, tmp_path: Path) -> None:
    build, kind, encoder, adapter, prepare, read = _EQUIVALENT[case]
    model = build()
    source = _source(_save(model, tmp_path, kind), encoder, adapter)
    size = adapter.size or _SIZE
    assert source.contract.image_size == size
    pictures = np.stack([network_input(radiograph, size) for radiograph in _radiographs()])
    answer = OnnxRuntimeEngine(source.segmentation.SerializeToString()).infer(pictures)
    expected = read(np.asarray(model(prepare(pictures), training=False)))
    assert np.ptp(expected) > 0.01
    assert np.abs(answer - expected).max() < 1e-5


def test_the_confined_process_converts_a_model_of_todays_keras(tmp_path: Path) -> None:
    """The very way of `export`; the user's own settings of Keras neither matter nor hinder."""
    model = _unet(keras_3, activation=None)
    path = _save(model, tmp_path, ".keras")
    adapter = ModelAdapter(scale="1/255", activation="sigmoid")
    source = read_source(path, adapter=adapter)
    assert source.identity["adapter"] == {
        "layout": "nhwc", "channels": 3, "scale": "1/255", "classes": 1, "activation": "sigmoid",
    }  # fmt: skip
    pictures = np.stack([network_input(radiograph, _SIZE) for radiograph in _radiographs()])
    answer = OnnxRuntimeEngine(source.segmentation.SerializeToString()).infer(pictures)
    expected = _sigmoid(np.asarray(model(_pixels()(pictures), training=False)))
    assert np.abs(answer - expected).max() < 1e-5


def _with_lambda() -> Any:
    pixels = keras_3.Input((_SIZE, _SIZE, 3))
    x = keras_3.layers.Lambda(lambda values: values * 2)(pixels)
    return keras_3.Model(pixels, _head(keras_3, x, 1, "sigmoid"))


@keras_3.saving.register_keras_serializable(package="others")
class _Doubling(keras_3.layers.Layer):  # type: ignore[misc]
    def call(self, values: Any) -> Any:
        return values * 2


def _with_a_layer_of_its_own() -> Any:
    pixels = keras_3.Input((_SIZE, _SIZE, 3))
    return keras_3.Model(pixels, _head(keras_3, _Doubling()(pixels), 1, "sigmoid"))


def _in_training(k: Any) -> Any:
    pixels = k.Input((_SIZE, _SIZE, 3))
    x = k.layers.Dropout(0.5, name="always")(pixels, training=True)
    return k.Model(pixels, _head(k, x, 1, "sigmoid"))


def _two_outputs() -> Any:
    pixels = keras_3.Input((_SIZE, _SIZE, 3))
    x = keras_3.layers.Conv2D(1, 3, padding="same", activation="sigmoid")(pixels)
    return keras_3.Model(pixels, [x, _head(keras_3, x, 1, "sigmoid")])


def _classifier() -> Any:
    pixels = keras_3.Input((_SIZE, _SIZE, 3))
    x = keras_3.layers.GlobalAveragePooling2D()(pixels)
    return keras_3.Model(pixels, keras_3.layers.Dense(1, activation="sigmoid")(x))


def _flipped() -> Any:
    pixels = keras_3.Input((_SIZE, _SIZE, 3))
    x = keras_3.ops.flip(pixels, axis=1)
    return keras_3.Model(pixels, _head(keras_3, x, 1, "sigmoid"))


_REFUSED: dict[str, tuple[Callable[[], Any], str, str | None, ModelAdapter, str]] = {
    "logits": (
        lambda: _unet(keras_3, activation=None), ".keras", None, _FED, "add --activation sigmoid",
    ),
    "two classes, and which is not said": (
        lambda: _unet(keras_2, classes=2, activation="softmax"), ".h5", "densenet121",
        ModelAdapter(), "answers 2 classes.*--activation",
    ),
    "four channels": (lambda: _unet(keras_3, channels=4), ".keras", None, _FED, "1 or 3 channels"),
    "an encoder of gray pictures": (
        lambda: _unet(keras_3, channels=1), ".keras", "densenet121", ModelAdapter(), "expected 3 channels",
    ),
    "nothing said of pixels": (
        lambda: _unet(keras_3), ".keras", None, ModelAdapter(), "pass --encoder.*--scale",
    ),
    "any size, and which is not said": (
        lambda: _unet(keras_3, size=None), ".keras", None, _FED, "with --size",
    ),
    "another size": (
        lambda: _unet(keras_3), ".h5", None, dataclasses.replace(_FED, size=64), "--size 64",
    ),
    "two outputs": (_two_outputs, ".keras", None, _FED, "several outputs"),
    "a classifier": (_classifier, ".h5", None, _FED, "no segmentation network"),
    "Lambda": (_with_lambda, ".keras", None, _FED, "Lambda layer.*ordinary layers"),
    "a layer of its own": (_with_a_layer_of_its_own, ".keras", None, _FED, "Keras' own layers"),
    "an operation that is not known": (_flipped, ".keras", None, _FED, "Keras' own layers"),
    "dropout in training, Keras 3": (
        lambda: _in_training(keras_3), ".keras", None, _FED, "'always' as in training",
    ),
    "dropout in training, Keras 2": (
        lambda: _in_training(keras_2), ".h5", None, _FED, "'always' as in training",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", _REFUSED)
def test_what_cannot_be_served_is_refused_in_one_line_that_helps(case: str, tmp_path: Path) -> None:
    build, kind, encoder, adapter, wanted = _REFUSED[case]
    path = _save(build(), tmp_path, kind)
    with pytest.raises(InfmapError, match=wanted) as caught:
        _source(path, encoder, adapter)
    assert len(str(caught.value).splitlines()) == 1
    assert len(str(caught.value)) < 500
