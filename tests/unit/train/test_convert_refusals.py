"""Models of others that want more than to compute: each is refused in one line, and nothing of them runs."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow", reason="TensorFlow is not installed")

import h5py

from infmap_kit.errors import ExportError
from infmap_kit.model.spec import Encoder
from infmap_train.training import convert, keras_file, saved_model

pytestmark = pytest.mark.train
keras = tf.keras


@pytest.fixture(scope="module")
def harmless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network with what networks have, saved in both formats of Keras."""
    folder = tmp_path_factory.mktemp("harmless")
    pixels = keras.Input((224, 224, 3))
    x = keras.layers.Conv2D(2, 3, padding="same", activation="relu", name="first")(pixels)
    x = keras.layers.Dropout(0.5)(keras.layers.BatchNormalization(name="norm")(x))
    model = keras.Model(pixels, keras.layers.Conv2D(1, 1, activation="sigmoid")(x))
    model.compile("adam", loss=lambda expected, actual: tf.reduce_mean(actual - expected))
    for suffix in ("keras", "h5"):
        model.save(folder / f"net.{suffix}")
    model.save(folder / "net", save_format="tf")
    return folder


def _refused(source: Path) -> str:
    with pytest.raises(ExportError) as caught:
        convert.load(source, Encoder.DENSENET_121)
    assert str(source) in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert len(str(caught.value)) < 700
    return str(caught.value)


