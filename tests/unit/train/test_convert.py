"""The converter as the toolkit calls it: a process, one JSON line, one line of error."""

from __future__ import annotations

import json
import pickle
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow", reason="TensorFlow is not installed")

import onnxruntime

from infmap_kit.errors import ExportError
from infmap_kit.model.files import sha256_of
from infmap_kit.model.spec import Encoder
from infmap_train.networks.onnx_from_keras import onnx_from_keras
from infmap_train.training import convert

pytestmark = pytest.mark.train
keras = tf.keras


def _small_network() -> Any:
    """Build a network that a converter cannot tell from a large one."""
    keras.utils.set_random_seed(1)
    pixels = keras.Input((224, 224, 3))
    x = keras.layers.Conv2D(4, 3, strides=2, padding="same", activation="relu")(pixels)
    x = keras.layers.UpSampling2D(2)(x)
    return keras.Model(pixels, keras.layers.Conv2D(1, 3, padding="same", activation="sigmoid")(x))


def _answer(graph: Path, picture: np.ndarray) -> np.ndarray:
    return np.asarray(onnxruntime.InferenceSession(graph).run(None, {"IMAGE": picture})[0])


def _wanted(model: Any, picture: np.ndarray) -> np.ndarray:
    """Normalise by hand: ImageNet's mean and deviation, as for DenseNet."""
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    colour = (picture[..., None] / 255.0 - mean) / deviation
    return np.asarray(model(colour.astype(np.float32)))[..., 0]


@pytest.mark.parametrize("kind", ["keras", "h5", "saved_model"])
def test_every_format_gives_the_networks_answer(kind: str, tmp_path: Path) -> None:
    model = _small_network()
    source = tmp_path / f"net.{kind}"
    if kind == "saved_model":
        model.export(str(source))
    else:
        model.save(source)
    picture = np.random.default_rng(0).integers(0, 256, (3, 224, 224), np.uint8)
    convert.refuse_code(source)
    loaded, encoder, *_ = convert.load(source, Encoder.DENSENET_121)
    target = tmp_path / "net.onnx"
    onnx_from_keras(loaded, encoder, target)
    assert np.abs(_answer(target, picture) - _wanted(model, picture)).max() < 1e-4


def _run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "infmap_train.training.convert", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_run_folder_as_a_process(finished_run: Path, tmp_path: Path) -> None:
    target = tmp_path / "out" / "net.onnx"
    done = _run(finished_run, target)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert json.loads(done.stdout) == {
        "onnx": str(target),
        "sha256": sha256_of(target),
        "encoder": "EfficientNet-Lite0",
    }
    assert done.stdout.count("\n") == 1
    picture = np.random.default_rng(0).integers(0, 256, (1, 224, 224), np.uint8)
    graph = finished_run / "segmentation.onnx"
    assert np.abs(_answer(target, picture) - _answer(graph, picture)).max() < 1e-6


def test_an_error_is_one_line_on_stderr(tmp_path: Path) -> None:
    done = _run(tmp_path / "nothing.keras", tmp_path / "net.onnx")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "does not exist" in done.stderr


def test_weights_beside_their_spec(finished_run: Path, tmp_path: Path) -> None:
    for name in ("spec.json", "model.weights.h5"):
        shutil.copy(finished_run / name, tmp_path)
    model, encoder, *_ = convert.load(tmp_path / "model.weights.h5", None)
    assert encoder is Encoder.EFFICIENTNET_LITE_0
    assert model.output_shape == (None, 224, 224, 1)
    (tmp_path / "spec.json").unlink()
    with pytest.raises(ExportError, match="no architecture"):
        convert.load(tmp_path / "model.weights.h5", Encoder.DENSENET_121)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("nested", [False, True])
def test_lambda_layers_are_refused(suffix: str, nested: bool, tmp_path: Path) -> None:
    inner = keras.Sequential([keras.Input((224, 224, 3)), keras.layers.Lambda(lambda x: x * 2)])
    model = keras.Sequential([keras.Input((224, 224, 3)), inner]) if nested else inner
    source = tmp_path / f"net{suffix}"
    model.save(source)
    with pytest.raises(ExportError, match="Lambda"):
        convert.refuse_code(source)


