from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow", reason="TensorFlow is not installed")

from infmap_kit.errors import TrainingError
from infmap_kit.model.spec import NetworkSpec
from infmap_train.networks.weights.encoder_weights import build_initialised

pytestmark = pytest.mark.train
keras = tf.keras

SIZE = 96


@pytest.fixture(scope="module")
def chexnet() -> Any:
    """Build what the public CheXNet file was saved from, with weights of our own."""
    keras.utils.set_random_seed(11)
    features = keras.applications.DenseNet121(
        include_top=False, weights=None, input_shape=(224, 224, 3), pooling="avg"
    )
    head = keras.layers.Dense(14, activation="sigmoid", name="predictions")(features.output)
    return keras.Model(features.input, head)


@pytest.fixture(scope="module")
def features(chexnet: Any) -> np.ndarray:
    """What the file's own network finds in a picture."""
    return _features(chexnet)


def _features(model: Any) -> np.ndarray:
    pixels = np.random.default_rng(0).normal(size=(1, 224, 224, 3)).astype(np.float32)
    return np.asarray(keras.Model(model.input, model.get_layer("relu").output)(pixels))


@pytest.mark.parametrize(
    ("kind", "network"), [("weights", "unet/chexnet"), ("model", "dla/densenet121")]
)
def test_the_encoder_computes_what_the_file_computed(
    chexnet: Any, features: np.ndarray, network: str, kind: str, tmp_path: Path
) -> None:
    path = tmp_path / "chexnet.h5"
    (chexnet.save_weights if kind == "weights" else chexnet.save)(path)
    model = build_initialised(NetworkSpec.parse(network), str(path), image_size=224)
    assert np.array_equal(_features(model), features)


def test_layers_of_other_names_are_taken_in_order(
    chexnet: Any, features: np.ndarray, tmp_path: Path
) -> None:
    path = tmp_path / "renamed.h5"
    renamed = keras.models.clone_model(chexnet)
    renamed.set_weights(chexnet.get_weights())
    for number, layer in enumerate(renamed.layers):
        layer._name = f"layer_{number}"
    renamed.save_weights(path)
    model = build_initialised(NetworkSpec.parse("unet/chexnet"), str(path), image_size=224)
    assert np.array_equal(_features(model), features)


def test_another_networks_file_is_refused(chexnet: Any, tmp_path: Path) -> None:
    path = tmp_path / "chexnet.h5"
    chexnet.save_weights(path)
    with pytest.raises(TrainingError, match="Inception-v3"):
        build_initialised(NetworkSpec.parse("unet/inceptionv3"), str(path), image_size=SIZE)


@pytest.mark.parametrize(
    ("network", "weights", "told"),
    [
        ("unet/chexnet", "imagenet", "--encoder-weights chexnet"),
        ("unet/resnet50", "chexnet", "DenseNet-121's"),
        ("unet/chexnet", "chexnet", "download"),
        ("unet/densenet121", "nowhere.h5", "does not exist"),
    ],
)
def test_weights_that_cannot_be_had_are_told(
    network: str, weights: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(TrainingError, match=told):
        build_initialised(NetworkSpec.parse(network), weights, image_size=SIZE)


def test_a_file_that_is_no_keras_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.h5"
    path.write_bytes(b"no HDF5")
    with pytest.raises(TrainingError, match="not a file of Keras weights"):
        build_initialised(NetworkSpec.parse("unet/densenet121"), str(path), image_size=SIZE)
