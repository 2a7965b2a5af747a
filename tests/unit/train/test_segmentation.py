"""One suite for all 24 networks and the edge network: they learn, and their graphs do the same, and compile.

Freezing changes no graph, and CheXNet is DenseNet-121 with other initial weights, both shown here: the 24 are
nine graphs, and each of the nine, and the edge network, is converted and compiled for two GPU generations once.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

tf = pytest.importorskip("tensorflow", reason="TensorFlow is not installed")

import onnx
import onnxruntime

from infmap_kit.model.spec import EDGE, Architecture, Encoder, NetworkSpec
from infmap_kit.paper.table5 import table5_rows
from infmap_kit.release.compilation import GateOptions, compile_graphs, graphs_at, require_passed
from infmap_train.networks.normalisation import SCALE_AND_OFFSET, normalise
from infmap_train.networks.onnx_from_keras import onnx_from_keras
from infmap_train.networks.segmentation import build_network, encoder_layers, freeze_encoder
from infmap_train.training.losses import hybrid_loss

pytestmark = [pytest.mark.train, pytest.mark.slow]
keras = tf.keras

SIZE = 64

BUILT = (Encoder.DENSENET_121, Encoder.INCEPTION_V3, Encoder.RESNET_50)
"""Encoders of a graph of their own; CheXNet's is DenseNet-121's."""


def _graph(network: Any) -> list[Any]:
    """A Keras network's layers and how they hang together, without names and what is trainable."""
    layers = network.get_config()["layers"]
    numbers = {layer["name"]: number for number, layer in enumerate(layers)}

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: plain(v) for k, v in value.items() if k not in ("name", "trainable")}
        if isinstance(value, list | tuple):
            return [plain(item) for item in value]
        return numbers.get(value, value) if isinstance(value, str) else value

    return [(layer["class_name"], plain(layer)) for layer in layers]


def _settle(model: Any, pixels: Any) -> None:
    """Let the batch norms see pictures, as training does.

    Untrained, a ResNet's activations grow to thousands; quite without its first statistics, an
    Inception magnifies rounding until Keras differs from itself by 4e-4. So: three quarters.
    """
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    momenta = [layer.momentum for layer in norms]
    for layer in norms:
        layer.momentum = 0.5
    for _ in range(2):
        model(pixels, training=True)
    for layer, momentum in zip(norms, momenta, strict=True):
        layer.momentum = momentum


def _smooth(count: int, size: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (count, 12, 12), np.uint8)
    return np.stack([cv2.resize(c, (size, size), interpolation=cv2.INTER_CUBIC) for c in coarse])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Seen:
    """What was seen of a network as built; frozen or not is a flag on it."""

    path: Path
    graph: list[Any]
    difference: float
    spread: float
    losses: dict[bool, tuple[float, float]]
    """Before a step and after it, with the encoder frozen or not."""
    encoder_moved: dict[bool, bool]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Callable[[NetworkSpec], Seen]:
    """Look at each of the nine networks that the 24 are built from once."""

    @functools.cache
    def look(architecture: Architecture, encoder: Encoder) -> Seen:
        keras.backend.clear_session()
        keras.utils.set_random_seed(3)
        network = NetworkSpec(architecture=architecture, encoder=encoder)
        model = build_network(network, image_size=None)
        _settle(model, normalise(_smooth(4, 224), encoder))
        path = tmp_path_factory.mktemp("graphs") / "segmentation.onnx"
        onnx_from_keras(model, encoder, path)
        onnx.checker.check_model(onnx.load(path), full_check=True)
        picture = _smooth(1, 224)
        (answer,) = onnxruntime.InferenceSession(path).run(["PROBABILITY"], {"IMAGE": picture})
        wanted = np.asarray(model(normalise(picture, encoder), training=False))[..., 0]
        assert answer.shape == (1, 224, 224)
        graph = _graph(model)
        # One step of all weights, and from there one of those that are left once the encoder is frozen.
        begun, moved = [], {}
        for frozen in (False, True):
            if frozen:
                freeze_encoder(model)
            kernels = [la.kernel for la in encoder_layers(model) if hasattr(la, "kernel")]
            values = [kernel.numpy() for kernel in kernels]
            begun.append(_step(model, encoder))
            moved[frozen] = any(
                not np.array_equal(a, b.numpy()) for a, b in zip(values, kernels, strict=True)
            )
        first, second = begun
        losses = {False: (first, second), True: (second, float(_loss(model, encoder)))}
        assert _graph(model) == graph, "freezing changes no graph"
        return Seen(
            path=path,
            graph=graph,
            difference=float(np.abs(answer - wanted).max()),
            spread=float(np.ptp(wanted)),
            losses=losses,
            encoder_moved=moved,
        )

    def look_at(network: NetworkSpec) -> Seen:
        chexnet = network.encoder is Encoder.CHEXNET
        return look(network.architecture, Encoder.DENSENET_121 if chexnet else network.encoder)

    return look_at


