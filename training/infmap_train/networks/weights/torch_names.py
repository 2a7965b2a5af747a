"""Names and axes of weights: from PyTorch's to Keras', for the encoders that PyTorch's checkpoints are read of.

Sources: ``torchvision.models.densenet`` (``features.denseblock1.denselayer1.norm1``; before version 0.2
``norm.1``, as the published CheXNet has it) and ``keras.applications.densenet`` (``conv2_block1_0_bn``);
``efficientnet_lite_pytorch`` (``_blocks.1._expand_conv``) and :mod:`infmap_train.networks.edge`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from infmap_kit.model.spec import Encoder

# Of the whole name, whatever it is wrapped in, such as module.densenet121.
_PARTS_OF_A_LAYER = r"\.(weight|bias|running_mean|running_var)$"
_DENSENET = re.compile(r"(?:^|\.)features\.(.+)" + _PARTS_OF_A_LAYER)
_LITE = re.compile(r"(?:^|\.)(_conv_stem|_bn0|_blocks\..+)" + _PARTS_OF_A_LAYER)

_OLD_SPELLING = re.compile(r"\b(norm|conv)\.([12])$")
_IN_BLOCK = re.compile(r"denseblock([1-4])\.denselayer(\d{1,2})\.(norm1|conv1|norm2|conv2)")
_TRANSITION = re.compile(r"transition([1-3])\.(norm|conv)")
_AROUND = {"conv0": "conv1/conv", "norm0": "conv1/bn", "norm5": "bn"}
_PARTS = {"norm1": "0_bn", "conv1": "1_conv", "norm2": "1_bn", "conv2": "2_conv"}

_IN_LITE_BLOCK = re.compile(r"_blocks\.(\d{1,2})\._(\w+)")
_LITE_STEM = {"_conv_stem": "stem_conv", "_bn0": "stem_bn"}
_LITE_NORMS = {"bn0": "expand_bn", "bn1": "depthwise_bn", "bn2": "project_bn"}

# Keras' order in a batch normalisation: gamma, beta, moving mean, moving variance.
_NORMALISATION = ("weight", "bias", "running_mean", "running_var")


def keras_layers(
    tensors: Mapping[str, NDArray[Any]], encoder: Encoder
) -> dict[str, list[NDArray[np.float32]]]:
    """Weights by Keras' layer, as its ``set_weights`` takes them, without other tensors such as a head's.

    Parameters
    ----------
    tensors
        Tensors by PyTorch's names; kernels (out, in, height, width).
    encoder
        One of :data:`SPELLINGS`.

    Returns
    -------
    dict
        By layer: the kernel (height, width, in, out), or gamma, beta, moving mean and moving variance;
        float32.
    """
    spelling = SPELLINGS[encoder]
    found: dict[str, dict[str, NDArray[np.float32]]] = {}
    for name, tensor in tensors.items():
        feature = spelling.feature.search(name)
        layer = spelling.layer(feature[1]) if feature else None
        if feature and layer:
            found.setdefault(layer, {})[feature[2]] = tensor.astype(np.float32)
    return {
        layer: (
            [parts[name] for name in _NORMALISATION if name in parts]
            if layer.endswith("bn")
            else [_kernel(layer, kernel) for kernel in parts.values() if kernel.ndim == 4]
        )
        for layer, parts in found.items()
    }


def _kernel(layer: str, kernel: NDArray[np.float32]) -> NDArray[np.float32]:
    # One filter for each channel: PyTorch has (channel, 1, ...), and Keras (..., channel, 1).
    return kernel.transpose((2, 3, 0, 1) if layer.endswith("depthwise_conv") else (2, 3, 1, 0))


def _densenet_layer(name: str) -> str | None:
    """Keras' name of a layer of torchvision's DenseNet-121."""
    name = _OLD_SPELLING.sub(r"\1\2", name)
    if inside := _IN_BLOCK.fullmatch(name):
        block, number, part = inside.groups()
        return f"conv{int(block) + 1}_block{number}_{_PARTS[part]}"
    if between := _TRANSITION.fullmatch(name):
        stage, part = between.groups()
        return f"pool{int(stage) + 1}_{'bn' if part == 'norm' else 'conv'}"
    return _AROUND.get(name)


def _lite_layer(name: str) -> str | None:
    """Our name of a layer of EfficientNet-Lite0."""
    if inside := _IN_LITE_BLOCK.fullmatch(name):
        block, part = inside.groups()
        return f"block{block}_{_LITE_NORMS.get(part, part)}"
    return _LITE_STEM.get(name)


class _Spelling(NamedTuple):
    """The naming of a network's weights.

    Parameters
    ----------
    feature
        Finds the layer and the part of it in a tensor's name.
    layer
        Keras' name of a layer found so; ``None`` for one that is not the encoder's.
    author, example
        Who names them so, and the name of one.
    """

    feature: re.Pattern[str]
    layer: Callable[[str], str | None]
    author: str
    example: str


_OF_DENSENET = _Spelling(
    _DENSENET, _densenet_layer, "torchvision", "features.denseblock1.denselayer1.norm1.weight"
)

SPELLINGS = {
    Encoder.CHEXNET: _OF_DENSENET,
    Encoder.DENSENET_121: _OF_DENSENET,
    Encoder.EFFICIENTNET_LITE_0: _Spelling(
        _LITE, _lite_layer, "efficientnet_lite_pytorch", "_blocks.1._expand_conv.weight"
    ),
}
"""The encoders whose checkpoints of PyTorch are read, and how those name the weights."""