def _described(harmless: Path, folder: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """An HDF5 model of another description: of its second layer, or wherever ``change`` puts it."""
    source = folder / "net.h5"
    source.write_bytes((harmless / "net.h5").read_bytes())
    with h5py.File(source, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        change(config["config"]["layers"][1])
        file.attrs["model_config"] = json.dumps(config)
    return source


@pytest.mark.parametrize("name", ["net.keras", "net.h5", "net"])
def test_dropout_batch_norm_and_a_loss_of_ones_own_are_taken(harmless: Path, name: str) -> None:
    model, *_ = convert.load(harmless / name, Encoder.DENSENET_121)
    answer = np.asarray(model(np.zeros((1, 224, 224, 3), np.float32)))
    trained = keras.models.load_model(harmless / "net.keras", compile=False)
    expected = np.asarray(trained(np.zeros((1, 224, 224, 3), np.float32), training=False))
    assert np.abs(answer - expected).max() < 1e-6


def test_an_operation_by_name_is_not_made(harmless: Path, tmp_path: Path) -> None:
    """A layer that makes whatever operation its description holds: here one that writes a file."""
    mark = tmp_path / "was-here"
    node = {"name": "w", "op": "WriteFile", "input": ["in:0"]}
    layer = {
        "class_name": "TensorFlowOpLayer",
        "name": "first",
        "config": {
            "name": "first",
            "trainable": True,
            "dtype": "float32",
            "node_def": node,
            "constants": {"0": str(mark)},
        },
    }
    source = _described(harmless, tmp_path, lambda first: first.update(layer))
    assert "TensorFlowOpLayer" in _refused(source)
    assert not mark.exists()


@pytest.mark.parametrize(
    ("kind", "config"),
    [
        ("ClassMethod", {"cls_symbol": "io.gfile.GFile", "method_name": "read"}),
        ("StringLookup", {"vocabulary": "/etc/passwd"}),
        ("TextVectorization", {"vocabulary": "/etc/passwd"}),
        ("TFSMLayer", {"filepath": "/tmp/model"}),
        ("TFOpLambda", {"function": "io.read_file"}),
        ("Lambda", {"function": ["4wEAAAA=", None, None]}),
    ],
)
def test_layers_that_do_more_than_compute_are_refused(
    kind: str, config: dict[str, Any], harmless: Path, tmp_path: Path
) -> None:
    def change(layer: dict[str, Any]) -> None:
        layer.update(class_name=kind, config={"name": "first", **config})

    assert str(config.get("function", kind)) in _refused(
        _described(harmless, tmp_path, change)
    ) or (kind == "Lambda")


@pytest.mark.parametrize(
    "change",
    [
        {"activation": "deserialize"},
        {"kernel_initializer": "get"},
        {
            "kernel_initializer": {
                "class_name": "Zeros",
                "registered_name": "Other>Zeros",
                "config": {},
            }
        },
        {"kernel_initializer": {"class_name": "Zeros", "module": "keras_other", "config": {}}},
        {
            "kernel_initializer": {
                "class_name": "load_model",
                "module": "keras.models",
                "config": {},
            }
        },
        {
            "activation": {
                "class_name": "function",
                "module": "keras.models",
                "config": "load_model",
            }
        },
    ],
)
def test_names_that_stand_for_something_else_are_refused(
    change: dict[str, Any], harmless: Path, tmp_path: Path
) -> None:
    _refused(_described(harmless, tmp_path, lambda layer: layer["config"].update(change)))


def test_a_layer_in_training_mode_is_named(harmless: Path, tmp_path: Path) -> None:
    def change(layer: dict[str, Any]) -> None:
        layer["inbound_nodes"] = [[[*layer["inbound_nodes"][0][0][:3], {"training": True}]]]

    assert "layer 'first' as in training" in _refused(_described(harmless, tmp_path, change))


def _external_link(file: Any, folder: Path) -> None:
    file["more"] = h5py.ExternalLink(str(folder / "other.h5"), "/")


def _soft_link(file: Any, _folder: Path) -> None:
    file["more"] = h5py.SoftLink("/model_weights")


def _circle(file: Any, _folder: Path) -> None:
    file["model_weights/again"] = file["model_weights"]


def _external_storage(file: Any, _folder: Path) -> None:
    file.create_dataset("more", (4,), "u1", external=[("/etc/passwd", 0, 4)])


def _virtual(file: Any, _folder: Path) -> None:
    layout = h5py.VirtualLayout((4,), "u1")
    layout[:] = h5py.VirtualSource("/etc/passwd", "data", (4,))
    file.create_virtual_dataset("more", layout)


def _huge(file: Any, _folder: Path) -> None:
    file.create_dataset("more", (2**40,), "f4", chunks=(1024,))


def _texts(file: Any, _folder: Path) -> None:
    file.create_dataset("more", data=["text"], dtype=h5py.string_dtype())


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_external_link, "a link into another file"),
        (_soft_link, "a link"),
        (_circle, "in two places"),
        (_external_storage, "from another file"),
        (_virtual, "from another file"),
        (_huge, "bytes of weights"),
        (_texts, "no numbers"),
    ],
)
@pytest.mark.parametrize("suffix", [".h5", ".keras"])
def test_weights_that_lie_elsewhere_or_are_none_are_refused(
    change: Callable[[Any, Path], None], reason: str, suffix: str, harmless: Path, tmp_path: Path
) -> None:
    source = tmp_path / f"net{suffix}"
    if suffix == ".h5":
        source.write_bytes((harmless / "net.h5").read_bytes())
        with h5py.File(source, "r+") as file:
            change(file, tmp_path)
    else:
        with zipfile.ZipFile(harmless / "net.keras") as archive:
            weights, config = (
                io.BytesIO(archive.read(name)) for name in ("model.weights.h5", "config.json")
            )
        with h5py.File(weights, "r+") as file:
            file.require_group("model_weights")
            change(file, tmp_path)
        with zipfile.ZipFile(source, "w") as archive:
            archive.writestr("config.json", config.getvalue())
            archive.writestr("model.weights.h5", weights.getvalue())
    assert reason in _refused(source)