def _with_code(folder: Path) -> Path:
    """An HDF5 model whose Lambda writes a file when it is built."""
    pixels = keras.Input((224, 224, 3))
    mark = folder / "was-here"
    layer = keras.layers.Lambda(eval(f"lambda x: (open({str(mark)!r}, 'w').close(), x)[1]"))  # noqa: S307
    keras.Model(pixels, keras.layers.Conv2D(1, 1, activation="sigmoid")(layer(pixels))).save(
        folder / "net.h5"
    )
    mark.unlink(missing_ok=True)
    return folder / "net.h5"


def test_an_hdf5_file_with_a_zip_behind_it_runs_nothing(tmp_path: Path) -> None:
    """A zip is found by its end: the harmless description there hid the Lambda in front."""
    source = _with_code(tmp_path)
    _small_network().save(tmp_path / "harmless.keras")
    source.write_bytes(source.read_bytes() + (tmp_path / "harmless.keras").read_bytes())
    for disguised in (source, shutil.copy(source, tmp_path / "net.keras")):
        done = _run(disguised, tmp_path / "net.onnx", "--encoder", "densenet121")
        assert done.returncode == 1
        assert done.stderr.count("\n") == 1
        assert "at once" in done.stderr or "expected a zip archive" in done.stderr
    assert not (tmp_path / "was-here").exists()


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ({"module": "os", "class_name": "system"}, "names os.system"),
        ({"module": "keras.utils", "class_name": "get_file"}, "names keras.utils.get_file"),
        ({"module": "builtins", "class_name": "function", "config": "eval"}, "calls 'eval'"),
    ],
)
def test_a_description_that_names_functions_is_refused(
    place: dict[str, str], reason: str, tmp_path: Path
) -> None:
    """CVE-2025-1550 and CVE-2025-8747: Keras imports what the description names."""
    source = tmp_path / "net.keras"
    _small_network().save(source)
    with zipfile.ZipFile(source) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(parts["config.json"])
    config["config"]["layers"][1]["config"]["kernel_initializer"] = place
    parts["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(source, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    with pytest.raises(ExportError, match=reason):
        convert.refuse_code(source)


def test_a_saved_model_that_writes_a_file_is_refused(tmp_path: Path) -> None:
    mark = tmp_path / "was-here"

    class Writing(tf.Module):  # type: ignore[name-defined,misc]  # TensorFlow has no types
        @tf.function(input_signature=[tf.TensorSpec((None, 224, 224, 3), tf.float32)])  # type: ignore[untyped-decorator]
        def __call__(self, pixels: Any) -> Any:
            tf.io.write_file(str(mark), "written")
            return tf.reduce_mean(pixels, axis=-1, keepdims=True)

    tf.saved_model.save(Writing(), str(tmp_path / "net"))
    done = _run(tmp_path / "net", tmp_path / "net.onnx", "--encoder", "densenet121")
    assert done.returncode == 1
    assert "the operation WriteFile, which does more than compute or cannot" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not mark.exists()


def test_layers_that_call_other_functions_are_refused(tmp_path: Path) -> None:
    pixels = keras.Input((224, 224, 3))
    fine = keras.Model(pixels, tf.math.sigmoid(pixels * 2))
    fine.save(tmp_path / "fine.h5")
    convert.refuse_code(tmp_path / "fine.h5")
    other = keras.Model(pixels, tf.strings.length(tf.strings.as_string(pixels)))
    other.save(tmp_path / "other.h5")
    with pytest.raises(ExportError, match="strings"):
        convert.refuse_code(tmp_path / "other.h5")


def test_pickles_are_refused_unopened(tmp_path: Path) -> None:
    source = tmp_path / "net.pkl"
    source.write_bytes(pickle.dumps({"weights": 1}))
    with pytest.raises(ExportError, match="pickle"):
        convert.refuse_code(source)
    disguised = tmp_path / "net.h5"
    shutil.copy(source, disguised)
    with pytest.raises(ExportError, match="not a Keras file"):
        convert.refuse_code(disguised)


def test_other_shapes_and_an_unknown_encoder_are_named(tmp_path: Path) -> None:
    pixels = keras.Input((128, 96, 3))
    keras.Model(pixels, keras.layers.Conv2D(1, 1)(pixels)).save(tmp_path / "small.keras")
    with pytest.raises(ExportError, match="128"):
        convert.load(tmp_path / "small.keras", Encoder.RESNET_50)
    with pytest.raises(ExportError, match="--encoder"):
        convert.load(tmp_path / "small.keras", None)
