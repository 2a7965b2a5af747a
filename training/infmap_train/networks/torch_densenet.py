"""Names and axes of DenseNet-121's weights: from torchvision's to Keras'.

Sources: ``torchvision.models.densenet`` (``features.denseblock1.denselayer1.norm1``; before version 0.2
``norm.1``, as the published CheXNet has it) and ``keras.applications.densenet`` (``conv2_block1_0_bn``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Of the whole name, whatever it is wrapped in, such as module.densenet121.
_FEATURE = re.compile(r"(?:^|\.)features\.(.+)\.(weight|bias|running_mean|running_var)$")
_OLD_SPELLING = re.compile(r"\b(norm|conv)\.([12])$")
_IN_BLOCK = re.compile(r"denseblock([1-4])\.denselayer(\d{1,2})\.(norm1|conv1|norm2|conv2)")
_TRANSITION = re.compile(r"transition([1-3])\.(norm|conv)")

_AROUND = {"conv0": "conv1/conv", "norm0": "conv1/bn", "norm5": "bn"}
_PARTS = {"norm1": "0_bn", "conv1": "1_conv", "norm2": "1_bn", "conv2": "2_conv"}

# Keras' order in a batch normalisation: gamma, beta, moving mean, moving variance.
_NORMALISATION = ("weight", "bias", "running_mean", "running_var")


def keras_layers(tensors: Mapping[str, NDArray[Any]]) -> dict[str, list[NDArray[np.float32]]]:
    """Weights by Keras' layer, as its ``set_weights`` takes them, without other tensors such as a head's.

    Parameters
    ----------
    tensors
        Tensors by torchvision's names; kernels (out, in, height, width).

    Returns
    -------
    dict
        By layer: the kernel (height, width, in, out), or gamma, beta, moving mean and moving variance;
        float32.
    """
    found: dict[str, dict[str, NDArray[np.float32]]] = {}
    for name, tensor in tensors.items():
        feature = _FEATURE.search(name)
        layer = _layer(_OLD_SPELLING.sub(r"\1\2", feature[1])) if feature else None
        if feature and layer:
            found.setdefault(layer, {})[feature[2]] = tensor.astype(np.float32)
    return {
        layer: (
            [parts[name] for name in _NORMALISATION if name in parts]
            if layer.endswith("bn")
            else [kernel.transpose(2, 3, 1, 0) for kernel in parts.values() if kernel.ndim == 4]
        )
        for layer, parts in found.items()
    }


def _layer(name: str) -> str | None:
    """Keras' name of a layer of torchvision's."""
    if inside := _IN_BLOCK.fullmatch(name):
        block, number, part = inside.groups()
        return f"conv{int(block) + 1}_block{number}_{_PARTS[part]}"
    if between := _TRANSITION.fullmatch(name):
        stage, part = between.groups()
        return f"pool{int(stage) + 1}_{'bn' if part == 'norm' else 'conv'}"
    return _AROUND.get(name)