def _loss(model: Any, encoder: Encoder) -> Any:
    """How far off it is of finding what is bright in four pictures."""
    pictures = _smooth(4, SIZE)
    truth = tf.constant((pictures > 150).astype(np.float32)[..., np.newaxis])
    return hybrid_loss(truth, model(normalise(pictures, encoder), training=True))


def _step(model: Any, encoder: Encoder) -> float:
    """Learn from them once; gives the loss before."""
    with tf.GradientTape() as tape:
        loss = _loss(model, encoder)
    gradients = tape.gradient(loss, model.trainable_weights)
    keras.optimizers.Adam(1e-3).apply_gradients(
        zip(gradients, model.trainable_weights, strict=True)
    )
    return float(loss)


@pytest.mark.parametrize(
    "network",
    [
        *(row.network for row in table5_rows()),
        EDGE,
        dataclasses.replace(EDGE, encoder_frozen=True),
    ],
    ids=lambda n: n.label,
)
def test_network(network: NetworkSpec, seen: Callable[[NetworkSpec], Seen]) -> None:
    found = seen(network)
    assert found.difference < 1e-4
    # A saturated network would agree with anything.
    assert found.spread > 1e-2
    before, after = found.losses[network.encoder_frozen]
    assert after < before
    assert found.encoder_moved[network.encoder_frozen] is not network.encoder_frozen


@pytest.mark.parametrize(
    "network",
    [
        *(NetworkSpec(architecture=a, encoder=e) for a in Architecture for e in BUILT),
        EDGE,
    ],
    ids=lambda n: n.label,
)
def test_compiles_for_turing_and_ampere(
    network: NetworkSpec, seen: Callable[[NetworkSpec], Seen]
) -> None:
    pytest.importorskip("tensorrt_rtx_bindings", reason="needs infmap-kit[compile]")
    found = seen(network)
    segmentation = {"segmentation": graphs_at(found.path)["segmentation"]}
    results = compile_graphs(segmentation, GateOptions(gpus=("sm75", "sm86")))
    require_passed(results)
    assert [(result.generation, result.fp16_share) for result in results] == [
        ("SM75", 1.0),
        ("SM86", 1.0),
    ]


@pytest.mark.parametrize("architecture", Architecture)
def test_the_24_are_nine_graphs(
    architecture: Architecture, seen: Callable[[NetworkSpec], Seen]
) -> None:
    """CheXNet's graph is DenseNet-121's; that freezing changes none is seen where each is looked at."""
    chexnet = NetworkSpec(architecture=architecture, encoder=Encoder.CHEXNET)
    assert _graph(build_network(chexnet, image_size=None)) == seen(chexnet).graph
    assert SCALE_AND_OFFSET[Encoder.CHEXNET] == SCALE_AND_OFFSET[Encoder.DENSENET_121]
    papers = {encoder for encoder in Encoder if encoder.in_paper}
    assert {*BUILT, Encoder.CHEXNET} == papers