def test_damaged_and_swollen_archives_are_one_line(harmless: Path, tmp_path: Path) -> None:
    source = tmp_path / "net.keras"
    whole = (harmless / "net.keras").read_bytes()
    for content in (whole[:200], keras_file.ZIP + b"rubbish" * 99, whole[: len(whole) // 2]):
        source.write_bytes(content)
        _refused(source)
    for members in (
        {"config.json": b"[" * 300_000},
        {"config.json": b" " * (keras_file.MAX_DESCRIPTION_BYTES + 1)},
        {"model.weights.h5": b"x"},
    ):
        with zipfile.ZipFile(source, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, part in members.items():
                archive.writestr(name, part)
        _refused(source)


class _Serving(tf.Module):  # type: ignore[name-defined,misc]  # TensorFlow has no types
    def __init__(self, body: Callable[[Any], Any]) -> None:
        super().__init__()
        self.scale = tf.Variable(1.0)
        self._body = body

    @tf.function(input_signature=[tf.TensorSpec((None, 224, 224, 3), tf.float32)])  # type: ignore[untyped-decorator]
    def __call__(self, pixels: Any) -> Any:
        return tf.reduce_mean(self._body(pixels), axis=-1, keepdims=True) * self.scale


def _read(pixels: Any) -> Any:
    return pixels + tf.cast(tf.strings.length(tf.io.read_file("/etc/hostname")), tf.float32)


def _match(pixels: Any) -> Any:
    return pixels + tf.cast(tf.size(tf.io.matching_files("/etc/*")), tf.float32)


def _python(pixels: Any) -> Any:
    return tf.ensure_shape(tf.py_function(lambda x: x, [pixels], tf.float32), (None, 224, 224, 3))


def _chance(pixels: Any) -> Any:
    return pixels + tf.random.uniform(())


def _normalising(pixels: Any) -> Any:
    ones = tf.ones(3)
    return tf.compat.v1.nn.fused_batch_norm(pixels, ones, ones, is_training=True)[0]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (_read, "ReadFile"),
        (_match, "MatchingFiles"),
        (_python, "EagerPyFunc"),
        (_chance, "RandomUniform"),
        (_normalising, "as in training at 'FusedBatchNormV3'"),
    ],
)
def test_a_signature_that_does_more_than_compute_is_refused(
    body: Callable[[Any], Any], reason: str, tmp_path: Path
) -> None:
    tf.saved_model.save(_Serving(body), str(tmp_path / "net"))
    assert reason in _refused(tmp_path / "net")


def test_of_a_saved_model_nothing_but_its_signature_is_loaded(tmp_path: Path) -> None:
    """Functions beside the signature, operations outside, and other files are not even there."""
    from tensorflow.core.protobuf import saved_model_pb2

    mark, source = tmp_path / "was-here", tmp_path / "net"
    module = _Serving(lambda pixels: pixels)

    @tf.function(input_signature=[])  # type: ignore[untyped-decorator]
    def writing() -> Any:
        tf.io.write_file(str(mark), "written")
        return tf.constant(1)

    module.writing = writing
    tf.saved_model.save(module, str(source), signatures=module.__call__)
    (source / "saved_model.pbtxt").write_text("not to be read")
    (source / "fingerprint.pb").write_bytes(b"nonsense")
    model, *_ = convert.load(source, Encoder.DENSENET_121)
    assert model(tf.ones((1, 224, 224, 3))).shape == (1, 224, 224, 1)
    assert not mark.exists()
    saved_model.reduce_to_signature(source)
    saved = saved_model_pb2.SavedModel()
    saved.ParseFromString((source / saved_model.GRAPH).read_bytes())
    graph = saved.meta_graphs[0].graph_def
    everything = [*graph.node, *(node for one in graph.library.function for node in one.node_def)]
    assert not {"WriteFile", "SaveV2", "RestoreV2"} & {node.op for node in everything}


def test_a_saved_model_of_tensorflow_1_or_with_links_is_refused(tmp_path: Path) -> None:
    """TensorFlow 1 runs an operation when it loads: it could write wherever it likes."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        pixels = tf.compat.v1.placeholder(tf.float32, (None, 224, 224, 3))
        tf.compat.v1.saved_model.simple_save(
            session, str(tmp_path / "one"), {"x": pixels}, {"y": pixels[..., :1]}
        )
    assert "TensorFlow 1" in _refused(tmp_path / "one")
    tf.saved_model.save(_Serving(lambda pixels: pixels), str(tmp_path / "net"))
    (tmp_path / "net" / "variables").rename(tmp_path / "elsewhere")
    (tmp_path / "net" / "variables").symlink_to(tmp_path / "elsewhere")
    assert "is a link" in _refused(tmp_path / "net")
