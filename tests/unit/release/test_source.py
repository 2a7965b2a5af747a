"""What `export` takes, and how it says that it does not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from infmap_kit.errors import ExportError
from infmap_kit.gate.engines import OnnxRuntimeEngine
from infmap_kit.model.files import sha256_of
from infmap_kit.model.spec import ModelSpec, NetworkSpec
from infmap_kit.release.source import read_source
from small_network import small_network


@pytest.fixture
def run(tmp_path: Path) -> Path:
    onnx.save(small_network(), tmp_path / "segmentation.onnx")
    ModelSpec(
        name="small",
        version="7",
        network=NetworkSpec.parse("unet/densenet121"),
        files={"segmentation.onnx": sha256_of(tmp_path / "segmentation.onnx")},
        metrics={"pixels": {"f1": 0.5}},
    ).write(tmp_path / "spec.json")
    return tmp_path


def test_a_run_folder_says_what_it_is(run: Path) -> None:
    source = read_source(run)
    assert (source.identity["name"], source.identity["version"]) == ("small", "7")
    assert source.identity["network"]["encoder"] == "DenseNet-121"
    assert source.identity["onnx_sha256"] == sha256_of(run / "segmentation.onnx")


def test_a_graph_of_another_run_is_refused(run: Path) -> None:
    onnx.save(small_network(bias=-5), run / "segmentation.onnx")
    with pytest.raises(ExportError, match="SHA-256 differs"):
        read_source(run)


def test_an_unfinished_run_is_said(run: Path) -> None:
    (run / "segmentation.onnx").unlink()
    with pytest.raises(ExportError, match="has no segmentation.onnx"):
        read_source(run)


def test_a_bare_onnx_file(run: Path) -> None:
    assert read_source(run / "segmentation.onnx").identity["name"] == "segmentation"


@pytest.mark.parametrize("name", ["model.pt", "notes.txt"])
def test_other_files_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("something")
    with pytest.raises(ExportError, match=r"expected a run folder.*\.keras"):
        read_source(tmp_path / name)


@pytest.mark.train
def test_a_keras_model_is_converted_in_a_process_of_its_own(tmp_path: Path) -> None:
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    # After infmap_train, which chooses Keras 2.
    from tensorflow import keras

    import infmap_kit.model.spec as spec
    from infmap_train.networks.normalisation import normalise

    picture = keras.Input((224, 224, 3))
    hidden = keras.layers.Conv2D(4, 3, strides=2, padding="same", activation="relu")(picture)
    larger = keras.layers.UpSampling2D(2)(hidden)
    model = keras.Model(
        picture, keras.layers.Conv2D(1, 3, padding="same", activation="sigmoid")(larger)
    )
    path = tmp_path / "tiny.keras"
    model.save(path)

    source = read_source(path, encoder="densenet121")

    assert source.identity["encoder"] == "DenseNet-121"
    images = np.random.default_rng(0).integers(0, 256, (2, 224, 224), np.uint8)
    expected = model.predict(np.asarray(normalise(images, spec.Encoder.DENSENET_121)), verbose=0)
    actual = OnnxRuntimeEngine(source.segmentation.SerializeToString()).infer(images)
    assert np.abs(actual - expected[..., 0]).max() < 1e-4


@pytest.mark.train
def test_a_lambda_layer_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    from tensorflow import keras

    import infmap_train  # noqa: F401  # chooses Keras 2

    picture = keras.Input((224, 224, 3))
    model = keras.Model(picture, keras.layers.Lambda(lambda x: x[..., :1])(picture))
    model.save(tmp_path / "trojan.h5")
    with pytest.raises(ExportError, match="Lambda"):
        read_source(tmp_path / "trojan.h5", encoder="densenet121")
